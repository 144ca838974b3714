"""How a finding is answered, by the model's tier; and moving a pointer back, once, with a permit."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine, select

from lockgate.audit import LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.clock import Clock, EpochNs
from lockgate.errors import LockgateError
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.ids import new_id
from lockgate.permits import PERMIT_LIFE_NS, Permit, PermitKey
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.let_in import was_let_in
from lockgate.reconciling.types import Difference, FindingKind
from lockgate.recorded_models import find_model
from lockgate.registry import BUILTIN, RegistryPort, RegistrySettings
from lockgate.registry.settings import Response
from lockgate.storage import read_transaction
from lockgate.storage.tables import promotion as promotion_table

RESTORED: Final = "restored"
ANY_TIER: Final = "*"
_STRICTEST_LAST: Final[tuple[Response, ...]] = ("observe", "alert", "restore", "freeze")
_RESTORABLE: Final = frozenset({FindingKind.ALIAS_MOVED, FindingKind.ALIAS_VANISHED})


class Responder:
    """Opens findings, each with its answer. Safe to share between threads."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        findings: Findings,
        registries: Mapping[str, RegistryPort],
        settings: Mapping[str, RegistrySettings],
        database: Engine,
        logs: Logs,
        key: PermitKey | None,
        clock: Clock,
    ) -> None:
        self._findings = findings
        self._registries = registries
        self._settings = settings
        self._database = database
        self._logs = logs
        self._key = key
        self._clock = clock

    def open(self, difference: Difference) -> bool:
        """Open a finding and answer it; tell whether none like it was open.

        The steps:
          (1) The answer that the settings want for the tier. What cannot be moved back is an alarm, and so is what the
              log does not say was let in last: a permit is not signed on the word of a row.
          (2) The finding, its record, and the hold if it wants one, in one transaction.
          (3) The pointer is moved back, once. Whatever comes of that is a record, too.

        Raises:
            AuditError: It could not be recorded; then nothing is moved either.
            StorageError: The database failed.
        """
        # (1) The answer.
        response = self._choose(difference)
        if response == "restore" and not self._may_restore(difference):
            response = "alert"
        # (2) The finding. Of two processes that look at the same moment, one opens it, and that one goes on.
        permit_id = new_id(self._clock.now_ns()) if response == "restore" else ""
        finding_id = self._findings.open(difference, response, permit_id=permit_id)
        if not finding_id:
            return False
        # (3) The pointer.
        if response == "restore":
            outcome = self._restore(difference, permit_id)
            self._findings.answer(finding_id, difference, response, permit_id=permit_id, outcome=outcome)
        return True

    def _choose(self, difference: Difference) -> Response:
        settings = self._settings.get(difference.registry)
        rules = [
            rule
            for rule in (settings.responses if settings else ())
            if not rule.kinds or difference.kind.value in rule.kinds
        ]
        if not rules:
            return "alert"
        tier = self._read_tier(difference.model)
        if not tier:  # nobody ever decided about it: as if it were of the tier that is watched most
            return max((rule.response for rule in rules), key=_STRICTEST_LAST.index)
        fitting = (rule.response for rule in rules if rule.tier in {tier, ANY_TIER})
        return next(fitting, "alert")

    def _read_tier(self, model: str) -> str:
        columns = promotion_table.c
        newest = select(columns.log, columns.decision_id).where(columns.model == model).order_by(columns.number.desc())
        with read_transaction(self._database) as connection:
            row = connection.execute(newest.limit(1)).first()
        if row is None:
            return ""
        try:
            tier: str = self._logs.body(row.log, row.decision_id)["subject"]["tier"]
        except (RecordUnknownError, RecordPrunedError, LogNotConfiguredError):
            return ""
        return tier

    def _may_restore(self, difference: Difference) -> bool:
        """Tell whether the log confirms where a pointer is to be moved back to, and of which model where."""
        if difference.kind not in _RESTORABLE or not was_let_in(self._logs, difference):
            return False
        try:
            model = find_model(self._database, self._logs.main, difference.model)
        except LogInconsistentError:
            return False
        there = (BUILTIN, difference.model) if model is None else (model.registry, model.registry_model)
        return there == (difference.registry, difference.registry_model)

    def _restore(self, difference: Difference, permit_id: str) -> str:
        """Move a pointer back if it still stands where it was found; return what came of it."""
        if self._key is None:
            return "permit.no_key"
        now = self._clock.now_ns()
        permit = Permit(
            id=permit_id,
            issuer=self._logs.named(self._logs.name_for(difference.environment)).origin,
            audience=difference.registry,
            issued=now,
            expires=EpochNs(now + PERMIT_LIFE_NS),
            promotion=difference.promotion_id,
            registry=difference.registry,
            registry_model=difference.registry_model,
            alias=difference.alias,
            version=difference.wanted_version,
            digest=difference.wanted_digest,
            environment=difference.environment,
        )
        try:
            self._registries[difference.registry].move_pointer(
                difference.registry_model,
                difference.alias,
                difference.wanted_version,
                expected=difference.found_version or None,
                permit=self._key.sign_permit(permit),
            )
        except LockgateError as exc:
            return exc.code
        return RESTORED
