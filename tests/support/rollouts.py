"""Steps after an allow, as tests take them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from jwt import PyJWS

from lockgate.audit import Actor
from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.digests import Digest, sha256_of
from lockgate.lifecycle.intervals import LiveInterval, rebuild_intervals
from lockgate.lifecycle.live_store import list_intervals
from lockgate.lifecycle.types import ObservationAnswer, RolloutAnswer
from lockgate.storage import read_transaction
from support.gates import GateUnderTest

DEPLOYER = Actor(type="machine", id="dora", roles=("deployer",))
PERSON = Actor(type="user", id="lena", roles=("approver:ml-lead",))
MODEL = "fraud-detector"
PRODUCTION = "production"


def digest_of(version: str) -> Digest:
    """Return the digest that a version has in tests."""
    return sha256_of(f"model {version}".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployer:
    """Carries promotions of one gate out, without HTTP."""

    gate: GateUnderTest

    def ask(self, version: str, **changes: Any) -> dict[str, Any]:
        """Ask for a version in production."""
        digest = digest_of(version)
        bundle = self.gate.bundle(digest=digest)
        document = self.gate.request_document(bundle, version=version, digest=str(digest), **changes)
        answer: dict[str, Any] = self.gate.call("POST", "/v1/promotions", "rita", document).json
        return answer

    def allow(self, version: str, **changes: Any) -> str:
        """Ask for a version, let people approve, and return the promotion's id."""
        answer = self.ask(version, **changes)
        self.approve(answer)
        promotion_id: str = answer["promotion"]["id"]
        return promotion_id

    def approve(self, answer: dict[str, Any]) -> None:
        """Approve what an answer shows, in every role that it may want."""
        for who, role in (("leo", "ml-lead"), ("maya", "risk")):
            if self.state(answer["promotion"]["id"]) == "pending":
                approved = self.gate.approve(who, role, answer)
                assert approved.status_code == 201, approved.text

    def permit(self, promotion_id: str) -> RolloutAnswer:
        """Ask for a permit."""
        return self.gate.services.lifecycle.rollouts.permit(DEPLOYER, promotion_id, trace=None)

    def permit_id(self, promotion_id: str) -> str:
        """Get a permit and return its id."""
        rollout = self.permit(promotion_id).rollout
        assert rollout is not None
        return rollout.permit_id

    def report(self, promotion_id: str, **document: Any) -> RolloutAnswer:
        """Report something."""
        body = canonicalize({"schema_version": 1, **document})
        return self.gate.services.lifecycle.rollouts.report(DEPLOYER, promotion_id, body, trace=None)

    def execute(self, promotion_id: str, *, percent: int = 100) -> RolloutAnswer:
        """Get a permit and report that it was used; where none is given, that is the end."""
        answer = self.permit(promotion_id)
        if not answer.permit:
            return answer
        permit_id: str = claims_of(answer.permit)["jti"]
        return self.report(promotion_id, status="executing", permit_id=permit_id, percent=percent, former_version="")

    def observe(self, version: str, *, model: str = MODEL, environment: str = PRODUCTION) -> ObservationAnswer:
        """See a version run."""
        body = canonicalize({"schema_version": 1, "digest": str(digest_of(version))})
        return self.gate.services.lifecycle.observations.observe(DEPLOYER, model, environment, body, trace=None)

    def deploy(self, version: str, **changes: Any) -> str:
        """Bring a version to production, all the way."""
        promotion_id = self.allow(version, **changes)
        self.execute(promotion_id)
        assert self.observe(version).result == "confirmed"
        return promotion_id

    def roll_back(self, who: str = "rita", **document: Any) -> str:
        """Ask for a rollback, let people approve, and return the promotion's id."""
        principal = self.gate.services.identities.find_principal(who)
        assert principal is not None
        body = canonicalize({"schema_version": 1, "model": MODEL, "environment": PRODUCTION, **document})
        rollbacks = self.gate.services.lifecycle.rollbacks
        answer = rollbacks.request(principal.principal, body, idempotency_key=None, trace="0" * 36)
        promotion_id = answer.promotion.id
        shown = self.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita").json
        self.approve(shown)
        return promotion_id

    def state(self, promotion_id: str) -> str:
        """Return where a promotion stands."""
        state: str = self.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita").json["promotion"]["state"]
        return state


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWS of the gate claims, unverified."""
    claims: dict[str, Any] = orjson.loads(PyJWS().decode(token, options={"verify_signature": False}))
    return claims


def kinds_of(gate: GateUnderTest, promotion_id: str, log: str = "") -> list[str]:
    """Return the kinds of a log's records about a promotion, in order."""
    return [record["kind"] for record in gate.records(log=log) if record["body"].get("promotion_id") == promotion_id]


def stored_intervals(
    gate: GateUnderTest, names: Iterable[tuple[str, str]] = ((MODEL, PRODUCTION),)
) -> list[LiveInterval]:
    """Return the intervals that are kept, oldest first."""
    with read_transaction(gate.database) as connection:
        return [
            interval
            for model, environment in names
            for _, interval in reversed(list_intervals(connection, model, environment, before=None, limit=1000))
        ]


def rebuilt_intervals(gate: GateUnderTest) -> list[LiveInterval]:
    """Make the intervals of the audit logs alone."""
    logs = gate.services.logs
    records = (
        (name, parse_canonical(record.body)) for name in logs.names() for record in logs.named(name).records(limit=1000)
    )
    return list(rebuild_intervals(records))
