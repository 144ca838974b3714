"""One line for each call that the guard let pass with a permit or refused: JSON on standard error."""

import logging
from typing import Final

from lockgate_mlflow_guard.answers import Refusal
from lockgate_mlflow_guard.json_text import format_object
from lockgate_mlflow_guard.permits import Permit

FACT_CHARACTERS_MAX: Final = 256  # callers choose these texts; MLflow's names are no longer

_logger: Final = logging.getLogger("lockgate_mlflow_guard")


def prepare() -> None:
    """Write to standard error, whatever else the server's logging does."""
    if not _logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def tell(*, act: str, actor: str, outcome: Refusal | Permit, **facts: str) -> None:
    """Tell of one call.

    Args:
        act: What it would have done, for example `set_alias`.
        actor: Whom MLflow's basic-auth knows; "" without it.
        outcome: Why it was refused, or the permit that let it pass. Never the token.
        **facts: What it was about.
    """
    line = {
        "event": "guard_refused" if isinstance(outcome, Refusal) else "guard_accepted",
        "act": act,
        "actor": actor,
        **facts,
    }
    if isinstance(outcome, Refusal):
        line |= {"code": outcome.code}
    else:
        line |= {"permit": outcome.permit_id, "promotion": outcome.promotion, "digest": outcome.digest}
    _logger.info(format_object({name: text[:FACT_CHARACTERS_MAX] for name, text in line.items()}))


def warn(message: str) -> None:
    """Tell the operator, at the start, of a way around the guard."""
    _logger.warning(format_object({"event": "guard_warning", "message": message}))
