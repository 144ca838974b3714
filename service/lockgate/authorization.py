"""Whether a caller may do what they ask for: the policy says, and every denial is recorded.

An answer depends on the policy revision, the caller's name and roles, the operation and its object, and on nothing
else. So it is asked for once and kept, by all of these.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.audit import Actor, AuditLog, Event
from lockgate.clock import NS_PER_S, Clock, EpochNs, format_timestamp
from lockgate.identity import NotPermittedError, Principal
from lockgate.observing import step
from lockgate.policy import OBJECT_MISSING, AuthzResult, PolicyInForce, PolicyRevision, build_authz_input

DENIAL: Final = "identity.denial"
AUTHORIZATION_KINDS: Final[Mapping[str, str]] = {DENIAL: "v1/api/denial"}

ANSWERS_MAX: Final = 4096  # kept at once, a few MiB: some two hundred callers with every operation
REPEAT_NS: Final = 60 * NS_PER_S  # a script that retries once a second leaves a record a minute
DENIALS_MAX: Final = 4096  # of different callers, operations and reasons, whose repetitions are counted


class Authorizer:
    """Asks the policy in force about every call. Safe to share between threads."""

    def __init__(self, *, policy: PolicyInForce, log: AuditLog, clock: Clock, timeout_s: float) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._denials = _Denials(log, clock)
        self._answers: dict[_Call, AuthzResult] = {}

    def check(self, principal: Principal, operation: str, facts: Mapping[str, str], *, trace: str) -> None:
        """Make sure that a call is permitted.

        Args:
            principal: Who calls.
            operation: What is called, for example `promotions.create`.
            facts: Of the object that the operation is about; empty if it is about none.
            trace: The request's id.

        Raises:
            NotPermittedError: The policy denies it; that is recorded.
            PolicyFailureError: The policy gave no usable answer.
            AuditError: It is denied, and that could not be recorded.
            StorageError: It is denied, and that could not be recorded.
        """
        self._settle(principal, operation, facts, trace, unless="")

    def check_role(self, principal: Principal, operation: str, *, trace: str) -> None:
        """Make sure that a call may be permitted, before its object is known; `check` must follow with the object.

        Raises:
            NotPermittedError: Whatever the object, the policy denies it; that is recorded.
            PolicyFailureError: As in `check`.
            AuditError: As in `check`.
            StorageError: As in `check`.
        """
        self._settle(principal, operation, {}, trace, unless=OBJECT_MISSING)

    def permits(self, principal: Principal, operation: str, facts: Mapping[str, str]) -> bool:
        """Tell whether a call would be permitted, so that nobody is offered what they may not do. Records nothing.

        Raises:
            PolicyFailureError: The policy gave no usable answer.
        """
        return self._ask(principal, operation, facts).allow

    def may_permit(self, principal: Principal, operation: str) -> bool:
        """Tell whether there could be an object for which a call would be permitted. Raises as `permits`."""
        answer = self._ask(principal, operation, {})
        return answer.allow or answer.reason == OBJECT_MISSING

    def _settle(
        self, principal: Principal, operation: str, facts: Mapping[str, str], trace: str, *, unless: str
    ) -> None:
        answer = self._ask(principal, operation, facts)
        if answer.allow or answer.reason == unless:
            return
        self._denials.record(principal, operation, facts, answer, trace)
        # Nobody is named: a problem is passed on, to colleagues and into the logs of pipelines.
        raise NotPermittedError(f"want {operation} permitted, got the answer {answer.reason}")

    def _ask(self, principal: Principal, operation: str, facts: Mapping[str, str]) -> AuthzResult:
        engine = self._policy.engine  # taken once: the answer must be of the revision that it is kept under
        call = _Call(
            revision=engine.catalogue().revision,
            principal=(principal.subject, principal.type, principal.roles),
            operation=operation,
            facts=tuple(sorted(facts.items())),
        )
        answer = self._answers.get(call)
        if answer is None:
            document = build_authz_input(
                revision=call.revision,
                subject=principal.subject,
                type=principal.type,
                roles=principal.roles,
                operation=operation,
                facts=facts,
            )
            with step("policy.authorize"):
                answer = engine.authorize(document, timeout_s=self._timeout_s)
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()  # each is back after one question
            self._answers[call] = answer
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Everything that an answer depends on."""

    revision: PolicyRevision
    principal: tuple[str, str, tuple[str, ...]]  # subject, type, roles
    operation: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denied:
    """When a denial was recorded, and how often it was repeated since."""

    recorded: EpochNs
    repeated: int


class _Denials:
    """Records denials: the same caller, operation and reason once a minute, with a count of what lay between."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], _Denied] = {}  # the one recorded longest ago first

    def record(
        self, principal: Principal, operation: str, facts: Mapping[str, str], answer: AuthzResult, trace: str
    ) -> None:
        now = self._clock.now_ns()
        key = (principal.subject, operation, answer.reason)
        with self._lock:
            before = self._known.pop(key, None)
            if before is not None and 0 <= now - before.recorded < REPEAT_NS:
                self._known[key] = _Denied(recorded=before.recorded, repeated=before.repeated + 1)
                return
            repeated = before.repeated if before else 0
            if len(self._known) >= DENIALS_MAX:
                del self._known[next(iter(self._known))]
            self._known[key] = _Denied(recorded=now, repeated=0)
        document = {
            "schema_version": 1,
            "operation": operation,
            "object": dict(facts),
            "reason": answer.reason,
            "policy_revision": answer.revision,
            "repeated": repeated,
            "denied_at": format_timestamp(now),
        }
        event = Event(
            id=str(uuid.uuid4()),
            kind=DENIAL,
            actor=Actor(type=principal.type, id=principal.subject, roles=principal.roles),
            subject=f"principal:{principal.subject}",
            body=document,
            trace=trace,
        )
        try:
            self._log.append(event)
        except BaseException:
            with self._lock:  # not recorded, so the next one is; this one and those that relied on it count as repeated
                missed = self._known.pop(key, _Denied(recorded=now, repeated=0)).repeated
                self._known[key] = _Denied(recorded=EpochNs(now - REPEAT_NS), repeated=repeated + missed + 1)
            raise
