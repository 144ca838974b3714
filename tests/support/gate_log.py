"""A real audit log in a temporary database, and the answers that a gate would give with its receipts."""

import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockgate.audit import Actor, AuditLog, Event, KindCatalogue, Receipt, create_key_file
from lockgate.audit.formats.disclosures import commit
from lockgate.storage import open_engine, upgrade_schema
from lockgate.system_clock import SystemClock
from support.decisions import EVIDENCE_DIGEST, POLICY_REVISION, from_now

_STATES = {"allow": "allowed", "deny": "denied", "pending": "pending"}


class GateLog:
    """Records decisions and approvals as the gate does, and hands out their receipts as API documents."""

    def __init__(self, folder: Path, origin: str = "lockgate.test/gate") -> None:
        engine = open_engine(f"sqlite:///{folder / 'log.db'}")
        upgrade_schema(engine)
        signer = create_key_file(folder / "log.key", origin)
        self.vkey = str(signer.verifier_key)
        kinds = KindCatalogue(
            {
                "gate.decision": "v1/api/decision",
                "gate.approval": "v1/api/approval",
                "gate.withdrawal": "v1/api/withdrawal",
                "test.forecast": "v1/api/decision",  # the same body, and not a decision
            }
        )
        self._log = AuditLog(engine=engine, signer=signer, clock=SystemClock(), catalogue=kinds, instance="test")
        self._log.create()

    def receipt(self, body: Mapping[str, Any], kind: str = "gate.decision") -> dict[str, Any]:
        """Record a document under its own id and return the receipt."""
        actor = Actor(type="machine", id="ci@example.org")
        event_id = body.get("id", str(uuid.uuid4()))
        return receipt_document(self._log.append(Event(id=event_id, kind=kind, actor=actor, body=body)))

    def promotion_answer(self, decision: Mapping[str, Any], **promotion: Any) -> dict[str, Any]:
        """Record a decision, under a fresh id, and return the `promotion_answer`."""
        decision = {**decision, "id": str(uuid.uuid4())}
        return {
            "promotion": make_promotion(decision, **promotion),
            "decision": decision,
            "receipt": self.receipt(decision),
        }

    def approval_answer(self, decision: Mapping[str, Any], sent: Mapping[str, Any], **approval: Any) -> dict[str, Any]:
        """Record an approval as it was sent, then a decision, and return the `approval_answer`."""
        said = commit("comment", sent["comment"], secrets.token_bytes) if sent.get("comment") else None
        recorded = {
            **sent,
            "id": str(uuid.uuid4()),
            "promotion_id": decision["promotion_id"],
            "approver": "alice@example.org",
            "comment": said.commitment if said else "",
            "approved_at": from_now(-1),
            "expires_at": from_now(3600),
            **approval,
        }
        return {
            "approval": recorded,
            "comment_disclosure": said.document.decode() if said else "",
            "approval_receipt": self.receipt(recorded, "gate.approval"),
            **self.promotion_answer(decision),
        }

    def withdrawal_answer(self, decision: Mapping[str, Any], reason: str = "", **promotion: Any) -> dict[str, Any]:
        """Record a decision and then a withdrawal, and return the `withdrawal_answer`."""
        said = commit("reason", reason, secrets.token_bytes) if reason else None
        before = self.promotion_answer(decision, **{"state": "withdrawn", **promotion})
        withdrawal = {
            "schema_version": 1,
            "promotion_id": decision["promotion_id"],
            "withdrawn_at": from_now(0),
            "reason": said.commitment if said else "",
        }
        return {
            "withdrawal": withdrawal,
            "reason_disclosure": said.document.decode() if said else "",
            "withdrawal_receipt": self.receipt(withdrawal, "gate.withdrawal"),
            **before,
        }


def make_promotion(decision: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the promotion that a decision is of."""
    subject = {name: decision["subject"][name] for name in ("kind", "model", "version", "digest", "from", "to")}
    return {
        "schema_version": 1,
        "id": decision["promotion_id"],
        "state": _STATES[decision["verdict"]],
        **subject,
        "requester": "ci@example.org",
        "contributors": [{"subject": "bob@example.org", "role": "author"}],
        "reason": "weekly release",
        "evidence_digest": EVIDENCE_DIGEST,
        "policy_revision": POLICY_REVISION,
        "created_at": from_now(-60),
        "expires_at": from_now(3600),
        **changes,
    }


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as the API sends it."""
    return {"seq": receipt.seq, "record": receipt.record.decode(), "proof": receipt.proof}
