"""Gathering a case: the promotion, its bundles, its approvals and its people, as they are at one instant."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import ErasedError, LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.identity import Principal, read_principal
from lockgate.lineage.recorded import find_snapshot
from lockgate.promotion import store
from lockgate.promotion.errors import EvidenceErasedError
from lockgate.promotion.evaluation import Case
from lockgate.promotion.hold_store import is_held
from lockgate.promotion.left_versions import find_left_under_hold
from lockgate.promotion.log_words import POINTER_MOVED, check_request
from lockgate.promotion.recorded_holds import is_in_force
from lockgate.promotion.registered_versions import find_registered_digest
from lockgate.promotion.rows import check_recorded, promotion_from_row
from lockgate.promotion.types import Approval, Contributor, Promotion, ReceivedRequest, Verdict
from lockgate.storage import read_transaction

REQUESTER: Final = "requester"  # the role that rule LG-030 asks of whoever requests
CONTRIBUTORS_MAX: Final = 32  # of a request, by its schema
ARRIVALS_MAX: Final = 16  # looked at: of more promotions of one artifact, the newest say enough
_GONE: Final = "the log does not hold what this promotion was made of any more"


class CaseReader:
    """Reads cases, and tells whether the people in one are still who they were."""

    def __init__(self, *, database: Engine, logs: Logs) -> None:
        self._database = database
        self._logs = logs

    def new(self, promotion: Promotion, received: ReceivedRequest, *, now: EpochNs, dry_run: bool) -> Case:
        """Gather the case of a request that just came in, and freeze the newest lineage of what it is about.

        A dry run is answered as if its caller were a requester: who else wants to know what a request would get?

        Returns:
            The case; its promotion names the lineage.

        Raises:
            MovedError: An earlier promotion that counts was moved just now.
            AuditError: The main log cannot be read.
            StorageError: The database failed.
        """
        request = promotion.request
        lineage = find_snapshot(self._database, self._logs.main, request.model, request.version)
        allowed_in_target = self._was_allowed(promotion)
        held, rolled_back = self._hold(promotion)
        registered = find_registered_digest(self._database, self._logs.main, request.model, request.version)
        with read_transaction(self._database) as connection:
            requester = _as_now(connection, promotion.requester)
            if dry_run:
                requester = replace(requester, roles=tuple(sorted({*requester.roles, REQUESTER})))
            return Case(
                promotion=replace(promotion, lineage=sha256_hex(lineage) if lineage else ""),
                requester=requester,
                bundles=received.bundles,
                approvals=(),
                allowed_in_target=allowed_in_target,
                held=held,
                rolled_back=rolled_back,
                registered_digest=registered,
                lineage=lineage,
                now=now,
                dry_run=dry_run,
            )

    def reopened(self, promotion: Promotion, approvals: tuple[Approval, ...], *, now: EpochNs) -> Case:
        """Gather the case of a promotion that is decided anew.

        Args:
            promotion: As it was read, and as the log has it (`Register.in_state`).
            approvals: What it is decided with.
            now: The time now.

        Raises:
            MovedError: An earlier promotion that counts was moved just now.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            EvidenceErasedError: A bundle of the request, or its lineage, was erased on purpose.
            LogInconsistentError: The request is not the one that was decided before, or the log does not hold a bundle
                of it, or its lineage, any more.
            StorageError: The database failed.
        """
        self._check_request(promotion)
        bundles = {
            item.bundle_sha256: self._kept(promotion.log, item.bundle_sha256) for item in promotion.request.evidence
        }
        lineage = self._kept(promotion.log, promotion.lineage) if promotion.lineage else b""
        allowed_in_target = self._was_allowed(promotion)
        held, rolled_back = self._hold(promotion)
        request = promotion.request
        registered = find_registered_digest(self._database, self._logs.main, request.model, request.version)
        with read_transaction(self._database) as connection:
            return Case(
                promotion=promotion,
                requester=_as_now(connection, promotion.requester),
                bundles=bundles,
                approvals=tuple((approval, _as_now(connection, approval.approver)) for approval in approvals),
                allowed_in_target=allowed_in_target,
                held=held,
                rolled_back=rolled_back,
                registered_digest=registered,
                lineage=lineage,
                now=now,
                dry_run=False,
            )

    def makers(self, promotion: Promotion) -> tuple[Contributor, ...]:
        """Return who made this very artifact, as was said when it was allowed into the target before.

        Those of promotions come before those of rollbacks, and what the log does not confirm is passed over. At most
        `CONTRIBUTORS_MAX`.

        Raises:
            MovedError: One of the earlier promotions was moved just now.
            StorageError: The database failed.
        """
        arrivals = sorted(self._arrivals(promotion), key=lambda arrival: arrival.request.transition.kind != "promote")
        named: dict[Contributor, None] = {}
        for arrival in arrivals:
            with contextlib.suppress(LogInconsistentError):
                self._check_request(arrival)
                named |= dict.fromkeys(arrival.request.contributors)
        return tuple(named)[:CONTRIBUTORS_MAX]

    def _hold(self, promotion: Promotion) -> tuple[bool, bool]:
        """Tell whether a hold is in force in the target, and whether a rollback left this very artifact there."""
        request = promotion.request
        model, environment = request.model, request.transition.to_environment
        held = is_in_force(self._database, self._logs, model, environment)
        left = find_left_under_hold(self._logs, model, environment) if held else ()
        return held, any(one.digest == str(request.digest) for one in left)

    def _was_allowed(self, promotion: Promotion) -> bool:
        """Tell whether another promotion of this very artifact, as this version, was allowed into the target."""
        return next(self._arrivals(promotion), None) is not None

    def _arrivals(self, promotion: Promotion) -> Iterator[Promotion]:
        """Look for other promotions of this very artifact, as this version, that were allowed into the target.

        A row that the log does not confirm (forged, pruned, of a log that is not configured any more) does not count,
        and stops nobody: an older one that it confirms still opens the way back.

        Raises:
            MovedError: One of them was moved just now.
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            rows = store.list_arrivals(connection, promotion, ARRIVALS_MAX)
        for row in rows:
            with contextlib.suppress(LogInconsistentError, LogNotConfiguredError):
                arrival = promotion_from_row(row, row["created_ns"])
                decision = check_recorded(self._database, self._logs, arrival)
                if arrival.state in POINTER_MOVED or decision["verdict"] == Verdict.ALLOW:
                    yield arrival

    def _check_request(self, promotion: Promotion) -> None:
        log = self._logs.named(promotion.log)
        try:
            # Who erased what the newest decision was made of said so in the log, and it stops no promotion: but until
            # the next decision has made its own, nobody can tell any more whether the contributors are the same.
            with contextlib.suppress(ErasedError):
                check_request(log, promotion, self._logs.body(promotion.log, promotion.decision_id))
        except (RecordUnknownError, RecordPrunedError) as exc:
            raise LogInconsistentError(_GONE) from exc

    def _kept(self, log: str, sha256: Sha256Hex) -> bytes:
        try:
            return self._logs.named(log).attachment(sha256)
        except ErasedError as exc:
            raise EvidenceErasedError("the evidence of this promotion was erased; request anew with evidence") from exc
        except (RecordUnknownError, RecordPrunedError) as exc:  # what is open needs it, so it was not pruned
            raise LogInconsistentError(_GONE) from exc


def has_moved(connection: Connection, case: Case) -> bool:
    """Tell whether, since it was gathered, anybody in the case lost or gained a role or an identity, or a hold came."""
    request = case.promotion.request
    if is_held(connection, request.model, request.transition.to_environment) and not case.held:
        return True
    people = (case.requester, *(approver for _, approver in case.approvals))
    return any(_as_now(connection, person.subject) != person for person in people)


def _as_now(connection: Connection, subject: str) -> Principal:
    # Roles count as they are now, not as they were: whoever lost one, or is gone, approves nothing any more.
    gone = Principal(subject=subject, type="user", roles=(), identities=())
    return read_principal(connection, subject) or gone
