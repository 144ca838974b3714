"""One promotion through the gate: ask, approve, decide."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.audit import Receipt, verify_receipt
from lockgate.audit.formats.disclosures import open_disclosure
from lockgate.digests import sha256_of
from lockgate.identity import parse_principal
from lockgate.policy.wasm import WasmEngine
from support.gates import (
    ARTIFACT,
    DAY_NS,
    PROMOTE,
    ROLLBACK,
    STRANGER,
    GateUnderTest,
    compile_config,
    make_gate,
    policy_config,
)
from support.promotions import verdict_of, violated


def test_two_people_in_two_roles_let_a_signed_model_in(gate: GateUnderTest) -> None:
    """Signed and trusted is pending; one approval leaves it pending; the second allows."""
    asked = gate.request()
    first = gate.approve("leo", "ml-lead", asked).json
    second = gate.approve("maya", "risk", asked).json

    assert verdict_of(asked) == "pending"
    assert verdict_of(first) == "pending"
    assert first["decision"]["missing_approvals"] == [{"role": "risk", "need": 1, "have": 0}]
    assert verdict_of(second) == "allow"
    assert second["promotion"]["state"] == "allowed"
    assert [record["kind"] for record in gate.records()] == [
        "log.genesis",
        "gate.decision",
        "gate.approval",
        "gate.decision",
        "gate.approval",
        "gate.decision",
    ]


def test_an_unsigned_model_is_denied_for_want_of_a_signature(gate: GateUnderTest) -> None:
    """No evidence is a deny by the signature rule, at once and for good."""
    answer = gate.request(evidence=[])

    assert verdict_of(answer) == "deny"
    assert answer["promotion"]["state"] == "denied"
    assert "LG-001" in violated(answer)


def test_a_stranger_s_signature_is_denied(gate: GateUnderTest) -> None:
    """A sound signature by somebody who is not trusted for this model opens nothing."""
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(gate.bundle(STRANGER)))

    assert verdict_of(response.json) == "deny"
    assert "LG-001" in violated(response.json)
    assert len(response.json["decision"]["evidence"]["signatures"]) == 1


def test_a_signature_over_another_artifact_is_refused_and_denied(gate: GateUnderTest) -> None:
    """The bundle must cover the digest that is asked about."""
    other = gate.bundle(digest=sha256_of(b"another model"))
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(other))

    assert verdict_of(response.json) == "deny"
    assert [refusal["code"] for refusal in response.json["decision"]["evidence"]["refusals"]] == ["digest_mismatch"]


def test_foreign_evidence_beside_good_evidence_changes_nothing(gate: GateUnderTest) -> None:
    """Junk and strangers' bundles are recorded as such, and neither open nor block the gate."""
    document = gate.request_document(gate.bundle(), gate.bundle(STRANGER), b"junk")
    response = gate.call("POST", "/v1/promotions", "rita", document)

    assert verdict_of(response.json) == "pending"
    assert [refusal["code"] for refusal in response.json["decision"]["evidence"]["refusals"]] == ["malformed_bundle"]


def test_an_unknown_trust_domain_is_a_refusal(gate: GateUnderTest) -> None:
    """A domain that is not configured verifies nothing."""
    document = gate.request_document()
    document["evidence"][0]["trust_domain"] = "elsewhere"
    response = gate.call("POST", "/v1/promotions", "rita", document)

    assert verdict_of(response.json) == "deny"
    assert response.json["decision"]["evidence"]["refusals"][0]["code"] == "trust_domain_unknown"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"model": "unheard-of"}, "LG-011"),
        ({"from": "dev", "to": "production"}, "LG-010"),
        ({"to": "mars"}, "LG-010"),
        ({"contributors": []}, "LG-024"),
        (ROLLBACK, "LG-013"),
    ],
)
def test_what_the_policy_does_not_know_is_denied(gate: GateUnderTest, changes: dict[str, Any], rule: str) -> None:
    """An unknown model, transition or maker, and a rollback to what was never there, are denied by name."""
    answer = gate.request(**changes)

    assert verdict_of(answer) == "deny"
    assert rule in violated(answer)


@pytest.mark.parametrize(
    ("who", "contributors", "reason"),
    [
        ("rita", [{"subject": "tess", "role": "trainer"}], "requester"),
        ("leo", [{"subject": "leo", "role": "author"}], "contributor"),
    ],
)
def test_whose_approval_does_not_count_is_told_why(
    gate: GateUnderTest, who: str, contributors: list[dict[str, str]], reason: str
) -> None:
    """The requester's and the makers' approvals are recorded and do not count."""
    asked = gate.request(contributors=contributors)
    answer = gate.approve(who, "ml-lead", asked).json

    assert verdict_of(answer) == "pending"
    assert [approval["counted"] for approval in answer["decision"]["approvals"]] == [False]
    assert answer["decision"]["approvals"][0]["reasons"] == [reason]


def test_one_person_counts_for_one_role(gate: GateUnderTest) -> None:
    """Somebody who holds both roles fills one of them."""
    asked = gate.request()
    gate.approve("lena", "ml-lead", asked)
    answer = gate.approve("lena", "risk", asked).json

    assert verdict_of(answer) == "pending"
    assert sorted(approval["counted"] for approval in answer["decision"]["approvals"]) == [False, True]


def test_the_signer_s_approval_does_not_count(gate: GateUnderTest) -> None:
    """Whoever signed the artifact, under any identity of theirs, does not approve it."""
    from support.gates import WORKFLOW  # noqa: PLC0415 - this test alone

    gate.identities.put_principal(
        parse_principal(subject="leo", type="user", roles=["approver:ml-lead"], identities=[WORKFLOW.identity])
    )
    answer = gate.approve("leo", "ml-lead", gate.request()).json

    assert [approval["reasons"] for approval in answer["decision"]["approvals"]] == [["signer"]]


def test_a_rejection_ends_the_promotion(gate: GateUnderTest) -> None:
    """One rejection by a holder of the role is a deny, whoever approved before."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    answer = gate.approve("maya", "risk", asked, verdict="reject").json
    after = gate.approve("lena", "risk", asked)

    assert verdict_of(answer) == "deny"
    assert answer["promotion"]["state"] == "rejected"
    assert (after.status_code, after.json["code"]) == (409, "promotion.closed")


@pytest.mark.parametrize(
    "change",
    [
        {"digest": str(sha256_of(b"another model"))},
        {"from": "dev", "to": "staging"},
        {"kind": "rollback"},
        {"evidence_digest": str(sha256_of(b"other evidence"))},
        {"policy_revision": str(sha256_of(b"other policy"))},
    ],
)
def test_an_approval_of_anything_else_is_stale(gate: GateUnderTest, change: dict[str, str]) -> None:
    """An approval that names one other thing is refused, and leaves nothing behind."""
    asked = gate.request()
    before = gate.records()
    response = gate.approve("leo", "ml-lead", asked, **change)

    assert (response.status_code, response.json["code"]) == (409, "approval.stale")
    assert gate.records() == before


def test_approving_in_a_role_one_does_not_hold_is_forbidden(gate: GateUnderTest) -> None:
    """The role is checked before anything else."""
    response = gate.approve("leo", "risk", gate.request())

    assert (response.status_code, response.json["code"]) == (403, "identity.not_permitted")


def test_saying_the_same_twice_is_refused(gate: GateUnderTest) -> None:
    """A second identical approval tells the approver that the first is there."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    response = gate.approve("leo", "ml-lead", asked)

    assert (response.status_code, response.json["code"]) == (409, "approval.repeated")


def test_an_approval_runs_out(gate: GateUnderTest) -> None:
    """An approval older than its time no longer counts when the next one comes."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.clock.advance(3 * DAY_NS)
    answer = gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"
    assert answer["decision"]["missing_approvals"] == [{"role": "ml-lead", "need": 1, "have": 0}]


def test_a_lost_role_takes_its_approval_along(gate: GateUnderTest) -> None:
    """Roles count as they are when it is decided."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.identities.put_principal(parse_principal(subject="leo", type="user", roles=[], identities=[]))
    answer = gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def _recorded(receipt: dict[str, Any], gate: GateUnderTest) -> tuple[str, Any]:
    record = verify_receipt(
        Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"]), [gate.key]
    )
    return record["kind"], record["body"]


def test_only_the_requester_withdraws(gate: GateUnderTest) -> None:
    """Somebody else's withdrawal is forbidden; one's own closes the promotion and is recorded."""
    asked = gate.request("rita")
    path = f"/v1/promotions/{asked['promotion']['id']}/withdraw"
    foreign = gate.call("POST", path, "ravi", {"schema_version": 1})
    own = gate.call("POST", path, "rita", {"schema_version": 1, "reason": "wrong version"})

    assert (foreign.status_code, foreign.json["code"]) == (403, "identity.not_permitted")
    assert own.json["promotion"]["state"] == "withdrawn"
    assert _recorded(own.json["withdrawal_receipt"], gate) == ("gate.withdrawal", own.json["withdrawal"])
    assert own.json["withdrawal"]["promotion_id"] == asked["promotion"]["id"]
    said = gate.records("gate.withdrawal")[0]["body"]["reason"]
    kept = gate.services.log.attachment(said.removeprefix("sha256:"))
    assert open_disclosure(kept, said).value == "wrong version"
    assert gate.approve("leo", "ml-lead", asked).json["code"] == "promotion.closed"


def test_a_rollback_returns_to_what_was_allowed_before(gate: GateUnderTest) -> None:
    """What was once allowed into production may come back, with the smaller matrix."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.approve("maya", "risk", asked)
    rollback = gate.request(**ROLLBACK)
    answer = gate.approve("leo", "ml-lead", rollback).json

    assert verdict_of(rollback) == "pending"
    assert verdict_of(answer) == "allow"


def test_a_dry_run_forecasts_and_leaves_no_trace(gate: GateUnderTest) -> None:
    """A forecast has the verdict of the real request, no receipt and no record."""
    before = gate.records()
    response = gate.call("POST", "/v1/decisions:dry-run", "leo", gate.request_document())

    assert response.json["decision"]["verdict"] == "pending"
    assert response.json["decision"]["dry_run"] is True
    assert set(response.json) == {"decision"}
    assert gate.records() == before
    assert gate.call("GET", "/v1/promotions", "rita").json["items"] == []


def test_promoting_within_the_graph_needs_only_what_its_row_asks(gate: GateUnderTest) -> None:
    """Dev to staging asks for a trusted signature alone: allowed at once."""
    answer = gate.request(**{**PROMOTE, "from": "dev", "to": "staging"})

    assert verdict_of(answer) == "allow"
    assert answer["decision"]["subject"]["digest"] == str(ARTIFACT)


def test_an_approval_never_outlives_its_promotion(gate: GateUnderTest) -> None:
    """Given on the last day, it ends with the promotion."""
    asked = gate.request()
    gate.clock.advance(6 * DAY_NS)
    answer = gate.approve("leo", "ml-lead", asked).json

    assert answer["approval"]["expires_at"] == asked["promotion"]["expires_at"]


def test_an_expired_approval_can_be_given_again(gate: GateUnderTest) -> None:
    """What ran out may be said anew, and then counts."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.clock.advance(3 * DAY_NS)
    gate.approve("maya", "risk", asked)
    answer = gate.approve("leo", "ml-lead", asked).json

    assert verdict_of(answer) == "allow"


def test_approvals_of_one_promotion_are_limited(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named limit holds; the next approval is refused and recorded nowhere."""
    monkeypatch.setattr("lockgate.promotion.gate.APPROVALS_MAX", 1)
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    before = gate.records()
    response = gate.approve("maya", "risk", asked)

    assert (response.status_code, response.json["code"]) == (409, "approval.too_many")
    assert gate.records() == before


@pytest.mark.parametrize(
    "change",
    [{"version": "9.9.9"}, {"model": "other"}, {"digest": str(sha256_of(b"another model"))}],
)
def test_a_rollback_to_anything_else_than_what_was_allowed_is_denied(tmp_path: Path, change: dict[str, str]) -> None:
    """Another version's name, another model, other bytes: it was never there, so it does not come back."""
    models = {"models": [{"name": name, "tier": "high"} for name in ("fraud-detector", "other")]}
    engine = WasmEngine(compile_config(tmp_path / "config", policy_config(models=models)))
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = make_gate(folder, engine)
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.approve("maya", "risk", asked)

    assert "LG-013" in violated(gate.request(**{**ROLLBACK, **change}))
    assert "LG-013" not in violated(gate.request(**ROLLBACK))


def test_what_was_only_asked_for_is_no_ground_for_a_rollback(gate: GateUnderTest) -> None:
    """Pending and denied promotions were never in the environment."""
    gate.request()
    gate.request(evidence=[])

    assert "LG-013" in violated(gate.request(**ROLLBACK))
