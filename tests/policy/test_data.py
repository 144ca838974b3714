"""What the policy's data must be like, each rule with a case that breaks it."""

from copy import deepcopy
from typing import Any

import pytest

from lockgate.policy import PolicyBuildError
from lockgate.policy.data import parse_data
from support.policies import shipped_policy


def shipped_data() -> dict[str, Any]:
    """Return the shipped data; the test's own copy."""
    return deepcopy(shipped_policy().data["lockgate"]["config"])


def refusal(data: dict[str, Any]) -> str:
    """Return why the data are refused."""
    with pytest.raises(PolicyBuildError) as caught:
        parse_data(data)
    return str(caught.value)


def test_the_shipped_data_are_valid() -> None:
    """The shipped data pass, so that the failing cases fail for their own reason."""
    assert parse_data(shipped_data()) == shipped_data()


@pytest.mark.parametrize("name", ["environments", "freezes", "lineage", "matrix", "models", "trust"])
def test_a_document_that_breaks_its_schema_is_refused(name: str) -> None:
    """(Schema) A missing field is refused in each document; no rule must ever meet it."""
    data = shipped_data()
    del data[name]["schema_version"]

    assert refusal(data) == f"lockgate/config/{name}/data.json at /: want the field 'schema_version'"


def test_a_transition_to_nowhere_is_refused() -> None:
    """(1) Every transition joins environments of the graph."""
    data = shipped_data()
    data["environments"]["transitions"][0]["to"] = "stageing"

    assert refusal(data) == "lockgate/config/environments/data.json: want an environment that exists, got 'stageing'"


def test_a_model_listed_twice_is_refused() -> None:
    """(2) A model has one tier."""
    data = shipped_data()
    data["models"]["models"].append({"name": "fraud-detector", "tier": "low"})

    assert refusal(data) == "lockgate/config/models/data.json: want each model once, got 'fraud-detector' 2 times"


def test_a_model_of_no_tier_is_refused() -> None:
    """(2) A model's tier is one of the matrix."""
    data = shipped_data()
    data["models"]["models"][0]["tier"] = "huge"

    assert refusal(data) == "lockgate/config/models/data.json: want a tier that exists, got 'huge'"


def test_a_hole_in_the_matrix_is_refused() -> None:
    """(3) Every transition has a row for every tier."""
    data = shipped_data()
    del data["matrix"]["rows"][3]

    assert (
        refusal(data)
        == "lockgate/config/matrix/data.json: want one row for promote staging to production, tier high, got none"
    )


def test_two_rows_for_one_transition_are_refused() -> None:
    """(3) No transition and tier has two rows, even where they differ."""
    data = shipped_data()
    data["matrix"]["rows"].append({**data["matrix"]["rows"][3], "approvals": []})

    assert (
        refusal(data)
        == "lockgate/config/matrix/data.json: want one row for promote staging to production, tier high, got 2"
    )


def test_a_row_without_its_transition_is_refused() -> None:
    """(3) A row that can never be read is a mistake."""
    data = shipped_data()
    data["matrix"]["rows"].append({**data["matrix"]["rows"][3], "from": "dev"})

    assert "want no row for promote dev to production, tier high" in refusal(data)


def test_a_role_asked_twice_in_one_row_is_refused() -> None:
    """(4) Two quotas for one role would be read as one."""
    data = shipped_data()
    data["matrix"]["rows"][3]["approvals"].append({"role": "risk", "count": 2})

    assert refusal(data) == "lockgate/config/matrix/data.json: want each role of a row once, got 'risk' 2 times"


def test_an_unknown_role_is_refused() -> None:
    """(4) A role that nobody can hold would close the gate for good."""
    data = shipped_data()
    data["matrix"]["rows"][3]["approvals"][0]["role"] = "mllead"

    assert refusal(data) == "lockgate/config/matrix/data.json: want a role that exists, got 'mllead'"


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": "", "claims": []},
        {"identity": "", "claims": [{"name": "runner_environment", "value": "github-hosted"}]},
        {"identity": "", "issuer": ""},
    ],
)
def test_an_unpinned_signer_is_refused(changes: dict[str, Any]) -> None:
    """(5) A signer without an identity is pinned by a claim that tells one repository, of a named issuer."""
    data = shipped_data()
    data["trust"]["signers"][0].update(changes)

    assert refusal(data).endswith("for the signer release-workflow")


def test_a_signer_pinned_by_claims_is_accepted() -> None:
    """(5) A numeric repository identifier pins a signer without an exact identity."""
    data = shipped_data()
    data["trust"]["signers"][0]["identity"] = ""

    assert parse_data(data)


def test_a_freeze_that_never_begins_is_refused() -> None:
    """(6) A freeze that ends when it begins would freeze nothing."""
    data = shipped_data()
    data["freezes"]["freezes"][0]["until_ns"] = data["freezes"]["freezes"][0]["from_ns"]

    assert refusal(data) == "lockgate/config/freezes/data.json: want year-end-2026 to begin before it ends"


@pytest.mark.parametrize(
    ("document", "items", "field", "value"),
    [
        ("trust", "signers", "environments", ["prod"]),
        ("trust", "signers", "models", ["fraud-detektor"]),
        ("trust", "signers", "models", ["*", "fraud-detector"]),
        ("freezes", "freezes", "environments", ["prod"]),
        ("freezes", "freezes", "models", ["fraud-detektor"]),
        ("freezes", "freezes", "models", ["*", "fraud-detector"]),
    ],
)
def test_an_unknown_name_is_refused(document: str, items: str, field: str, value: list[str]) -> None:
    """(7) Signers and freezes name only what exists; the star stands alone."""
    data = shipped_data()
    data[document][items][0][field] = value

    assert "that exists, got" in refusal(data)


@pytest.mark.parametrize(("document", "items"), [("trust", "signers"), ("freezes", "freezes")])
def test_an_id_given_twice_is_refused(document: str, items: str) -> None:
    """(7) An id names one thing."""
    data = shipped_data()
    data[document][items].append({**data[document][items][0], "environments": ["staging"]})

    assert "2 times" in refusal(data)


REQUIREMENT = {
    "id": "production",
    "kinds": ["promote"],
    "environments": ["production"],
    "tiers": ["high"],
    "checks": ["code_commit"],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environments": ["prod"]}, "want an environment that exists, got 'prod'"),
        ({"tiers": ["huge"]}, "want a tier that exists, got 'huge'"),
    ],
)
def test_an_unknown_name_in_a_lineage_requirement_is_refused(changes: dict[str, Any], message: str) -> None:
    """(7) A requirement that fits nothing asks nothing, so it names only what exists."""
    data = shipped_data()
    data["lineage"]["requirements"] = [{**REQUIREMENT, **changes}]

    assert refusal(data) == f"lockgate/config/lineage/data.json: {message}"


def test_a_lineage_requirement_given_twice_is_refused() -> None:
    """(7) An id names one requirement."""
    data = shipped_data()
    data["lineage"]["requirements"] = [REQUIREMENT, {**REQUIREMENT, "tiers": ["low"]}]

    assert refusal(data) == "lockgate/config/lineage/data.json: want each requirement once, got 'production' 2 times"


def test_feature_views_are_asked_for_only_where_privacy_is_a_role() -> None:
    """(8) Where nobody could hold the role that approves personal data, nothing that reads it could ever pass."""
    data = shipped_data()
    data["lineage"]["requirements"] = [{**REQUIREMENT, "checks": ["feature_views_approved"]}]

    assert refusal(data).startswith("lockgate/config/lineage/data.json: want the role 'privacy' in the matrix")

    data["matrix"]["roles"].append("privacy")

    assert parse_data(data)


@pytest.mark.parametrize("field", ["from_ns", "until_ns"])
@pytest.mark.parametrize("unit", [10**9, 10**6, 10**3], ids=["seconds", "milliseconds", "microseconds"])
def test_a_freeze_in_another_unit_is_refused(field: str, unit: int) -> None:
    """(Schema) A time in another unit lies in 1970: a freeze between two such times would freeze nothing."""
    data = shipped_data()
    data["freezes"]["freezes"][0][field] //= unit

    assert refusal(data) == (
        f"lockgate/config/freezes/data.json at /freezes/0/{field}: want at least 1000000000000000000"
    )


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("freezes", ("freezes", 0, "from_ns"), 1.7976384e18),
        ("freezes", ("freezes", 0, "until_ns"), 1798848000000000000.0),
        ("matrix", ("rows", 3, "approvals", 0, "count"), 1.0),
        ("trust", ("schema_version",), 1.0),
    ],
)
def test_a_float_is_refused(name: str, path: tuple[str | int, ...], value: float) -> None:
    """(0) A number with fraction or exponent is refused by file and field, although JSON Schema calls it an integer."""
    data = shipped_data()
    place = data[name]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert refusal(data) == (
        f"lockgate/config/{name}/data.json at /{'/'.join(map(str, path))}: want an integer without fraction or exponent"
    )


def test_a_signer_of_every_model_names_only_environments_that_exist() -> None:
    """(7) The star for models opens no door to an environment that the graph does not have."""
    data = shipped_data()
    data["trust"]["signers"][0].update({"models": ["*"], "environments": ["staging", "prod"]})

    assert refusal(data) == "lockgate/config/trust/data.json: want an environment that exists, got 'prod'"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": [{"name": "source_repository_identifier", "value": ""}]}, "at /signers/0/claims/0/value"),
        ({"models": []}, "at /signers/0/models"),
        ({"environments": []}, "at /signers/0/environments"),
        ({"predicate_types": []}, "at /signers/0/predicate_types"),
        ({"trust_domain": ""}, "at /signers/0/trust_domain"),
    ],
)
def test_a_signer_with_an_empty_field_is_refused(changes: dict[str, Any], message: str) -> None:
    """(Schema) Nothing that a signer is told by is empty."""
    data = shipped_data()
    data["trust"]["signers"][0].update(changes)

    assert refusal(data).startswith(f"lockgate/config/trust/data.json {message}: want ")
