"""The approval matrix, proven by enumeration, and the engines compared on random neighbours of what is allowed.

The enumeration is a proof for its domain: six people, one for each way in which roles and duties can meet (the
requester, an author, a signer, the holder of each role, the holder of both), each silent or with one approval in
either role, sound or spoilt. The rules read nothing else of an approval, and treat all people and roles alike. The
oracle below shares no code with the policy.
"""

import random
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest

from lockgate.clock import EpochNs, is_expired
from lockgate.policy.comparison import canonical_bytes, evaluate_by_opa, ordered
from lockgate.policy.opa_binary import run_opa
from lockgate.policy.probes import neighbours
from lockgate.policy.types import PROMOTION_DECISION
from lockgate.policy.wasm import WasmModule
from lockgate.shipped import shipped_folder
from support.policies import allowed_input, shipped_policy

ROLES_OF = {
    "requester": {"ml-lead", "risk"},
    "author": {"ml-lead", "risk"},
    "signer": {"ml-lead", "risk"},
    "lead": {"ml-lead"},
    "officer": {"risk"},
    "both": {"ml-lead", "risk"},
}
BARRED = {"requester", "author", "signer"}
ACTS = ("silent", "ml-lead", "risk")
SPOILS = {
    "digest": "sha256:" + "0" * 64,
    "to": "staging",
    "evidence_digest": "sha256:" + "0" * 64,
    "policy_revision": "sha256:" + "0" * 64,
    "expires_at_ns": 1,
}


@pytest.fixture(scope="module")
def module() -> Iterator[WasmModule]:
    """The shipped policy, compiled."""
    loaded = WasmModule(shipped_policy())
    yield loaded
    loaded.close()


def document_for(acts: dict[str, str], spoilt: dict[str, str]) -> dict[str, Any]:
    """Return the promotion to production with one approval for everybody who is not silent.

    Args:
        acts: What each person does.
        spoilt: The field of a person's approval that does not fit any more.
    """
    document = allowed_input()
    template = document["approvals"][0]
    document["request"]["requester"] = {
        "subject": "requester",
        "type": "user",
        "roles": ["requester"],
        "identities": ["requester"],
    }
    document["request"]["contributors"] = [{"subject": "author", "identity": "author", "role": "author"}]
    stranger = {**document["evidence"]["signatures"][0], "identity": "Signer", "signer": "signer"}
    document["evidence"]["signatures"].append(stranger)
    document["approvals"] = []
    for number, (person, act) in enumerate(acts.items()):
        if act != "silent":
            roles = [f"approver:{role}" for role in sorted(ROLES_OF[person])]
            approver = {"subject": person, "type": "user", "roles": roles, "identities": [person]}
            approval = {**template, "id": f"00000000-0000-4000-8000-{number:012d}", "role": act, "approver": approver}
            if person in spoilt:
                approval[spoilt[person]] = SPOILS[spoilt[person]]
            document["approvals"].append(approval)
    return document


def allowed_by_the_matrix(acts: dict[str, str], spoilt: dict[str, str]) -> bool:
    """Tell by the matrix's own words: an ML lead and a risk officer, both apart from the artifact, approved this."""
    approved = {
        act: [person for person, done in acts.items() if done == act and person not in BARRED and person not in spoilt]
        for act in ("ml-lead", "risk")
    }
    return any("ml-lead" in ROLES_OF[person] for person in approved["ml-lead"]) and any(
        "risk" in ROLES_OF[person] for person in approved["risk"]
    )


def test_the_matrix_is_exactly_what_is_enforced(module: WasmModule) -> None:
    """Over every combination of acts, the policy allows if and only if the matrix is met; more approvals never harm."""
    verdicts: dict[tuple[str, ...], bool] = {}
    for acts in product(ACTS, repeat=len(ROLES_OF)):
        people = dict(zip(ROLES_OF, acts, strict=True))
        answer = module.evaluate(canonical_bytes(document_for(people, {})), PROMOTION_DECISION)
        verdicts[acts] = answer["allow"]

        assert answer["allow"] == allowed_by_the_matrix(people, {}), people

    for acts, allow in verdicts.items():
        for position, act in enumerate(acts):
            if act != "silent":
                fewer = (*acts[:position], "silent", *acts[position + 1 :])
                assert allow or not verdicts[fewer], acts
    assert sum(verdicts.values()) > 50


@pytest.mark.parametrize("field", sorted(SPOILS))
def test_a_spoilt_approval_never_counts(module: WasmModule, field: str) -> None:
    """An approval of something else, or no longer valid, counts for nobody, whoever else approves."""
    for acts in product(ACTS, repeat=3):
        people = dict(zip(("lead", "officer", "both"), acts, strict=True))
        for person in people:
            answer = module.evaluate(canonical_bytes(document_for(people, {person: field})), PROMOTION_DECISION)

            assert answer["allow"] == allowed_by_the_matrix(people, {person: field}), (people, person)


def test_nothing_is_allowed_to_who_may_not_request(module: WasmModule) -> None:
    """Whoever approves: without the role of now the requester gets nothing."""
    for acts in product(ACTS, repeat=3):
        document = document_for(dict(zip(("lead", "officer", "both"), acts, strict=True)), {})
        document["request"]["requester"]["roles"] = ["approver:ml-lead", "operator"]

        assert not module.evaluate(canonical_bytes(document), PROMOTION_DECISION)["allow"]


def test_one_person_never_meets_two_quotas(module: WasmModule) -> None:
    """A person with both roles who approves in both counts once, whichever comes first."""
    for first, second in (("ml-lead", "risk"), ("risk", "ml-lead")):
        document = document_for({"both": first}, {})
        (one,) = document["approvals"]
        document["approvals"].append({**one, "id": "00000000-0000-4000-8000-000000000099", "role": second})

        answer = module.evaluate(canonical_bytes(document), PROMOTION_DECISION)

        assert not answer["allow"]
        assert [owed["role"] for owed in answer["missing_approvals"]] == [second]
        assert sorted(outcome["counted"] for outcome in answer["approvals"]) == [False, True]


def test_unrelated_evidence_never_opens_the_gate(module: WasmModule) -> None:
    """Adding signatures by strangers and refusals never turns a deny into an allow, nor do they close an open gate."""
    whole = allowed_input()
    stranger = {**whole["evidence"]["signatures"][0], "identity": "stranger", "signer": "stranger"}
    more = {
        **whole["evidence"],
        "signatures": [stranger, *whole["evidence"]["signatures"]],
        "refusals": [{"code": "signature_invalid", "trust_domain": "public-good"}],
    }
    only = {**more, "signatures": [stranger]}

    assert module.evaluate(canonical_bytes({**whole, "evidence": more}), PROMOTION_DECISION)["allow"]
    assert not module.evaluate(canonical_bytes({**whole, "evidence": only}), PROMOTION_DECISION)["allow"]


@pytest.mark.opa
def test_expiry_is_one_predicate(module: WasmModule, opa_binary: Path) -> None:
    """Rego and Python agree on what has expired, in the policy's answers and in the helper itself."""
    now = 1_800_000_000_000_000_000
    times = [now - 1, now, now + 1, 0, 1, 2**63 - 1]
    for expires in times:
        document = allowed_input()
        document["now_ns"] = now
        document["request"]["expires_at_ns"] = expires
        answer = module.evaluate(canonical_bytes(document), PROMOTION_DECISION)
        violated = {violation["rule_id"] for violation in answer["violations"]}

        assert ("LG-012" in violated) == is_expired(EpochNs(expires), EpochNs(now))

    cases = [(expires, at) for expires in (*times, None) for at in (0, 1, now)]
    query = "[n | some case in input; n := count([1 | data.lockgate.lib.times.expired(case[0], case[1])])]"
    arguments = ["eval", "--format", "raw", "--bundle", ".", "--stdin-input", query]
    said = orjson.loads(run_opa(opa_binary, arguments, cwd=shipped_folder("policies"), stdin=orjson.dumps(cases)))

    assert said == [is_expired(None if expires is None else EpochNs(expires), EpochNs(at)) for expires, at in cases]


@pytest.mark.opa
def test_both_engines_agree_around_the_edge(module: WasmModule, tmp_path: Path, opa_binary: Path) -> None:
    """On thousands of inputs two changes away from an allowed one, Wasm answers exactly what OPA answers."""
    shutil.copytree(shipped_folder("policies") / "lockgate", tmp_path / "policy" / "lockgate")
    chance = random.Random(20261123)  # noqa: S311 - the same inputs in every run
    documents: list[dict[str, Any]] = []
    for row in range(6):
        # Neighbours that are still allowed are the edge: one more change decides.
        still = [
            one
            for one in neighbours(allowed_input(row))
            if module.evaluate(canonical_bytes(one), PROMOTION_DECISION)["allow"]
        ]
        for one in chance.sample(still, 2):
            documents += neighbours(one)
    documents = chance.sample(documents, 2200)

    by_opa = evaluate_by_opa(PROMOTION_DECISION, opa_binary, tmp_path, documents)
    by_wasm = [module.evaluate(canonical_bytes(document), PROMOTION_DECISION) for document in documents]

    assert [ordered(answer) for answer in by_wasm] == [ordered(answer) for answer in by_opa]
    allows = sum(answer["allow"] for answer in by_wasm)
    assert 200 < allows < 2000
    for answer in by_wasm:
        assert answer["allow"] == (not answer["violations"])
        failed = {rule["rule_id"] for rule in answer["rules"] if rule["status"] == "fail"}
        assert failed == {violation["rule_id"] for violation in answer["violations"]}
