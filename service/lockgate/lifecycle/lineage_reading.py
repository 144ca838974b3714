"""What became of a version: its promotions with their ends, and when it was live; for those who ask for its lineage."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from lockgate.audit import ErasedError, RecordPrunedError, RecordUnknownError
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.lifecycle import live_store
from lockgate.lineage.graph import DeploymentFact, PromotionFact
from lockgate.lineage.openlineage import PromotionRun
from lockgate.promotion.kinds import CONFIRMATION, EXPIRY, ROLLOUT_FAILURE, SUPERSESSION, WITHDRAWAL
from lockgate.promotion.register import Register
from lockgate.promotion.store import PromotionFilter
from lockgate.promotion.types import Promotion, PromotionState
from lockgate.storage import read_transaction

PROMOTIONS_MAX: Final = 100  # the newest ones of a version; it is asked for a handful of times in its life
DEPLOYMENTS_MAX: Final = 100
RUNS_MAX: Final = 20  # for each, its decision and its end are looked up in the log
ENDS_SEARCHED_MAX: Final = 1000  # records of one kind about the model, newest first
# How it ended is said by a record of this kind; where none is named, by the newest decision.
_ENDS: Final[Mapping[PromotionState, str]] = {
    PromotionState.CONFIRMED: CONFIRMATION,
    PromotionState.FAILED: ROLLOUT_FAILURE,
    PromotionState.SUPERSEDED: SUPERSESSION,
    PromotionState.WITHDRAWN: WITHDRAWAL,
    PromotionState.EXPIRED: EXPIRY,
}
_BY_DECISION: Final = frozenset({PromotionState.DENIED, PromotionState.REJECTED})


class LineageReader:
    """Reads what became of versions; changes nothing but that what ran out is recorded as expired."""

    def __init__(self, *, database: Engine, logs: Logs, register: Register) -> None:
        self._database = database
        self._logs = logs
        self._register = register

    def promotions(self, model: str, version: str) -> tuple[PromotionFact, ...]:
        """Return a version's promotions, newest first, `PROMOTIONS_MAX` at most.

        Raises:
            StorageError: The database failed.
        """
        return tuple(
            PromotionFact(
                id=promotion.id,
                kind=promotion.request.transition.kind,
                from_environment=promotion.request.transition.from_environment,
                to_environment=promotion.request.transition.to_environment,
                state=promotion.state.value,
                decision_id=promotion.decision_id,
                log=promotion.log,
                requested=promotion.created,
            )
            for promotion in self._promotions(model, version, PROMOTIONS_MAX)
        )

    def deployments(self, model: str, version: str) -> tuple[DeploymentFact, ...]:
        """Return when a version was live, newest first, `DEPLOYMENTS_MAX` at most.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            intervals = live_store.list_intervals_of(connection, model, version, DEPLOYMENTS_MAX)
        return tuple(
            DeploymentFact(
                environment=interval.environment,
                promotion_id=interval.promotion_id,
                began=interval.begins,
                ended=interval.ends,
                record_id=interval.record_id,
            )
            for interval in intervals
        )

    def runs(self, model: str, version: str, owner: str) -> tuple[tuple[PromotionRun, bytes], ...]:
        """Return a version's newest promotions as runs, each with the snapshot that it was decided with, or nothing.

        Those whose decision is not in the log any more are left out.

        Args:
            model: The model.
            version: Its version.
            owner: The team that owns the model.

        Raises:
            AuditError: A log cannot be read.
            StorageError: The database failed.
        """
        runs = []
        for promotion in self._promotions(model, version, RUNS_MAX):
            decision = self._record(promotion.log, promotion.decision_id)
            if decision is not None:
                runs.append((self._run(promotion, decision, owner), self._snapshot(promotion)))
        return tuple(runs)

    def _promotions(self, model: str, version: str, limit: int) -> tuple[Promotion, ...]:
        wanted = PromotionFilter(model=model, version=version, limit=limit)
        return tuple(promotion for _, promotion in self._register.list(wanted))

    def _run(self, promotion: Promotion, decision: Mapping[str, Any], owner: str) -> PromotionRun:
        request, body = promotion.request, decision["body"]
        counted = {outcome["approver"] for outcome in body["approvals"] if outcome["counted"]}
        return PromotionRun(
            id=promotion.id,
            model=request.model,
            version=request.version,
            digest=str(request.digest),
            owner=owner,
            kind=request.transition.kind,
            from_environment=request.transition.from_environment,
            to_environment=request.transition.to_environment,
            state=promotion.state.value,
            requested=promotion.created,
            ended=self._ended(promotion, decision),
            decision=body["verdict"],
            policy_revision=body["policy"]["revision"],
            record=promotion.decision_id,
            log=promotion.log,
            lineage=f"sha256:{promotion.lineage}" if promotion.lineage else "",
            approvers=tuple(sorted(counted)),
        )

    def _ended(self, promotion: Promotion, decision: Mapping[str, Any]) -> EpochNs | None:
        if promotion.state in _BY_DECISION:
            return parse_timestamp(decision["ts"])
        kind = _ENDS.get(promotion.state)
        if kind is None:
            return None
        wanted = RecordFilter(kind=kind, subject=f"model:{promotion.request.model}")
        found = self._logs.named(promotion.log).find(wanted, limit=ENDS_SEARCHED_MAX, newest_first=True)
        for record in (parse_canonical(stored.body) for stored in found):
            if record["body"]["promotion_id"] == promotion.id:
                return parse_timestamp(record["ts"])
        return None

    def _record(self, log: str, record_id: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = parse_canonical(self._logs.named(log).record_by_id(record_id).body)
        except (LogNotConfiguredError, RecordUnknownError, RecordPrunedError):
            return None
        return record

    def _snapshot(self, promotion: Promotion) -> bytes:
        if not promotion.lineage:
            return b""
        try:
            return self._logs.named(promotion.log).attachment(promotion.lineage)
        except (LogNotConfiguredError, RecordUnknownError, RecordPrunedError, ErasedError):
            return b""
