"""Looks at one registry after the other, and says what is not as the gate wants it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from lockgate.registry.errors import RegistryAnswerError, RegistryError, RegistryUnavailableError
from lockgate.registry.types import RegistryModel
from lockgate.storage import read_transaction, write_transaction

LOOK_S: Final = 60.0  # between two looks at a registry; a webhook makes the next one come now
LOOK_S_MAX: Final = 600.0  # for one look, and to begin looks in one run: together below what counts as a job that hangs
HINT_POLL_S: Final = 2.0  # how soon a hint is seen: about the time that a person needs to look up
HINT_REST_S: Final = 10.0  # after a look, before a hint makes another: whoever sends many keeps no registry busy
PAGE_MODELS: Final = 1000  # MLflow's own bound
MODELS_MAX: Final = 200_000  # of one registry; beyond it nothing can be said of those that were not shown
PAGES_MAX: Final = 2000  # that many models in pages of a hundred, the smallest that a registry gives
SUSPECTS_MAX: Final = 500  # asked for one by one in a look; the others wait for the next
OPENED_MAX: Final = 100  # in one look: an alias that is configured anew makes no storm of records
ENDED_MAX: Final = 100  # likewise, when it is put right
HINT_AGE_NS: Final = 2 * 3600 * NS_PER_S  # twice what MLflow's own retries and a replay need
_LOOK_KINDS: Final = frozenset(FindingKind) - {FindingKind.ARTIFACT_DRIFTED}

log_lines = structlog.get_logger("lockgate.reconciling")


def hint_source(registry: str) -> str:
    """Return what messages of a registry are kept as in `seen_message`."""
    return f"mlflow:{registry}"


@dataclass(slots=True, kw_only=True)
class _Turn:
    """What this process remembers of a registry. In its own time: a clock that is set back delays no look.

    Attributes:
        due_s: When the next look is due, hints or none.
        rested_s: From when on a hint makes the next look come now.
        hint: When the newest one came that was looked after; by the clock, so that after it was set back hints wait
            for the look that is due.
    """

    due_s: float = 0.0
    rested_s: float = 0.0
    hint: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspects:
    """The models, by their names there, that do not seem to be as they should.

    Attributes:
        is_cut: Whether the registry has more models than were asked for.
    """

    models: list[str]
    is_cut: bool


class ReconcileJob:
    """Looks at every registry each `LOOK_S` seconds, and at once after a hint (`lockgate.background.job.Job`)."""

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
        began = time.monotonic()
        for name, turn in sorted(self._turns.items(), key=lambda each: each[1].due_s):
            now = time.monotonic()
            if now - began > LOOK_S_MAX:
                break  # the others come first in the next run
            hint = self._read_hint(name)
            if now < turn.due_s and (hint <= turn.hint or now < turn.rested_s):
                continue
            # Remembered as it was before: what comes meanwhile is another reason to look.
            turn.hint = hint
            turn.due_s = now + LOOK_S
            self.look(name)
            turn.rested_s = time.monotonic() + HINT_REST_S
        return HINT_POLL_S

    def look(self, name: str) -> bool:
        """Look at one registry; tell whether it was seen whole, and everything said that there was to say.

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
        deadline_s = time.monotonic() + LOOK_S_MAX
        try:
            found = self._find_suspects(name, deadline_s)
            # Those of which nothing is open come first, so that a long list comes to its end over several looks.
            open_there = {finding.difference.registry_model for finding in self._findings.open_ones()}
            suspects = sorted(found.models, key=open_there.__contains__)
            differences = self._confirm(name, suspects[:SUSPECTS_MAX], deadline_s) if suspects else []
        except RegistryError as exc:
            log_lines.warning("registry_unreachable", registry=name, code=exc.code, detail=str(exc)[:300])
            return False
        is_whole = not found.is_cut and len(suspects) <= SUSPECTS_MAX
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
        is_done = is_whole and is_settled
        if not is_done:
            log_lines.warning("reconcile_goes_on", registry=name, suspects=len(suspects), is_cut=found.is_cut)
        with write_transaction(self._database) as connection:
            if is_done:
                store.mark(connection, store.LOOKED, name, began)
            store.forget_marks(connection, hint_source(name), before=EpochNs(began - HINT_AGE_NS))
        return is_done

    def _read_hint(self, name: str) -> EpochNs:
        with read_transaction(self._database) as connection:
            return store.newest_mark(connection, hint_source(name))

    def _aliases(self, name: str) -> Mapping[str, str]:
        settings = self._settings.get(name)
        return {} if settings is None else settings.aliases

    def _read_known(self, name: str) -> dict[str, Known]:
        with read_transaction(self._database) as connection:
            return read_known(connection, name)

    def _find_suspects(self, name: str, deadline_s: float) -> _Suspects:
        aliases, known = self._aliases(name), self._read_known(name)
        shown: set[str] = set()
        suspects: list[str] = []
        for page in _pages(self._registries[name], deadline_s):
            if len(shown) > MODELS_MAX:
                return _Suspects(models=suspects, is_cut=True)
            for model in page:
                shown.add(model.name)
                if self._differs(name, model, known.get(model.name), aliases):
                    suspects.append(model.name)
        suspects += (model for model, each in known.items() if model not in shown and each.environments)
        return _Suspects(models=suspects, is_cut=False)

    def _differs(self, name: str, model: RegistryModel, known: Known | None, aliases: Mapping[str, str]) -> bool:
        stands = _known_or_not(known, name, model.name)
        return bool(compare(model, stands, registry=name, aliases=aliases, is_gone=lambda _version: False))

    def _confirm(self, name: str, suspects: Iterable[str], deadline_s: float) -> list[Difference]:
        registry, aliases = self._registries[name], self._aliases(name)
        before = self._read_known(name)
        seen: dict[str, RegistryModel | None] = {}
        for model in suspects:
            _check_time(deadline_s)
            seen[model] = registry.find_model(model)
        after = self._read_known(name)
        differences: list[Difference] = []
        for model, shown in seen.items():
            _check_time(deadline_s)
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
        return settle_differences(differences, could_see, findings=self._findings, responder=self._responder)


def settle_differences(
    differences: Iterable[Difference],
    could_see: Callable[[Finding], bool],
    *,
    findings: Findings,
    responder: Responder,
) -> bool:
    """Open, change and end findings; tell whether all of it was done.

    Args:
        differences: What was found now.
        could_see: Tells whether this look would have found again what an open finding is about.
        findings: Where they are kept.
        responder: Opens them.

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
        if before is None or not findings.is_recorded(before):
            if opened < OPENED_MAX:
                responder.open(difference)
            opened += 1
        elif before.difference != difference or not before.standing:
            findings.change(before, difference)
    ended = [
        finding for key, finding in open_now.items() if key not in found and finding.standing and could_see(finding)
    ]
    for finding in ended[:ENDED_MAX]:
        findings.end(finding)
    return opened <= OPENED_MAX and len(ended) <= ENDED_MAX


def _pages(registry: RegistryPort, deadline_s: float) -> Iterator[tuple[RegistryModel, ...]]:
    """Return the pages of a registry's models, as many as there may be; a registry that goes in a circle is refused."""
    cursors: set[str] = set()
    cursor = ""
    while cursor not in cursors and len(cursors) < PAGES_MAX:
        _check_time(deadline_s)
        cursors.add(cursor)
        page = registry.list_models(cursor=cursor, limit=PAGE_MODELS)
        yield page.items
        cursor = page.next_cursor
        if not cursor:
            return
    raise RegistryAnswerError(f"registry {registry.name}: want at most {PAGES_MAX} pages, each once")


def _check_time(deadline_s: float) -> None:
    if time.monotonic() > deadline_s:
        raise RegistryUnavailableError(f"want a registry that can be looked at within {LOOK_S_MAX:g} s")


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
