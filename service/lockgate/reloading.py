"""What lies in the policy folder and the issuers' file, put in force without a restart; recorded is which policy was.

The trust folder needs no call: it is watched (`lockgate.evidence.TrustFolder`). A policy is not, for whoever edits
rules saves one file after the other, and half an edit must not decide.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing.sharedctypes import RawValue
from typing import Final, TypeAlias

import structlog

from lockgate.audit import Actor, AuditError, AuditLog, DuplicateIDError, Event
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, format_timestamp
from lockgate.errors import LockgateError
from lockgate.policy import PolicyInForce, PolicyUnavailableError
from lockgate.storage import StorageError

POLICY_CHANGE: Final = "gate.policy"
RELOADING_KINDS: Final = {POLICY_CHANGE: "v1/api/policy_change"}
_NAMESPACE: Final = uuid.UUID("0f0b1d5e-6b1f-4a43-9a3c-5f7c1f0e2a11")  # of the ids below, nothing else
_SYSTEM: Final = Actor(type="system", id="lockgate")

Part: TypeAlias = Callable[[], Callable[[], None]]
"""Reads and checks one thing that can be reloaded; returns what puts it in force, which cannot fail."""


class ReloadCall:
    """A call to every process of this instance to look at its files again. Make it before they fork."""

    def __init__(self) -> None:
        # Eight aligned bytes in shared memory, without a lock that a killed process could take along.
        self._made = RawValue("Q", 0)

    @property
    def made(self) -> int:
        """When the newest call was made, by a clock that all processes share; 0 if none was."""
        return int(self._made.value)

    def make(self) -> int:
        """Call now; return the call's time, by which it is known."""
        self._made.value = time.monotonic_ns()
        return self.made


class Reloader:
    """Follows the calls of its instance. Safe to share between threads.

    What cannot be used changes nothing: all of it was in force before, and all of it stays; `problem` says so.
    """

    def __init__(
        self, *, policy: PolicyInForce, parts: Sequence[Part], log: AuditLog, clock: Clock, call: ReloadCall
    ) -> None:
        self.policy = policy
        self._parts = parts
        self._log = log
        self._clock = clock
        self._call = call
        self._followed = call.made
        self._lock = threading.Lock()
        self._problem = ""
        self._to_record = False

    @property
    def problem(self) -> str:
        """The code of what is wrong with the files, if the last call could not be followed; else ""."""
        return self._problem

    def begin(self) -> None:
        """Record which policy is in force, if the log has another as the newest: for a process that begins to serve."""
        with self._lock:
            self._to_record = True
            self._try_to_record()

    def refresh(self) -> None:
        """Follow a call that came since the last look; costs nothing where there is none."""
        if self._call.made == self._followed and not self._to_record:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it; until it is done, what was in force decides
        try:
            if self._call.made != self._followed:
                self._followed = self._call.made
                # Nobody waits for an answer here: it is in the log, and readiness shows it.
                with contextlib.suppress(LockgateError):
                    self._reload()
            self._try_to_record()
        finally:
            self._lock.release()

    def reload(self, actor: Actor, trace: str) -> None:
        """Put in force what lies in the files now, here and, with their next request, in its other processes.

        Raises:
            LockgateError: It cannot be used; what was in force stays in force.
            AuditError: It is in force, but that could not be recorded yet.
        """
        with self._lock:
            self._reload()
            self._followed = self._call.make()
            self._record(actor, trace)

    def _reload(self) -> None:
        try:
            put_in_force = [load() for load in self._parts]
        except LockgateError as exc:
            self._problem = exc.code
            structlog.get_logger().error("reload_refused", code=exc.code, detail=str(exc)[:500])
            raise
        for put in put_in_force:
            put()
        self._problem = ""
        self._to_record = True
        structlog.get_logger().info("reloaded", policy_revision=self.policy.revision())

    def _try_to_record(self) -> None:
        # Not now, then at the next request: a log that cannot be written stops every decision anyway.
        with contextlib.suppress(AuditError, StorageError, PolicyUnavailableError):
            if self._to_record:
                self._record(_SYSTEM, None)

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
