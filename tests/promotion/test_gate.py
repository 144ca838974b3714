"""One promotion through the gate: ask, approve, decide, record."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lockgate.audit import verify_receipt
from lockgate.audit.types import Receipt
from lockgate.canonical_json import canonicalize
from lockgate.clock import format_timestamp
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import sha256_of
from lockgate.evidence import load_trust_domains
from lockgate.identity import parse_principal
from lockgate.policy import PolicyCatalogue, PolicyInput, PolicyResult, PolicyUnavailableError
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import write_transaction
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


def verdict_of(answer: dict[str, Any]) -> str:
    """Return the word of the decision in an answer."""
    word: str = answer["decision"]["verdict"]
    return word


def violated(answer: dict[str, Any]) -> set[str]:
    """Return the rules that an answer says are violated."""
    return {violation["rule_id"] for violation in answer["decision"]["violations"]}


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


def test_the_receipt_proves_exactly_the_decision_shown(gate: GateUnderTest) -> None:
    """The record under the receipt is in the signed log, and its body is the decision, byte for byte."""
    answer = gate.request()
    receipt = answer["receipt"]
    record = verify_receipt(
        Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"]), [gate.key]
    )

    assert canonicalize(record["body"]) == canonicalize(answer["decision"])
    assert record["kind"] == "gate.decision"


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

    gate.services.identities.put_principal(
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
    gate.services.identities.put_principal(parse_principal(subject="leo", type="user", roles=[], identities=[]))
    answer = gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def test_what_nobody_decides_expires(gate: GateUnderTest) -> None:
    """At its expiry instant a pending promotion is closed, and that is recorded once."""
    asked = gate.request()
    gate.clock.advance(7 * DAY_NS - 1)
    path = f"/v1/promotions/{asked['promotion']['id']}"
    assert gate.call("GET", path, "rita").json["promotion"]["state"] == "pending"
    gate.clock.advance(1000)
    response = gate.approve("leo", "ml-lead", asked)

    assert (response.status_code, response.json["code"]) == (409, "promotion.closed")
    assert gate.call("GET", path, "rita").json["promotion"]["state"] == "expired"
    assert len(gate.records("gate.expiry")) == 1


def test_only_the_requester_withdraws(gate: GateUnderTest) -> None:
    """Somebody else's withdrawal is forbidden; one's own closes the promotion and is recorded."""
    asked = gate.request("rita")
    path = f"/v1/promotions/{asked['promotion']['id']}/withdraw"
    foreign = gate.call("POST", path, "ravi", {"schema_version": 1})
    own = gate.call("POST", path, "rita", {"schema_version": 1, "reason": "wrong version"})

    assert (foreign.status_code, foreign.json["code"]) == (403, "identity.not_permitted")
    assert own.json["promotion"]["state"] == "withdrawn"
    assert gate.records("gate.withdrawal")[0]["body"]["reason"] == "wrong version"
    assert gate.approve("leo", "ml-lead", asked).json["code"] == "promotion.closed"


def test_the_same_key_and_body_give_the_same_answer(gate: GateUnderTest) -> None:
    """Asking again under one key makes no second promotion, whatever happened since."""
    document = gate.request_document()
    first = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")
    gate.approve("leo", "ml-lead", first.json)
    again = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")

    assert again.status_code == first.status_code
    assert again.json == first.json
    assert len(gate.call("GET", "/v1/promotions", "rita").json["items"]) == 1


def test_the_same_key_with_another_body_is_refused(gate: GateUnderTest) -> None:
    """A key that was used is not a key for something else."""
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(), Idempotency_Key="k1")
    other = gate.call("POST", "/v1/promotions", "rita", gate.request_document(reason="x"), Idempotency_Key="k1")

    assert (other.status_code, other.json["code"]) == (422, "idempotency.key_reused")


def test_a_key_belongs_to_its_principal(gate: GateUnderTest) -> None:
    """Two people may use the same key for different things."""
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(), Idempotency_Key="k1")
    other = gate.call("POST", "/v1/promotions", "ravi", gate.request_document(), Idempotency_Key="k1")

    assert other.status_code == 202
    assert other.json["promotion"]["requester"] == "ravi"


def in_parallel(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls at the same moment and return what they returned."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        results[index] = call()

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_one_key_used_at_the_same_moment_makes_one_promotion(gate: GateUnderTest) -> None:
    """Racing retries of one request all get the one answer."""
    document = gate.request_document()

    def ask() -> Any:
        return gate.services.gate.request(
            parse_principal(subject="rita", type="user", roles=["requester"], identities=[]),
            canonicalize_request(document),
            idempotency_key="k1",
            trace="00000000-0000-0000-0000-000000000000",
        ).promotion.id

    ids = in_parallel(*[ask] * 6)

    assert len(set(ids)) == 1
    assert len(gate.records("gate.decision")) == 1


def canonicalize_request(document: dict[str, Any]) -> bytes:
    """Write a request document."""
    return canonicalize(document, bytes_max=10**7)


def test_two_approvals_at_the_same_moment_both_count(gate: GateUnderTest) -> None:
    """Neither approval is lost and the promotion is allowed exactly once."""
    for _ in range(5):
        asked = gate.request()
        answers = in_parallel(
            partial(gate.approve, "leo", "ml-lead", asked),
            partial(gate.approve, "maya", "risk", asked),
        )
        path = f"/v1/promotions/{asked['promotion']['id']}"

        assert sorted(verdict_of(answer.json) for answer in answers) == ["allow", "pending"]
        assert gate.call("GET", path, "rita").json["promotion"]["state"] == "allowed"


def test_approving_and_withdrawing_at_the_same_moment_ends_in_one_state(gate: GateUnderTest) -> None:
    """Either the approval or the withdrawal comes first; the promotion is never both allowed and withdrawn."""
    for _ in range(5):
        asked = gate.request()
        gate.approve("leo", "ml-lead", asked)
        path = f"/v1/promotions/{asked['promotion']['id']}"
        approved, withdrawn = in_parallel(
            partial(gate.approve, "maya", "risk", asked),
            partial(gate.call, "POST", f"{path}/withdraw", "rita", {"schema_version": 1}),
        )
        state = gate.call("GET", path, "rita").json["promotion"]["state"]

        assert (approved.status_code, withdrawn.status_code, state) in {(201, 409, "allowed"), (409, 200, "withdrawn")}


def test_a_rollback_returns_to_what_was_allowed_before(gate: GateUnderTest) -> None:
    """What was once allowed into production may come back, with the smaller matrix."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.approve("maya", "risk", asked)
    rollback = gate.request(**ROLLBACK)
    answer = gate.approve("leo", "ml-lead", rollback).json

    assert verdict_of(rollback) == "pending"
    assert verdict_of(answer) == "allow"


def test_the_whole_input_of_a_decision_is_kept(gate: GateUnderTest, engine: WasmEngine) -> None:
    """From the log alone a decision can be run again, and says the same."""
    answer = gate.request()
    digest = answer["decision"]["input"].removeprefix("sha256:")
    kept = gate.services.log.attachment(digest)
    from lockgate.canonical_json import INT64_MAX, parse_canonical  # noqa: PLC0415 - this test alone

    document = PolicyInput(parse_canonical(kept, integer_max=INT64_MAX, bytes_max=10**6))
    result = engine.evaluate(document, timeout_s=5)

    assert result.allow is False
    assert {violation.rule_id for violation in result.violations} == violated(answer)


def test_the_bundles_are_kept(gate: GateUnderTest) -> None:
    """An auditor finds the very bytes that were verified."""
    bundle = gate.bundle()
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle))

    assert gate.services.log.attachment(sha256_of(bundle).hex) == bundle


def test_a_dry_run_forecasts_and_leaves_no_trace(gate: GateUnderTest) -> None:
    """A forecast has the verdict of the real request, no receipt and no record."""
    before = gate.records()
    response = gate.call("POST", "/v1/decisions:dry-run", "leo", gate.request_document())

    assert response.json["decision"]["verdict"] == "pending"
    assert response.json["decision"]["dry_run"] is True
    assert set(response.json) == {"decision"}
    assert gate.records() == before
    assert gate.call("GET", "/v1/promotions", "rita").json["items"] == []


def test_a_change_of_policy_makes_old_approvals_stale(tmp_path: Path) -> None:
    """Under a new revision old approvals no longer count; whoever looks sees it decided anew, and can approve again."""
    old = WasmEngine(compile_config(tmp_path / "old", policy_config()))
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=10**18 + 1)]}
    new = WasmEngine(compile_config(tmp_path / "new", policy_config(freezes=freezes)))
    engine = SwitchedEngine(old)
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = make_gate(folder, engine)
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    engine.now = new
    stale = gate.approve("maya", "risk", asked)
    seen = gate.call("GET", f"/v1/promotions/{asked['promotion']['id']}", "maya").json
    again = gate.approve("maya", "risk", seen).json

    assert (stale.status_code, stale.json["code"]) == (409, "approval.stale")
    assert seen["decision"]["policy"]["revision"] == new.catalogue().revision
    assert verdict_of(again) == "pending"
    assert again["decision"]["missing_approvals"] == [{"role": "ml-lead", "need": 1, "have": 0}]
    assert verdict_of(gate.approve("leo", "ml-lead", seen).json) == "allow"


def freeze(*, from_ns: int, until_ns: int) -> dict[str, Any]:
    """Write a freeze of production."""
    return {
        "id": "year-end",
        "kinds": ["promote"],
        "environments": ["production"],
        "models": ["*"],
        "from_ns": from_ns,
        "until_ns": until_ns,
        "reason": "year end",
    }


def test_nothing_is_promoted_during_a_freeze(tmp_path: Path) -> None:
    """A freeze denies, whatever else is in order."""
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=2**62)]}
    engine = WasmEngine(compile_config(tmp_path / "config", policy_config(freezes=freezes)))
    folder = tmp_path / "gate"
    folder.mkdir()
    answer = make_gate(folder, engine).request()

    assert verdict_of(answer) == "deny"
    assert "year-end" in str(answer["decision"]["violations"])


class SwitchedEngine:
    """Passes everything to the engine that is switched on; or to none."""

    name = "opa-wasm"

    def __init__(self, now: WasmEngine) -> None:
        self.now = now
        self.broken = False
        self.before_answer: Callable[[], None] = lambda: None

    def catalogue(self) -> PolicyCatalogue:
        """Return the engine's catalogue."""
        return self.now.catalogue()

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate, unless switched off."""
        if self.broken:
            raise PolicyUnavailableError("switched off")
        result = self.now.evaluate(document, timeout_s=timeout_s)
        self.before_answer()
        return result


@pytest.fixture
def switched(engine: WasmEngine) -> SwitchedEngine:
    """An engine that a test can switch off."""
    return SwitchedEngine(engine)


@pytest.fixture
def switched_gate(tmp_path: Path, switched: SwitchedEngine) -> GateUnderTest:
    """A gate around it."""
    return make_gate(tmp_path, switched)


def test_an_engine_that_is_down_promotes_nothing_and_is_recorded(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """The answer is 503 with the engine's code; the log says that no decision was made."""
    switched.broken = True
    document = switched_gate.request_document()
    response = switched_gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")

    assert (response.status_code, response.json["code"]) == (503, "policy.unavailable")
    assert switched_gate.records("gate.decision") == []
    assert switched_gate.records("gate.failure")[0]["body"]["code"] == "policy.unavailable"
    switched.broken = False
    assert switched_gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k").status_code == 202


def test_an_approval_that_cannot_be_decided_is_not_kept(switched: SwitchedEngine, switched_gate: GateUnderTest) -> None:
    """Nothing is half-written: after the engine is back, the same approval is a first one."""
    asked = switched_gate.request()
    switched.broken = True
    failed = switched_gate.approve("leo", "ml-lead", asked)
    switched.broken = False

    assert failed.status_code == 503
    assert switched_gate.records("gate.approval") == []
    assert switched_gate.approve("leo", "ml-lead", asked).status_code == 201


def test_an_approval_that_runs_out_during_evaluation_does_not_count(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """What was counted on must still hold at the commit: validity is looked at again in the same transaction."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)
    switched_gate.clock.advance(3 * DAY_NS - 1_000_000)

    def run_out_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(2_000_000)

    switched.before_answer = run_out_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def test_an_evaluation_that_took_too_long_is_not_committed(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """An answer of minutes ago is worth nothing; that no decision was made is recorded."""
    switched.before_answer = lambda: switched_gate.clock.advance(60 * 10**9)
    response = switched_gate.call("POST", "/v1/promotions", "rita", switched_gate.request_document())

    assert (response.status_code, response.json["code"]) == (503, "promotion.too_slow")
    assert switched_gate.records("gate.decision") == []
    assert switched_gate.records("gate.failure")[0]["body"]["code"] == "promotion.too_slow"


def test_a_clock_that_goes_back_during_evaluation_is_not_believed(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """A decision made later than its commit is evaluated again."""

    def go_back_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(-(10**9))

    switched.before_answer = go_back_once
    response = switched_gate.call("POST", "/v1/promotions", "rita", switched_gate.request_document())

    assert response.status_code == 202
    assert response.json["decision"]["decided_at"] == format_timestamp(switched_gate.clock.now)
    assert len(switched_gate.records("gate.decision")) == 1


def test_promoting_within_the_graph_needs_only_what_its_row_asks(gate: GateUnderTest) -> None:
    """Dev to staging asks for a trusted signature alone: allowed at once."""
    answer = gate.request(**{**PROMOTE, "from": "dev", "to": "staging"})

    assert verdict_of(answer) == "allow"
    assert answer["decision"]["subject"]["digest"] == str(ARTIFACT)


def test_looking_while_the_new_policy_gives_no_answer_shows_the_old_decision(
    tmp_path: Path, switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Where a promotion stands can be told although it cannot be decided anew; the failure is recorded."""
    asked = switched_gate.request()
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=10**18 + 1)]}
    switched.now = WasmEngine(compile_config(tmp_path / "new", policy_config(freezes=freezes)))
    switched.broken = True
    seen = switched_gate.call("GET", f"/v1/promotions/{asked['promotion']['id']}", "maya")

    assert seen.status_code == 200
    assert seen.json["decision"] == asked["decision"]
    assert seen.json["promotion"]["policy_revision"] == switched.now.catalogue().revision
    assert switched_gate.records("gate.failure")[0]["actor"]["type"] == "system"


def test_a_role_lost_during_evaluation_takes_its_approval_along(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Who approves is looked at again in the transaction: a role revoked meanwhile does not let the model in."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)

    def revoke_once() -> None:
        switched.before_answer = lambda: None
        nobody = parse_principal(subject="leo", type="user", roles=[], identities=[])
        switched_gate.services.identities.put_principal(nobody)

    switched.before_answer = revoke_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def test_a_root_of_trust_replaced_during_evaluation_counts(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Evidence that was verified under the root of before is verified again under the one in force."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)

    def replace_once() -> None:
        switched.before_answer = lambda: None
        VirtualSigstore(name="test", clock=switched_gate.clock).write_trust_domain(switched_gate.folder / "trust")
        verifier = switched_gate.services.readiness.verifier
        verifier.replace_domains(load_trust_domains(switched_gate.folder / "trust"))

    switched.before_answer = replace_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "deny"


def test_an_approval_that_ends_at_the_very_commit_does_not_count(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """At its expiry instant an approval is over, also for the look in the transaction."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)
    switched_gate.clock.advance(3 * DAY_NS - 1_000_000)

    def end_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(1_000_000)

    switched.before_answer = end_once

    assert verdict_of(switched_gate.approve("maya", "risk", asked).json) == "pending"


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


def test_an_approval_written_into_the_table_alone_is_found(gate: GateUnderTest) -> None:
    """Whoever can write the database but not the log cannot approve: nothing more is decided."""
    asked = gate.request()
    gate.approve("maya", "risk", asked)
    with write_transaction(gate.database) as connection:
        body = connection.execute(text("SELECT body FROM approval")).scalar_one().decode()
        forged = body.replace('"maya"', '"leo"').replace('"risk"', '"ml-lead"')
        forged_id = "01a1ee56-5e00-7cf9-af7f-000000000000"
        forged = forged.replace(json_id(body), forged_id)
        connection.execute(
            text("INSERT INTO approval (id, promotion_id, approver, body) VALUES (:id, :promotion, 'leo', :body)"),
            {"id": forged_id, "promotion": asked["promotion"]["id"], "body": forged.encode()},
        )
    response = gate.approve("lena", "risk", asked)

    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def json_id(body: str) -> str:
    """Return the id in an approval's bytes."""
    return body.split('"id":"')[1].split('"', maxsplit=1)[0]


def test_a_promotion_that_points_at_another_s_decision_is_found(gate: GateUnderTest) -> None:
    """A row made to show somebody else's allow shows nothing."""
    allowed = gate.request(**{**PROMOTE, "from": "dev", "to": "staging"})
    pending = gate.request()
    with write_transaction(gate.database) as connection:
        connection.execute(
            text("UPDATE promotion SET decision_id = :decision WHERE id = :id"),
            {"decision": allowed["decision"]["id"], "id": pending["promotion"]["id"]},
        )
    response = gate.call("GET", f"/v1/promotions/{pending['promotion']['id']}", "rita")

    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def test_a_decision_too_large_to_record_is_no_decision(gate: GateUnderTest) -> None:
    """When the record would be over its limit, the caller is told, and the log says that no decision was made."""
    bundles = [
        gate.sigstore.sign_artifact(
            ARTIFACT, VirtualSigner(identity="https://x.example/" + "i" * 990, issuer="https://i" + "s" * 490)
        )
        for _ in range(16)
    ]
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(*bundles))

    assert (response.status_code, response.json["code"]) == (413, "audit.record_invalid")
    assert gate.records("gate.failure")[0]["body"]["code"] == "audit.record_invalid"
    assert gate.records("gate.decision") == []


def test_many_promotions_that_run_out_together_stop_nothing(gate: GateUnderTest) -> None:
    """More than one transaction's worth expires, a batch at each operation, and every expiry is recorded once."""
    for number in range(120):
        gate.request(version=f"1.{number}")
    gate.clock.advance(7 * DAY_NS)
    shown = gate.call("GET", "/v1/promotions?limit=100", "rita")
    gate.call("GET", "/v1/promotions", "rita")
    gate.call("GET", "/v1/promotions", "rita")
    fresh = gate.request()

    assert {item["state"] for item in shown.json["items"]} == {"expired"}
    assert verdict_of(fresh) == "pending"
    assert len(gate.records("gate.expiry")) == 120


def test_a_replayed_answer_is_not_counted_again(gate: GateUnderTest) -> None:
    """Metrics count decisions, not how often one was asked for."""
    document = gate.request_document()
    for _ in range(3):
        gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")

    assert 'lockgate_decisions_total{kind="promote",verdict="pending"} 1.0' in gate.call("GET", "/metrics", "otto").text
