"""The two documents that policy reads and writes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.canonical_json import INT64_MAX
from lockgate.clock import EpochNs
from lockgate.digests import Digest
from lockgate.policy import (
    ApprovalFact,
    ClaimFact,
    ContributorFact,
    EvidenceFacts,
    HistoryFacts,
    PolicyInput,
    PolicyInputError,
    PolicyInvalidError,
    PolicyPrincipal,
    PolicyRequest,
    RefusalFact,
    RuleStatus,
    SignatureFact,
    build_input,
    fold_identity,
    input_bytes,
)
from lockgate.policy.documents import parse_result
from lockgate.policy.types import PROMOTION_DECISION
from lockgate.policy.wasm import WasmModule
from support.policies import allowed_input, shipped_policy

DIGEST = Digest(algorithm="sha512", hex="b" * 128)
BOB = PolicyPrincipal(
    subject="Bob", type="user", roles=("approver:risk", "approver:risk"), identities=("Bob@Example.com",)
)
REQUEST = PolicyRequest(
    id="00000000-0000-4000-8000-000000000001",
    kind="promote",
    model="fraud-detector",
    version="7",
    digest=DIGEST,
    from_environment="staging",
    to_environment="production",
    requester=replace(BOB, subject="ci", type="machine", identities=()),
    contributors=(ContributorFact(subject="Dana", role="trainer"),),
    requested_at=EpochNs(1),
    expires_at=EpochNs(3),
)
SIGNATURE = SignatureFact(
    kind="message",
    trust_domain="public-good",
    identity="Bob@Example.com",
    identity_type="email",
    issuer="https://issuer.example",
    claims=(ClaimFact(name="issuer", value="https://issuer.example"),),
    predicate_type="",
    signed_at=None,
)
EVIDENCE = EvidenceFacts(
    digest=Digest(algorithm="sha256", hex="e" * 64),
    signatures=(SIGNATURE,),
    refusals=(RefusalFact(code="signature_invalid", trust_domain="public-good"),),
)
REVISION = shipped_policy().catalogue.revision


def approval(number: int, approved_at: int) -> ApprovalFact:
    """Return an approval of the request."""
    return ApprovalFact(
        id=f"00000000-0000-4000-8000-{number:012d}",
        verdict="approve",
        role="risk",
        approver=BOB,
        digest=DIGEST,
        kind="promote",
        from_environment="staging",
        to_environment="production",
        evidence_digest=EVIDENCE.digest,
        policy_revision=REVISION,
        approved_at=EpochNs(approved_at),
        expires_at=EpochNs(9),
    )


def build(**changes: Any) -> PolicyInput:
    """Build the input of the facts above, some of them changed."""
    facts: dict[str, Any] = {
        "now": EpochNs(2),
        "revision": REVISION,
        "request": REQUEST,
        "evidence": EVIDENCE,
        "approvals": (),
        "lineage": None,
        "history": HistoryFacts(allowed_in_target=False, held=False, rolled_back=False, registered_digest=""),
    }
    return build_input(**{**facts, **changes})


def test_people_are_compared_by_folded_names() -> None:
    """Names for telling people apart lose their case; the identity that trust compares keeps it."""
    document = build(approvals=[approval(1, 1)])

    assert document["approvals"][0]["approver"]["identities"] == ["bob", "bob@example.com"]
    assert document["request"]["contributors"][0] == {"subject": "Dana", "identity": "dana", "role": "trainer"}
    assert document["evidence"]["signatures"][0]["signer"] == "bob@example.com"
    assert document["evidence"]["signatures"][0]["identity"] == "Bob@Example.com"
    assert fold_identity("STRASSE") == fold_identity("straße")


def test_the_order_of_approvals_is_the_order_of_giving() -> None:
    """The caller's order of approvals does not change the input's bytes."""
    early, late, tie = approval(3, 1), approval(1, 2), approval(2, 2)

    document = build(approvals=[late, tie, early])

    assert [given["id"][-1] for given in document["approvals"]] == ["3", "1", "2"]
    assert input_bytes(document) == input_bytes(build(approvals=[tie, early, late]))


@pytest.mark.parametrize(
    "changes",
    [
        {"now": EpochNs(-1)},
        {"now": EpochNs(INT64_MAX + 1)},
        {"revision": "sha256:short"},
        {"request": replace(REQUEST, id="1")},
        {"request": replace(REQUEST, model="fraud\0detector")},
        {"request": replace(REQUEST, contributors=REQUEST.contributors * 33)},
        {"evidence": replace(EVIDENCE, signatures=(SIGNATURE,) * 17)},
        {"evidence": replace(EVIDENCE, signatures=(replace(SIGNATURE, identity="a\0b"),))},
        {"evidence": replace(EVIDENCE, signatures=(replace(SIGNATURE, identity="\ud800"),))},
        {"approvals": [approval(number, 1) for number in range(65)]},
    ],
)
def test_facts_out_of_bounds_are_refused(changes: dict[str, Any]) -> None:
    """A fact that the schema does not bound in is refused before any engine sees it."""
    with pytest.raises(PolicyInputError):
        build(**changes)


def test_an_input_too_large_as_a_whole_is_refused() -> None:
    """Parts within their limits cannot add up to more than the whole may be."""
    claims = tuple(ClaimFact(name=f"c{number}", value="v" * 4096) for number in range(64))

    with pytest.raises(PolicyInputError, match="at most 262144 bytes"):
        build(evidence=replace(EVIDENCE, signatures=(replace(SIGNATURE, claims=claims),) * 2))


def raw_result(document: PolicyInput) -> dict[str, Any]:
    """Return what the shipped policy answers, unchecked."""
    module = WasmModule(shipped_policy())
    try:
        answer: dict[str, Any] = module.evaluate(input_bytes(document), PROMOTION_DECISION)
        return answer
    finally:
        module.close()


ALLOWED = PolicyInput(allowed_input())
PENDING = PolicyInput({**allowed_input(), "approvals": []})
RAW_ALLOWED = raw_result(ALLOWED)
RAW_PENDING = raw_result(PENDING)


def parse(raw: object, document: PolicyInput) -> bool:
    """Parse an answer and tell whether it allows."""
    catalogue = shipped_policy().catalogue
    return parse_result(raw, document=document, catalogue=catalogue, engine="e", engine_version="v").allow


def test_an_answer_is_sorted() -> None:
    """An engine's order of sets does not matter."""
    shuffled = {name: value[::-1] if isinstance(value, list) else value for name, value in RAW_PENDING.items()}
    catalogue = shipped_policy().catalogue

    one = parse_result(RAW_PENDING, document=PENDING, catalogue=catalogue, engine="e", engine_version="v")
    two = parse_result(shuffled, document=PENDING, catalogue=catalogue, engine="e", engine_version="v")

    assert one == two
    assert [owed.role for owed in one.missing_approvals] == ["ml-lead", "risk"]
    assert {rule.rule_id: rule.status for rule in one.rules}["LG-013"] is RuleStatus.NOT_APPLICABLE


def drop_rule(raw: dict[str, Any]) -> None:
    """(2) A rule that was not evaluated."""
    raw["rules"] = [rule for rule in raw["rules"] if rule["rule_id"] != "LG-040"]


def repeat_rule(raw: dict[str, Any]) -> None:
    """(2) A rule evaluated twice."""
    raw["rules"].append(raw["rules"][0])


def add_rule(raw: dict[str, Any]) -> None:
    """(2) A rule that the catalogue lacks."""
    raw["rules"].append({"rule_id": "LG-999", "status": "pass"})


def fail_silently(raw: dict[str, Any]) -> None:
    """(3) A failed rule without a violation."""
    raw["rules"][0]["status"] = "fail"


def deny_without_reason(raw: dict[str, Any]) -> None:
    """(4) A deny without a violation."""
    raw["allow"] = False


def echo_another_revision(raw: dict[str, Any]) -> None:
    """(1) An answer to another question."""
    raw["policy_revision"] = "sha256:" + "0" * 64


def forget_an_approval(raw: dict[str, Any]) -> None:
    """(5) An approval without an outcome."""
    raw["approvals"].pop()


def repeat_an_approval(raw: dict[str, Any]) -> None:
    """(5) An approval with two outcomes."""
    raw["approvals"].append(raw["approvals"][0])


def count_against_reasons(raw: dict[str, Any]) -> None:
    """(5) An approval that counts although something speaks against it."""
    raw["approvals"][0]["reasons"] = ["expired"]


def ignore_without_reason(raw: dict[str, Any]) -> None:
    """(5) An approval that does not count, for no reason."""
    raw["approvals"][0]["counted"] = False


def ask_for_more(raw: dict[str, Any]) -> None:
    """(6) A missing approval that no rule asks for."""
    raw["missing_approvals"] = [{"role": "risk", "need": 1, "have": 0}]


@pytest.mark.parametrize(
    "break_it",
    [
        drop_rule,
        repeat_rule,
        add_rule,
        fail_silently,
        deny_without_reason,
        echo_another_revision,
        forget_an_approval,
        repeat_an_approval,
        count_against_reasons,
        ignore_without_reason,
        ask_for_more,
    ],
)
def test_a_contradictory_allow_is_refused(break_it: Callable[[dict[str, Any]], None]) -> None:
    """An allowing answer that contradicts itself or the catalogue is invalid."""
    raw = deepcopy(RAW_ALLOWED)
    assert parse(raw, ALLOWED)

    break_it(raw)

    with pytest.raises(PolicyInvalidError):
        parse(raw, ALLOWED)


def pass_silently(raw: dict[str, Any]) -> None:
    """(3) A violation of a rule that passed."""
    for rule in raw["rules"]:
        rule["status"] = "pass"


def allow_all_the_same(raw: dict[str, Any]) -> None:
    """(4) An allow with a violation."""
    raw["allow"] = True


def reword(raw: dict[str, Any]) -> None:
    """(3) A violation that the catalogue words otherwise."""
    raw["violations"][0]["title"] = "All is well"


def hide_what_is_missing(raw: dict[str, Any]) -> None:
    """(3) A failed rule whose violation is gone."""
    raw["violations"] = []


@pytest.mark.parametrize("break_it", [pass_silently, allow_all_the_same, reword, hide_what_is_missing])
def test_a_contradictory_deny_is_refused(break_it: Callable[[dict[str, Any]], None]) -> None:
    """A denying answer that contradicts itself or the catalogue is invalid."""
    raw = deepcopy(RAW_PENDING)
    assert not parse(raw, PENDING)

    break_it(raw)

    with pytest.raises(PolicyInvalidError):
        parse(raw, PENDING)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(field=st.sampled_from(sorted(RAW_PENDING)), value=json_values)
def test_hostile_answers_never_allow(field: str, value: object) -> None:
    """Whatever stands in one field of a denying answer, it is refused as invalid or still denies."""
    try:
        allowed = parse({**RAW_PENDING, field: value}, PENDING)
    except PolicyInvalidError:
        return

    assert not allowed
