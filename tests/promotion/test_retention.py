"""The gate after something of its log was erased or pruned: it refuses by name, and never takes it for tampering."""

from typing import Any

import pytest

from lockgate.audit import RetentionRefusedError
from lockgate.audit.formats.disclosures import open_disclosure
from lockgate.audit.keeping.erasing import erase
from lockgate.clock import EpochNs
from lockgate.config import MAIN_LOG
from lockgate.digests import sha256_hex
from lockgate.promotion import open_needs
from lockgate.storage import read_transaction
from support.gates import DAY_NS, GateUnderTest
from support.promotions import verdict_of
from support.pruned_gates import OPERATOR, fill_log, prune_gate


def _path(answer: dict[str, Any]) -> str:
    return f"/v1/promotions/{answer['promotion']['id']}"


def _erase(gate: GateUnderTest, document: bytes) -> None:
    erase(gate.database, gate.services.log, [sha256_hex(document)], reason="asked to", actor=OPERATOR)


def test_a_promotion_whose_evidence_was_erased_is_refused_by_name(gate: GateUnderTest) -> None:
    """It cannot be decided anew, and says why; it can still be looked at and withdrawn."""
    bundle = gate.bundle()
    asked = gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle)).json
    _erase(gate, bundle)
    refused = gate.approve("leo", "ml-lead", asked)

    assert (refused.status_code, refused.json["code"]) == (409, "promotion.evidence_erased")
    assert gate.records("gate.approval") == []
    assert verdict_of(gate.call("GET", _path(asked), "rita").json) == "pending"
    withdrawn = gate.call("POST", f"{_path(asked)}/withdraw", "rita", {"schema_version": 1})
    assert withdrawn.json["promotion"]["state"] == "withdrawn"


def test_it_can_be_looked_at_when_the_policy_changed_too(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new policy would decide it anew; without its evidence the decision of before is shown."""
    bundle = gate.bundle()
    asked = gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle)).json
    _erase(gate, bundle)
    evaluator = gate.services.gate._decider._evaluator
    monkeypatch.setattr(evaluator, "policy_revision", lambda: f"sha256:{'0' * 64}")
    shown = gate.call("GET", _path(asked), "rita")

    assert (shown.status_code, shown.json["decision"]) == (200, asked["decision"])


def test_a_new_request_with_the_same_evidence_is_decided(gate: GateUnderTest) -> None:
    """Erasing is no ban: who brings the bundle again is answered."""
    bundle = gate.bundle()
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle))
    _erase(gate, bundle)
    again = gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle)).json

    assert verdict_of(gate.approve("leo", "ml-lead", again).json) == "pending"


def test_an_erased_policy_input_changes_no_decision(gate: GateUnderTest) -> None:
    """The input of a decision can be erased while its promotion is open: the next decision makes its own."""
    asked = gate.request()
    digest = asked["decision"]["input"].removeprefix("sha256:")
    erase(gate.database, gate.services.log, [digest], reason="asked to", actor=OPERATOR)
    gate.approve("leo", "ml-lead", asked)

    assert verdict_of(gate.approve("maya", "risk", asked).json) == "allow"


def test_what_an_open_promotion_needs_is_not_pruned(gate: GateUnderTest) -> None:
    """Its decision, bundles and approvals stay; until it is closed pruning past them is refused."""
    fill_log(gate, 10)
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    for _ in range(5):
        fill_log(gate, 60)
    with pytest.raises(RetentionRefusedError, match=r"record 11 is still needed by a promotion .* withdraw it first$"):
        prune_gate(gate, 256)

    assert verdict_of(gate.approve("maya", "risk", asked).json) == "allow"
    with pytest.raises(RetentionRefusedError):  # allowed, it is decided again before it is carried out
        prune_gate(gate, 256)
    gate.clock.advance(7 * DAY_NS)
    assert prune_gate(gate, 256).before == 256


def test_what_is_needed_is_named(gate: GateUnderTest) -> None:
    """Newest decision, the one under an idempotency key, approvals and bundles; nothing of what has run out."""
    bundle = gate.bundle()
    asked = gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle), Idempotency_Key="k").json
    answer = gate.approve("leo", "ml-lead", asked).json
    with read_transaction(gate.database) as connection:
        needs = open_needs(connection, gate.clock.now, MAIN_LOG)
        later = open_needs(connection, EpochNs(gate.clock.now + 7 * DAY_NS), MAIN_LOG)

    assert set(needs.records) == {asked["decision"]["id"], answer["decision"]["id"], answer["approval"]["id"]}
    assert needs.attachments == (sha256_hex(bundle),)
    assert (later.records, later.attachments) == ((), ())


def test_a_closed_promotion_whose_decision_was_pruned_says_so(gate: GateUnderTest) -> None:
    """It is gone, not broken: 410 with a code of its own, also for an idempotent repetition; approving is too late."""
    document = gate.request_document()
    asked = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k").json
    gate.approve("leo", "ml-lead", asked)
    gate.approve("maya", "risk", asked)
    for _ in range(5):
        fill_log(gate, 60)
    gate.clock.advance(7 * DAY_NS)
    prune_gate(gate, 256)
    shown = gate.call("GET", _path(asked), "rita")
    repeated = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")
    approved = gate.approve("lena", "risk", asked)

    assert (shown.status_code, shown.json["code"]) == (410, "audit.record_pruned")
    assert (repeated.status_code, repeated.json["code"]) == (410, "audit.record_pruned")
    assert (approved.status_code, approved.json["code"]) == (409, "promotion.closed")
    listed = gate.call("GET", "/v1/promotions", "rita").json["items"]
    assert [item["state"] for item in listed] == ["expired"]


def test_the_gate_goes_on_behind_a_pruned_log(gate: GateUnderTest) -> None:
    """New requests are decided as ever."""
    first = gate.request()
    gate.approve("leo", "ml-lead", first)
    gate.approve("maya", "risk", first)
    for _ in range(5):
        fill_log(gate, 60)
    gate.clock.advance(7 * DAY_NS)
    prune_gate(gate, 256)
    again = gate.request()

    assert verdict_of(gate.approve("leo", "ml-lead", again).json) == "pending"
    assert gate.services.log.receipt_by_id(again["decision"]["id"]).seq > 300


def test_what_people_said_is_committed_to(gate: GateUnderTest) -> None:
    """A comment is in no record and no table; its disclosure opens it, and once erased it is in no file."""
    asked = gate.request()
    answer = gate.approve("leo", "ml-lead", asked, comment="Ann checked it").json
    opened = open_disclosure(answer["comment_disclosure"].encode(), answer["approval"]["comment"])
    (record,) = gate.records("gate.approval")
    silent = gate.approve("lena", "risk", asked).json
    erase(gate.database, gate.services.log, [sha256_hex(opened.document)], reason="asked to", actor=OPERATOR)

    assert (opened.name, opened.value) == ("comment", "Ann checked it")
    assert record["body"] == answer["approval"]
    assert (silent["approval"]["comment"], silent["comment_disclosure"]) == ("", "")
    assert verdict_of(silent) == "allow"
    assert not any(b"Ann checked" in path.read_bytes() for path in gate.folder.iterdir() if path.is_file())


def test_an_approval_whose_comment_was_erased_still_counts(gate: GateUnderTest) -> None:
    """What was said is gone, that it was said is not."""
    asked = gate.request()
    answer = gate.approve("leo", "ml-lead", asked, comment="Ann checked it").json
    _erase(gate, answer["comment_disclosure"].encode())

    assert verdict_of(gate.approve("maya", "risk", asked).json) == "allow"
