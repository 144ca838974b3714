"""Where uses are counted: the `[[usage_source]]` tables of the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import TableInvalidError, read_tables
from lockgate.outbound_urls import find_url_fault
from lockgate.usage.errors import UsageSourceError

SOURCES_MAX: Final = 32  # a query each for loads and predictions of some clusters; each is asked by a thread of its own
WINDOW: Final = "$window"  # in a query: how far back it is to count
_INTERVAL_S: Final = 300.0  # if not said; nobody calls a version idle for minutes
_TIMEOUT_S: Final = 10.0  # if not said; Prometheus itself gives up after two minutes

Counted: TypeAlias = Literal["loads", "predictions"]


class UsageSettingsError(TableInvalidError):
    """The settings of a source cannot be used."""

    code: ClassVar[str] = "usage.settings_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSource:
    """A Prometheus, and what it is asked.

    Attributes:
        name: What log lines call it.
        url: Where it answers, without a slash at the end.
        query: PromQL, with `$window` for how far back; its result has the labels model, version and environment.
        counts: What its values are.
        token_file: Holds the bearer token; see `read_token`.
        ca_file: Certificate authorities to trust instead of the usual ones.
        interval_s: From one look to the next, in seconds.
        timeout_s: For one whole exchange, in seconds.
    """

    name: str
    url: str
    query: str
    counts: Counted
    token_file: Path | None
    ca_file: Path | None
    interval_s: float
    timeout_s: float

    @property
    def key(self) -> str:
        """Whose count it is, in `UsageKey.source`; callers' own names hold no colon."""
        return f"prometheus:{self.name}"

    def read_token(self) -> str | None:
        """Return the bearer token as its file holds it now, so that it may change; None where none is wanted.

        Raises:
            UsageSourceError: The file cannot be used at the moment.
        """
        if self.token_file is None:
            return None
        try:
            return read_secret(self.token_file)
        except UnusableValueError as exc:
            raise UsageSourceError(str(exc)) from exc


def parse_usage_sources(tables: Sequence[Mapping[str, Any]], folder: Path = Path()) -> tuple[UsageSource, ...]:
    """Read the `[[usage_source]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        UsageSettingsError: One of them cannot be used; it says which part and why.
    """
    return read_tables(
        tables,
        "usage_source",
        at_most=SOURCES_MAX,
        error=UsageSettingsError,
        read=lambda table, path: _read_source(table, path, folder),
    )


def _read_source(table: Mapping[str, Any], path: str, folder: Path) -> UsageSource:
    if fault := find_url_fault(table["url"]):
        raise UsageSettingsError(fault, f"{path}.url")
    if WINDOW not in table["query"]:
        # Without it one day's count could not be told from another's.
        raise UsageSettingsError(
            f"want {WINDOW} in the query, as in increase(predictions_total[{WINDOW}])", f"{path}.query"
        )
    return UsageSource(
        name=table["name"],
        url=table["url"].rstrip("/"),
        query=table["query"],
        counts=table["counts"],
        token_file=folder / table["token_file"] if "token_file" in table else None,
        ca_file=folder / table["ca_file"] if "ca_file" in table else None,
        interval_s=float(table.get("interval_s", _INTERVAL_S)),
        timeout_s=float(table.get("timeout_s", _TIMEOUT_S)),
    )
