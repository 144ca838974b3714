"""Whether this instance can decide: every part is tried for real, as a request would use it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal, TypeAlias

import structlog
from sqlalchemy import Engine

from lockgate.clock import NS_PER_S, Clock, EpochNs, format_timestamp, is_expired
from lockgate.digests import sha256_of
from lockgate.errors import LockgateError
from lockgate.evidence import TrustFolder
from lockgate.gate_logs import Logs
from lockgate.policy import (
    EvidenceFacts,
    HistoryFacts,
    PolicyInForce,
    PolicyPrincipal,
    PolicyRequest,
    build_authz_input,
    build_input,
)
from lockgate.storage import check_schema

CANARY_TIMEOUT_S: Final = 1.0  # a probe that takes longer says the same as one that fails
FRESH_S: Final = 1.0  # of an answer to everybody; probes ask every few seconds
_CANARY_ID: Final = "00000000-0000-7000-8000-000000000000"
_CANARY_NAME: Final = "lockgate-canary"

PartName: TypeAlias = Literal["policy", "database", "audit_log", "trust"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessCheck:
    """One part that must work before this instance can decide."""

    name: PartName
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The parts of one instance."""

    clock: Clock
    database: Engine
    policy: PolicyInForce
    logs: Logs
    trust: TrustFolder

    def check(self) -> tuple[ReadinessCheck, ...]:
        """Try every part; never raises."""
        return (
            _attempt("policy", self._policy),
            _attempt("database", self._database),
            _attempt("audit_log", self._audit_log),
            _attempt("trust", self._trust),
        )

    def _policy(self) -> str:
        # A decision of known answer: nothing signed, an unknown model. An engine that allows it is no gate.
        engine = self.policy.engine
        catalogue = engine.catalogue()
        now = self.clock.now_ns()
        nobody = PolicyPrincipal(subject=_CANARY_NAME, type="machine", roles=(), identities=())
        document = build_input(
            now=now,
            revision=catalogue.revision,
            request=PolicyRequest(
                id=_CANARY_ID,
                kind="promote",
                model=_CANARY_NAME,
                version="0",
                digest=sha256_of(b""),
                from_environment=_CANARY_NAME,
                to_environment=_CANARY_NAME,
                requester=nobody,
                contributors=(),
                requested_at=now,
                expires_at=EpochNs(now + NS_PER_S),
            ),
            evidence=EvidenceFacts(digest=sha256_of(b"[]"), signatures=(), refusals=()),
            approvals=(),
            lineage=None,
            history=HistoryFacts(allowed_in_target=False, held=False, rolled_back=False, registered_digest=""),
        )
        result = engine.evaluate(document, timeout_s=CANARY_TIMEOUT_S)
        if result.allow:
            raise _PolicyOpenError("the policy allows an unsigned, unknown model")
        # The same of a call: nobody in particular, with no role at all.
        call = build_authz_input(
            revision=catalogue.revision,
            subject=_CANARY_NAME,
            type="machine",
            roles=(),
            operation="promotions.create",
            facts={},
        )
        if engine.authorize(call, timeout_s=CANARY_TIMEOUT_S).allow:
            raise _PolicyOpenError("the policy permits a call to somebody without a role")
        return engine.name

    def _database(self) -> str:
        check_schema(self.database)
        return "the tables are those of this version"

    def _audit_log(self) -> str:
        for log in self.logs:
            log.check_head()
        return "each log ends where its newest checkpoint says"

    def _trust(self) -> str:
        if self.trust.problem:
            raise _TrustFolderError(self.trust.problem)
        domains = self.trust.verifier.domains.by_name
        ends = [domain.valid_until for domain in domains.values() if domain.valid_until is not None]
        now = self.clock.now_ns()
        if ends and is_expired(max(ends), now):
            raise _TrustExpiredError(f"no trust domain accepts new signatures since {format_timestamp(max(ends))}")
        return f"{len(domains)} trust domains"


class SharedReadiness:
    """What the newest look found, for everybody who asks; they look one at a time, and at most once in `FRESH_S`.

    Health is open to strangers, and a look costs two evaluations of the policy and several reads of the database.
    """

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._lock = threading.Lock()
        self._checks: tuple[ReadinessCheck, ...] = ()
        self._looked_at_s = 0.0

    def check(self) -> tuple[ReadinessCheck, ...]:
        """Return what was found at most `FRESH_S` ago, or look."""
        with self._lock:
            if not self._checks or monotonic() - self._looked_at_s >= FRESH_S:
                self._checks = self._readiness.check()
                self._looked_at_s = monotonic()
            return self._checks


class _PolicyOpenError(LockgateError):
    """The engine answers, and lets in what nobody could want."""

    code = "readiness.policy_open"


class _TrustFolderError(LockgateError):
    """The trust folder changed and does not load; the domains of before are in force."""

    code = "readiness.trust_folder"


class _TrustExpiredError(LockgateError):
    """No trust domain accepts new signatures any more."""

    code = "readiness.trust_expired"


def _attempt(name: PartName, check: Callable[[], str]) -> ReadinessCheck:
    try:
        detail, ok = check(), True
    except LockgateError as exc:
        # Health is open to everybody: the code alone. `lockgate doctor` says the rest.
        detail, ok = exc.code, False
    except Exception as exc:  # noqa: BLE001 - a probe that fails says so; it must not fail to say it
        structlog.get_logger().error("readiness_failed", part=name, exc_info=exc)
        detail, ok = "internal.unforeseen", False
    return ReadinessCheck(name=name, ok=ok, detail=detail)
