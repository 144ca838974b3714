"""Rolling back: finds the last good version, and asks for it by the gate's own way, with its own evidence again.

The gate decides by its own, smaller row of the matrix; signatures are verified afresh, so that what was revoked since
does not come back.
"""

import contextlib
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping

from lockgate.audit import ErasedError, LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.clock import EpochNs
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.identity import Principal
from lockgate.lifecycle import live_store
from lockgate.lifecycle.errors import NoGoodVersionError
from lockgate.lifecycle.rollout_parsing import RollbackRequest, parse_rollback_request
from lockgate.promotion import rollout_store, store
from lockgate.promotion.errors import EvidenceErasedError
from lockgate.promotion.gate import Gate
from lockgate.promotion.left_versions import LeftVersion, find_left
from lockgate.promotion.log_words import check_request
from lockgate.promotion.parsing import request_from_row
from lockgate.promotion.rows import check_recorded, promotion_from_row
from lockgate.promotion.types import PromotionAnswer, PromotionState, ReceivedRequest, Transition
from lockgate.storage import read_transaction

INTERVALS_MAX: Final = 1000  # looked back at: a change an hour for six weeks
CANDIDATES_MAX: Final = 8  # of which the newest that the log confirms counts; more that it does not are an attack
_GONE: Final = "the evidence of the version to roll back to is in the log no more; promote it with its evidence"


class Rollbacks:
    """Asks for rollbacks."""

    def __init__(self, *, database: Engine, logs: Logs, gate: Gate) -> None:
        self._database = database
        self._logs = logs
        self._gate = gate

    def request(
        self,
        requester: Principal,
        body: bytes,
        *,
        idempotency_key: str | None,
        trace: str,
        avoid: Collection[str] = (),
    ) -> PromotionAnswer:
        """Ask for the last good version of a model in an environment, or for a named earlier one.

        Args:
            requester: Who asks; authenticated, and permitted to ask.
            body: As `v1/api/rollback_request`.
            idempotency_key: As `Gate.request`.
            trace: The HTTP request's id.
            avoid: Digests that whoever asks knows to be bad.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` breaks its schema.
            NoGoodVersionError: There is nothing to roll back to.
            EvidenceErasedError: Its evidence was erased or pruned.
            LogNotConfiguredError: The log that holds its evidence is not one of this gate.
            LockgateError: As `Gate.request`.
        """
        wanted = parse_rollback_request(body)
        return self._gate.take_in(
            requester, lambda: self._receive(wanted, avoid), body=body, idempotency_key=idempotency_key, trace=trace
        )

    def _receive(self, wanted: RollbackRequest, avoid: Collection[str]) -> ReceivedRequest:
        left = find_left(self._logs, wanted.model, wanted.environment)
        with read_transaction(self._database) as connection:
            rows = _find_good(connection, wanted, left, avoid)
        if not rows:
            raise NoGoodVersionError(
                "want an earlier version that was confirmed there and was not rolled back; there is none"
            )
        row = next((row for row in rows if self._is_recorded(row, wanted)), None)
        if row is None:
            raise EvidenceErasedError(_GONE)
        transition = Transition(kind="rollback", from_environment=wanted.environment, to_environment=wanted.environment)
        request = replace(request_from_row(row["request"]), transition=transition, reason=wanted.reason)
        bundles = {item.bundle_sha256: self._bundle(row["log"], item.bundle_sha256) for item in request.evidence}
        return ReceivedRequest(request=request, bundles=bundles)

    def _is_recorded(self, row: RowMapping, wanted: RollbackRequest) -> bool:
        """Tell whether the log confirms a promotion, its contributors, too; a row that it does not stops nobody.

        Raises:
            MovedError: The promotion was moved just now.
            AuditError: The log cannot be read.
            StorageError: The database cannot be read.
        """
        try:
            promotion = promotion_from_row(row, row["created_ns"])
            request = promotion.request
            if (request.model, request.transition.to_environment) != (wanted.model, wanted.environment):
                return False
            decision = check_recorded(self._database, self._logs, promotion)
            # As for any decision made anew: whoever erased what the last one was made of said so in the log.
            with contextlib.suppress(ErasedError):
                check_request(self._logs.named(promotion.log), promotion, decision)
        except (LogInconsistentError, LogNotConfiguredError, RecordUnknownError, RecordPrunedError):
            return False
        return promotion.state is PromotionState.CONFIRMED

    def _bundle(self, log: str, sha256: str) -> bytes:
        try:
            return self._logs.named(log).attachment(sha256)
        except (ErasedError, RecordUnknownError, RecordPrunedError) as exc:
            raise EvidenceErasedError(_GONE) from exc


def _find_good(
    connection: Connection,
    wanted: RollbackRequest,
    left_before: Collection[tuple[EpochNs, LeftVersion]],
    avoid: Collection[str],
) -> list[RowMapping]:
    """Return the rows of promotions that may have brought the version to go back to, the newest first.

    The steps:
      (1) What is to be left: what is being carried out and was moved already; else what is live.
      (2) Back in time, the newest that a promotion brought and that is not to be left; nor, unless its version is
          named, was it left by a rollback since: by the log's word, or in holds of before that was recorded by the
          tables'.
    """
    model, environment = wanted.model, wanted.environment
    page = live_store.list_intervals(connection, model, environment, before=None, limit=INTERVALS_MAX)
    # (1) What is to be left.
    left = page[0][1].digest if page else ""
    rollout = rollout_store.rollout_under_way(connection, model, environment)
    moved = None if rollout is None else store.read_promotion_row(connection, rollout.promotion_id)
    if moved is not None and moved["state"] == PromotionState.EXECUTING.value:
        left = moved["digest"]
    # (2) Back in time.
    good: list[RowMapping] = []
    bad: set[str] = set(avoid)
    replaced_by = ""
    for _, interval in page:
        if replaced_by == "rollback":
            bad.add(interval.digest)
        bad.update(one.digest for when, one in left_before if one.digest == interval.digest and when >= interval.begins)
        row = store.read_promotion_row(connection, interval.promotion_id) if interval.promotion_id else None
        replaced_by = "" if row is None else row["kind"]
        fits = interval.version == wanted.version if wanted.version else interval.digest not in bad
        if row is not None and fits and interval.digest != left:
            good.append(row)
        if len(good) == CANDIDATES_MAX:
            break
    return good
