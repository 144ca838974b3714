"""Gathering a case: the promotion, its bundles, its approvals and its people, as they are at one instant."""

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import ErasedError, LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.identity import Principal, read_principal
from lockgate.promotion import store
from lockgate.promotion.errors import EvidenceErasedError
from lockgate.promotion.evaluation import Case
from lockgate.promotion.holds import is_held
from lockgate.promotion.lineage import find_snapshot
from lockgate.promotion.logs import Logs
from lockgate.promotion.types import Approval, Promotion, ReceivedRequest
from lockgate.storage import read_transaction

REQUESTER: Final = "requester"  # the role that rule LG-030 asks of whoever requests


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
            AuditError: The main log cannot be read.
            StorageError: The database failed.
        """
        request = promotion.request
        lineage = find_snapshot(self._database, self._logs.main, request.model, request.version)
        with read_transaction(self._database) as connection:
            requester = _as_now(connection, promotion.requester)
            if dry_run:
                requester = replace(requester, roles=tuple(sorted({*requester.roles, REQUESTER})))
            return Case(
                promotion=replace(promotion, lineage=sha256_hex(lineage) if lineage else ""),
                requester=requester,
                bundles=received.bundles,
                approvals=(),
                allowed_in_target=store.was_allowed(connection, promotion),
                held=is_held(connection, request.model, request.transition.to_environment),
                lineage=lineage,
                now=now,
                dry_run=dry_run,
            )

    def reopened(self, promotion: Promotion, approvals: tuple[Approval, ...], *, now: EpochNs) -> Case:
        """Gather the case of a promotion that is decided anew.

        Raises:
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            EvidenceErasedError: A bundle of the request, or its lineage, was erased on purpose.
            LogInconsistentError: The log does not hold a bundle of the request, or its lineage, any more.
            StorageError: The database failed.
        """
        bundles = {
            item.bundle_sha256: self._kept(promotion.log, item.bundle_sha256) for item in promotion.request.evidence
        }
        lineage = self._kept(promotion.log, promotion.lineage) if promotion.lineage else b""
        with read_transaction(self._database) as connection:
            return Case(
                promotion=promotion,
                requester=_as_now(connection, promotion.requester),
                bundles=bundles,
                approvals=tuple((approval, _as_now(connection, approval.approver)) for approval in approvals),
                allowed_in_target=store.was_allowed(connection, promotion),
                held=is_held(connection, promotion.request.model, promotion.request.transition.to_environment),
                lineage=lineage,
                now=now,
                dry_run=False,
            )

    def _kept(self, log: str, sha256: Sha256Hex) -> bytes:
        try:
            return self._logs.named(log).attachment(sha256)
        except ErasedError as exc:
            raise EvidenceErasedError("the evidence of this promotion was erased; request anew with evidence") from exc
        except (RecordUnknownError, RecordPrunedError) as exc:  # what is open needs it, so it was not pruned
            raise LogInconsistentError("the log does not hold what this promotion was made of any more") from exc


def has_moved(connection: Connection, case: Case) -> bool:
    """Tell whether, since it was gathered, anybody in the case lost or gained a role or an identity, or a hold came."""
    request = case.promotion.request
    if is_held(connection, request.model, request.transition.to_environment) != case.held:
        return True
    people = (case.requester, *(approver for _, approver in case.approvals))
    return any(_as_now(connection, person.subject) != person for person in people)


def _as_now(connection: Connection, subject: str) -> Principal:
    # Roles count as they are now, not as they were: whoever lost one, or is gone, approves nothing any more.
    gone = Principal(subject=subject, type="user", roles=(), identities=())
    return read_principal(connection, subject) or gone
