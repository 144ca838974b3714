"""Looks at one registry after the other, and says what is not as the gate wants it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy import Engine

from lockgate.clock import NS_PER_S, Clock, EpochNs
from lockgate.reconciling import store
from lockgate.reconciling.comparing import compare, unregistered_name
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.responding import Responder
from lockgate.reconciling.types import Difference, Finding, FindingKind, Known
from lockgate.reconciling.wanted import read_known
from lockgate.registry import RegistryPort, RegistrySettings
from lockgate.registry.errors import RegistryError
from lockgate.registry.types import RegistryModel
from lockgate.storage import read_transaction, write_transaction

LOOK_S: Final = 60.0  # between two looks at a registry; a webhook makes the next one come now
HINT_POLL_S: Final = 2.0  # how soon a hint is seen: about the time that a person needs to look up
PAGE_MODELS: Final = 1000  # MLflow's own bound
MODELS_MAX: Final = 200_000  # of one registry; beyond it nothing can be said of those that were not shown
SUSPECTS_MAX: Final = 500  # asked for one by one in a look; the others wait for the next
OPENED_MAX: Final = 100  # in one look: an alias that is configured anew makes no storm of records
HINT_AGE_NS: Final = 2 * 3600 * NS_PER_S  # twice what MLflow's own retries and a replay need
_LOOK_KINDS: Final = frozenset(FindingKind) - {FindingKind.ARTIFACT_DRIFTED}

log_lines = structlog.get_logger("lockgate.reconciling")


def hint_source(registry: str) -> str:
    """Return what messages of a registry are kept as in `seen_message`."""
    return f"mlflow:{registry}"


@dataclass(slots=True, kw_only=True)
class _Turn:
    """What this process remembers of a registry. In its own time: a clock that is set back delays no look."""

    due_s: float = 0.0
    hints: tuple[int, int] = (0, 0)


class ReconcileJob:
    """Looks at every registry each `LOOK_S` seconds, and at once after a hint (`lockgate.background.worker.Job`)."""

    name = "reconcile"

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        registries: Mapping[str, RegistryPort],
        settings: Mapping[str, RegistrySettings],
        findings: Findings,
        responder: Responder,
        database: Engine,
        clock: Clock,
    ) -> None:
        self._registries = registries
        self._settings = settings
        self._findings = findings
        self._responder = responder
        self._database = database
        self._clock = clock
        self._turns = {name: _Turn() for name in registries}

    def run(self) -> float:
        """Look where a look is due, and return in how many seconds to see whether one is.

        Raises:
            AuditError: A finding could not be recorded.
            StorageError: The database failed.
        """
        for name, turn in self._turns.items():
            hints = self._read_hints(name)
            if time.monotonic() < turn.due_s and hints == turn.hints:
                continue
            # Remembered as they were before: what comes meanwhile is another reason to look.
            turn.hints = hints
            turn.due_s = time.monotonic() + LOOK_S
            self.look(name)
        return HINT_POLL_S

    def look(self, name: str) -> bool:
        """Look at one registry; tell whether it could be seen whole.

        The steps:
          (1) What the gate wants, then every model that the registry shows, and those that it does not.
          (2) What differs is looked at again: what the gate wants, the model by its name, what the gate wants. A
              rollout that went on meanwhile is no finding, and neither is a page that came apart.
          (3) Findings are opened, changed, and said to stand no longer.

        Silence, nonsense and refusals make no finding and end none: they are a line in the log and an age that grows.

        Raises:
            AuditError: A finding could not be recorded.
            StorageError: The database failed.
        """
        began = self._clock.now_ns()
        try:
            # Those of which nothing is open come first, so that a long list comes to its end over several looks.
            open_there = {finding.difference.registry_model for finding in self._findings.open_ones()}
            suspects = sorted(self._find_suspects(name), key=open_there.__contains__)
            differences = self._confirm(name, suspects[:SUSPECTS_MAX]) if suspects else []
        except RegistryError as exc:
            log_lines.warning("registry_unreachable", registry=name, code=exc.code, detail=str(exc)[:300])
            return False
        is_whole = len(suspects) <= SUSPECTS_MAX
        environments = frozenset(self._aliases(name))
        is_settled = self._settle(
            differences,
            lambda finding: (
                is_whole
                and finding.difference.registry == name
                and finding.difference.kind in _LOOK_KINDS
                # Versions are looked for where a pointer does not stand right; the others are the other job's.
                and (
                    finding.difference.kind != FindingKind.VERSION_DELETED
                    or finding.difference.environment in environments
                )
            ),
        )
        if not (is_whole and is_settled):
            log_lines.warning("reconcile_goes_on", registry=name, suspects=len(suspects))
        with write_transaction(self._database) as connection:
            store.mark(connection, store.LOOKED, name, began)
            store.forget_marks(connection, hint_source(name), before=EpochNs(began - HINT_AGE_NS))
        return is_whole and is_settled

    def _read_hints(self, name: str) -> tuple[int, int]:
        with read_transaction(self._database) as connection:
            return store.newest_mark(connection, hint_source(name))

    def _aliases(self, name: str) -> Mapping[str, str]:
        settings = self._settings.get(name)
        return {} if settings is None else settings.aliases

    def _read_known(self, name: str) -> dict[str, Known]:
        with read_transaction(self._database) as connection:
            return read_known(connection, name)

    def _find_suspects(self, name: str) -> list[str]:
        """Return the models, by their names there, that do not seem to be as they should."""
        registry, aliases = self._registries[name], self._aliases(name)
        known = self._read_known(name)
        shown: set[str] = set()
        suspects: list[str] = []
        cursor = ""
        while True:
            page = registry.list_models(cursor=cursor, limit=PAGE_MODELS)
            for model in page.items:
                shown.add(model.name)
                if self._differs(name, model, known.get(model.name), aliases):
                    suspects.append(model.name)
            cursor = page.next_cursor
            if not cursor or len(shown) > MODELS_MAX:
                break
        if not cursor:
            suspects += (model for model, each in known.items() if model not in shown and each.environments)
        return suspects

    def _differs(self, name: str, model: RegistryModel, known: Known | None, aliases: Mapping[str, str]) -> bool:
        stands = _known_or_not(known, name, model.name)
        return bool(compare(model, stands, registry=name, aliases=aliases, is_gone=lambda _version: False))

    def _confirm(self, name: str, suspects: Iterable[str]) -> list[Difference]:
        registry, aliases = self._registries[name], self._aliases(name)
        before = self._read_known(name)
        seen = {model: registry.find_model(model) for model in suspects}
        after = self._read_known(name)
        differences: list[Difference] = []
        for model, shown in seen.items():
            known = _both(before.get(model), after.get(model))
            differences += compare(
                shown,
                _known_or_not(known, name, model),
                registry=name,
                aliases=aliases,
                is_gone=_is_gone(registry, model),
            )
        return differences

    def _settle(self, differences: Iterable[Difference], could_see: Callable[[Finding], bool]) -> bool:
        return settle_differences(
            differences, could_see, findings=self._findings, responder=self._responder, database=self._database
        )


def settle_differences(
    differences: Iterable[Difference],
    could_see: Callable[[Finding], bool],
    *,
    findings: Findings,
    responder: Responder,
    database: Engine,
) -> bool:
    """Open, change and end findings; tell whether all of it was done.

    Args:
        differences: What was found now.
        could_see: Tells whether this look would have found again what an open finding is about.
        findings: Where they are kept.
        responder: Opens them.
        database: Where they are kept.

    Raises:
        AuditError: A finding could not be recorded.
        StorageError: The database failed.
    """
    open_now = {finding.difference.key: finding for finding in findings.open_ones()}
    opened = 0
    found: set[tuple[FindingKind, str, str]] = set()
    for difference in differences:
        found.add(difference.key)
        before = open_now.get(difference.key)
        if before is None:
            if opened < OPENED_MAX:
                responder.open(difference)
            opened += 1
        elif before.difference != difference or not before.standing:
            findings.change(before, difference)
    ended = [
        finding for key, finding in open_now.items() if key not in found and finding.standing and could_see(finding)
    ]
    if ended:
        with write_transaction(database) as connection:
            for finding in ended:
                store.change_finding(connection, finding, finding.difference, standing=False)
    return opened <= OPENED_MAX


def _known_or_not(known: Known | None, registry: str, registry_model: str) -> Known:
    return known or Known(model=unregistered_name(registry, registry_model), registry_model=registry_model)


def _both(before: Known | None, after: Known | None) -> Known | None:
    """Return what is known now, with what was allowed before the registry was asked allowed as well."""
    if before is None or after is None:
        return after
    environments = {
        environment: replace(wanted, allowed=wanted.allowed | before.environments[environment].allowed)
        if environment in before.environments
        else wanted
        for environment, wanted in after.environments.items()
    }
    return replace(after, environments=environments)


def _is_gone(registry: RegistryPort, model: str) -> Callable[[str], bool]:
    return lambda version: registry.find_version(model, version) is None
