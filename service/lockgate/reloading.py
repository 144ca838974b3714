"""A changed policy and changed issuers, put in force without a restart; recorded is which policy was.

The trust folder needs no call: it is watched (`lockgate.evidence.TrustFolder`). A policy is not, for whoever edits
rules saves one file after the other, and half an edit must not decide.
"""

import contextlib
import threading
import uuid
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from lockgate.audit import SYSTEM, Actor, AuditError, AuditLog, DuplicateIDError, Event
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, format_timestamp
from lockgate.errors import LockgateError
from lockgate.instance import Accepted, Instance
from lockgate.policy import PolicyInForce, PolicyUnavailableError
from lockgate.storage import StorageError

POLICY_CHANGE: Final = "gate.policy"
RELOADING_KINDS: Final = {POLICY_CHANGE: "v1/api/policy_change"}
_NAMESPACE: Final = uuid.UUID("0f0b1d5e-6b1f-4a43-9a3c-5f7c1f0e2a11")  # of the ids below, nothing else

Reader: TypeAlias = Callable[[], Accepted]
"""Reads the files and checks them all; raises LockgateError if one cannot be used."""

Preparer: TypeAlias = Callable[[Accepted], Callable[[], None]]
"""Makes ready what was accepted; returns what puts it in force in this process, which cannot fail."""


def accept_files(instance: Instance, read: Reader) -> None:
    """Let every process of an instance decide by its files as they are now; if they cannot be used, as before.

    For a process that serves nobody itself. What came of it is in its log: nobody waits for an answer here, and those
    that serve say so only with their next request.
    """
    try:
        with instance.turn():
            accepted = read()
            instance.put(accepted)
    except (LockgateError, OSError) as exc:
        _log_refusal(exc)
    else:
        structlog.get_logger().info("reload_accepted", policy_revision=accepted.policy.catalogue.revision)


class Reloader:
    """Keeps one process in step with its instance. Safe to share between threads."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        instance: Instance,
        followed: int,
        read: Reader,
        prepare: Preparer,
        policy: PolicyInForce,
        log: AuditLog,
        clock: Clock,
    ) -> None:
        """Take the parts.

        Args:
            instance: What its processes share.
            followed: `instance.changed` before what is in force here was got from it.
            read: Reads the files.
            prepare: Makes ready what they say.
            policy: In force in this process.
            log: Where changes of policy are recorded.
            clock: For the records.
        """
        self.policy = policy
        self._instance = instance
        self._followed = followed
        self._read = read
        self._prepare = prepare
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._to_record = False

    def begin(self) -> None:
        """Record which policy is in force, if the log has another as the newest: for a process that begins to serve."""
        with self._lock:
            self._to_record = True
            self._try_to_record()

    def refresh(self) -> None:
        """Follow a change that came since the last look; costs nothing where there is none."""
        if self._instance.changed == self._followed and not self._to_record:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it; until it is done, what was in force decides
        try:
            self._follow()
            self._try_to_record()
        finally:
            self._lock.release()

    def reload(self, actor: Actor, trace: str) -> None:
        """Put in force what lies in the files now, here and, with their next request, in its other processes.

        Raises:
            LockgateError: It cannot be used; what was in force stays in force.
            AuditError: It is in force, but that could not be recorded yet.
        """
        try:
            with self._instance.turn():
                accepted = self._read()
                self._prepare(accepted)
                self._instance.put(accepted)
        except LockgateError as exc:
            _log_refusal(exc)
            raise
        with self._lock:
            self._follow()
            self._record(actor, trace)

    def _follow(self) -> None:
        changed = self._instance.changed  # before the look: a change that comes after it is followed next time
        if changed == self._followed:
            return
        try:
            self._prepare(self._instance.get())()
        except (LockgateError, OSError) as exc:
            _log_refusal(exc)
            return
        self._followed = changed
        self._to_record = True
        structlog.get_logger().info("reloaded", policy_revision=self.policy.revision())

    def _try_to_record(self) -> None:
        # Not now, then at the next request: a log that cannot be written stops every decision anyway.
        with contextlib.suppress(AuditError, StorageError, PolicyUnavailableError):
            if self._to_record:
                self._record(SYSTEM, None)

    def _record(self, actor: Actor, trace: str | None) -> None:
        engine = self.policy.engine
        revision = engine.catalogue().revision
        newest = self._log.find(RecordFilter(kind=POLICY_CHANGE), limit=1, newest_first=True)
        before = parse_canonical(newest[0].body)["body"]["revision"] if newest else ""
        # One change has one id, so that the processes which all see it record it once.
        change = str(uuid.uuid5(_NAMESPACE, f"{newest[0].seq if newest else ''}:{revision}"))
        if before != revision:
            body = {
                "schema_version": 1,
                "revision": revision,
                "before": before,
                "engine": engine.name,
                "changed_at": format_timestamp(self._clock.now_ns()),
            }
            with contextlib.suppress(DuplicateIDError):
                self._log.append(Event(id=change, kind=POLICY_CHANGE, actor=actor, body=body, trace=trace))
        self._to_record = False


def _log_refusal(error: LockgateError | OSError) -> None:
    code = error.code if isinstance(error, LockgateError) else "internal.files"
    structlog.get_logger().error("reload_refused", code=code, detail=str(error)[:500])
