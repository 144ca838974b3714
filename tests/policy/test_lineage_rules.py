"""What the policy's data ask of lineage, and holds: proven by enumeration against an oracle that shares no code.

The domain: every combination of the three checks, of who must answer for them, and of what a snapshot can show of
each. The rules read nothing else of a snapshot.
"""

from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lockgate.policy import CompiledPolicy, PolicyBuildError, PolicyInput, PolicyInvalidError
from lockgate.policy.comparison import canonical_bytes
from lockgate.policy.probes import fitting_inputs
from lockgate.policy.types import PROMOTION_DECISION
from lockgate.policy.wasm import WasmEngine, WasmModule
from support.gates import compile_config
from support.policies import allowed_input, shipped_policy

CHECKS = ("dataset_digests", "code_commit", "feature_views_approved")
DATASETS = {"none": [], "named": ["d1"], "unnamed": [""], "one unnamed": ["d1", ""]}
VIEWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "none declared": ("none", []),
    "unresolved": ("unresolved", []),
    "sound": ("resolved", [{}]),
    "not found": ("resolved", [{"found": False}]),
    "no owner": ("resolved", [{}, {"owner": ""}]),
    "deprecated": ("resolved", [{"deprecated": True}]),
    "personal": ("resolved", [{}, {"pii": True}]),
}
SOUND_VIEWS = {"none declared", "sound", "personal"}


def config_asking(checks: tuple[str, ...]) -> dict[str, Any]:
    """Return the shipped data, asking for lineage of the high tier's promotions to production."""
    config: dict[str, Any] = deepcopy(shipped_policy().data["lockgate"]["config"])
    config["matrix"]["roles"].append("privacy")
    wanted = {"id": "a", "kinds": ["promote"], "environments": ["production"], "tiers": ["high"], "checks": checks}
    config["lineage"]["requirements"] = [wanted] if checks else []
    return config


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], CompiledPolicy]:
    """The shipped rules with data that ask for each combination of checks."""
    combinations = [tuple(c for c, on in zip(CHECKS, which, strict=True) if on) for which in product((0, 1), repeat=3)]
    return {checks: compile_config(tmp_path_factory.mktemp("config"), config_asking(checks)) for checks in combinations}


@pytest.fixture(scope="module")
def modules(policies: dict[tuple[str, ...], CompiledPolicy]) -> Iterator[dict[tuple[str, ...], WasmModule]]:
    """Each of them loaded."""
    loaded = {checks: WasmModule(policy) for checks, policy in policies.items()}
    yield loaded
    for module in loaded.values():
        module.close()


def promotion(policy: CompiledPolicy, **lineage: Any) -> dict[str, Any]:
    """Return the promotion to production that the policy allows, with other lineage."""
    document = deepcopy(dict(list(fitting_inputs(policy.data, policy.catalogue.revision))[3]))
    document["lineage"].update(lineage)
    return document


def privacy_approval(document: dict[str, Any]) -> dict[str, Any]:
    """Return an approval in the role privacy by somebody else."""
    approver = {"subject": "petra", "type": "user", "roles": ["approver:privacy"], "identities": ["petra"]}
    template = document["approvals"][0]
    return {**template, "id": "00000000-0000-4000-8000-00000000beef", "role": "privacy", "approver": approver}


def test_lineage_is_enforced_exactly_where_asked(
    policies: dict[tuple[str, ...], CompiledPolicy], modules: dict[tuple[str, ...], WasmModule]
) -> None:
    """Over every combination, the policy allows if and only if each check that is asked for is met."""
    seen = {True: 0, False: 0}
    for checks, module in modules.items():
        whole = promotion(policies[checks])
        view = whole["lineage"]["feature_views"][0]
        for present, commit, data, views, privacy in product((True, False), ("c", ""), DATASETS, VIEWS, (True, False)):
            status, changes = VIEWS[views]
            document = {**whole, "approvals": list(whole["approvals"])}
            document["lineage"] = {
                **whole["lineage"],
                "present": present,
                "code_commit": commit,
                "datasets": [{"name": f"d{n}", "digest": d, "context": ""} for n, d in enumerate(DATASETS[data])],
                "feature_service": {"status": status, "project": "p", "name": "s"},
                "feature_views": [{**view, "name": f"v{n}", **change} for n, change in enumerate(changes)],
            }
            if privacy:
                document["approvals"].append(privacy_approval(whole))
            met = {
                "dataset_digests": present and data == "named",
                "code_commit": present and bool(commit),
                "feature_views_approved": present and views in SOUND_VIEWS and (privacy or views != "personal"),
            }
            answer = module.evaluate(canonical_bytes(document), PROMOTION_DECISION)
            seen[answer["allow"]] += 1

            assert answer["allow"] == all(met[check] for check in checks), (checks, present, commit, data, views)

    assert min(seen.values()) > 300


@pytest.mark.parametrize(
    ("lineage", "codes"),
    [
        ({"truncated": ["datasets"]}, ["lineage.dataset_digests"]),
        ({"truncated": ["feature_views"]}, ["lineage.feature_views_approved", "lineage.pii_approved"]),
        ({"truncated": ["params", "metrics"]}, []),
        ({"artifact": "sha256:" + "0" * 64}, ["lineage.other_artifact"] * 4),
        ({"artifact": ""}, []),
        ({"present": False}, ["lineage.missing"] * 4),
    ],
)
def test_what_a_snapshot_does_not_prove_is_not_taken_for_granted(
    policies: dict[tuple[str, ...], CompiledPolicy], lineage: dict[str, Any], codes: list[str]
) -> None:
    """A list that was cut, bytes of another artifact, or no snapshot at all prove nothing; each has its code."""
    policy = policies[CHECKS]
    engine = WasmEngine(policy)

    result = engine.evaluate(PolicyInput(promotion(policy, **lineage)), timeout_s=10.0)
    engine.close()

    assert [violation.code for violation in result.violations] == codes


def test_personal_data_waits_for_privacy(policies: dict[tuple[str, ...], CompiledPolicy]) -> None:
    """Personal data leave a promotion short of one approval in the role privacy, named as any other."""
    policy = policies[CHECKS]
    engine = WasmEngine(policy)
    document = promotion(policy)
    document["lineage"]["feature_views"][0]["pii"] = True

    owed = engine.evaluate(PolicyInput(document), timeout_s=10.0)
    document["approvals"].append(privacy_approval(document))
    given = engine.evaluate(PolicyInput(document), timeout_s=10.0)
    engine.close()

    assert [(missing.role, missing.need, missing.have) for missing in owed.missing_approvals] == [("privacy", 1, 0)]
    assert [violation.code for violation in owed.violations] == ["approvals.missing", "lineage.pii_approved"]
    approvable = {rule.rule_id for rule in policy.catalogue.rules if rule.approvable}
    assert {violation.rule_id for violation in owed.violations} <= approvable
    assert given.allow


def test_a_hold_stops_promotions_and_no_rollback() -> None:
    """A hold in force denies a promotion, whatever else fits, and lets a rollback pass."""
    engine = WasmEngine(shipped_policy())
    held = []
    for row in range(6):
        document = allowed_input(row)
        document["history"]["held"] = True
        result = engine.evaluate(PolicyInput(document), timeout_s=10.0)
        held.append((document["request"]["kind"], [violation.code for violation in result.violations]))
    engine.close()

    assert set(map(str, held)) == {str(("promote", ["hold.in_force"])), str(("rollback", []))}


def test_an_input_of_before_is_refused_by_name() -> None:
    """An input of version 1 is not evaluated under a policy that reads lineage: neither as its own nor in disguise."""
    engine = WasmEngine(shipped_policy())
    document = allowed_input()
    del document["lineage"]
    del document["history"]["held"]
    document["schema_version"] = 1
    recorded = {**document, "policy_revision": "sha256:" + "1" * 64}

    with pytest.raises(PolicyInvalidError, match="made for the engine's policy revision"):
        engine.evaluate(PolicyInput(recorded), timeout_s=10.0)
    result = engine.evaluate(PolicyInput(document), timeout_s=10.0)
    engine.close()

    assert "input.incomplete" in {violation.code for violation in result.violations}


def test_the_compiled_data_ask_for_nothing() -> None:
    """The shipped data require no lineage: whoever wants it says so."""
    assert shipped_policy().data["lockgate"]["config"]["lineage"]["requirements"] == []


def test_the_configuration_folder_needs_the_document(tmp_path: Path) -> None:
    """A deployment's own data without `lineage` are refused by name, not taken for data that ask for nothing."""
    config = config_asking(())
    del config["lineage"]

    with pytest.raises(PolicyBuildError, match=r"/lineage/data\.json: cannot read it"):
        compile_config(tmp_path, config)
