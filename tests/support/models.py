"""Models, versions, cards and bills of materials for tests, as a team would hand them in."""

import base64
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import parse_canonical
from lockgate.digests import sha256_of
from lockgate.errors import LockgateError
from lockgate.schemas import check_schema, schemas_root
from support.gates import ARTIFACT, GateUnderTest

_EXAMPLES: Final[Path] = schemas_root() / "examples/v1/registry"
CARD: Final = (_EXAMPLES / "model_card/valid/complete.json").read_bytes()
OTHER_CARD: Final = (_EXAMPLES / "model_card/valid/least.json").read_bytes()
BOM: Final = (_EXAMPLES / "bom/valid/model-in-the-metadata.json").read_bytes()
CARD_DIGEST: Final = str(sha256_of(CARD))
BOM_DIGEST: Final = str(sha256_of(BOM))
MODELS: Final = "/v1/models"
FRAUD: Final = f"{MODELS}/fraud-detector"
VERSIONS: Final = f"{FRAUD}/versions"
RETIRE: Final[dict[str, Any]] = {"schema_version": 1}


def handed_in(document: bytes) -> dict[str, str]:
    """Write a document as a request holds it."""
    return {"document": base64.b64encode(document).decode()}


def model_request(name: str = "fraud-detector", **changes: Any) -> dict[str, Any]:
    """Write a request to register a model; None takes a field away."""
    document = {"schema_version": 1, "name": name, "owner": "payments-ml", "tier": "high", **changes}
    return {key: value for key, value in document.items() if value is not None}


def model_update(**changes: Any) -> dict[str, Any]:
    """Write what shall be said of a model."""
    return {"schema_version": 1, "owner": "payments-ml", **changes}


def version_request(version: str = "1.4.0", **changes: Any) -> dict[str, Any]:
    """Write a request to register a version."""
    return {"schema_version": 1, "version": version, "digest": str(ARTIFACT), **changes}


def register_model(gate: GateUnderTest, name: str = "fraud-detector", **changes: Any) -> dict[str, Any]:
    """Register a model and return the answer; the operator does where its name in its registry is another."""
    who = "ravi" if changes.get("registry_model", name) == name else "otto"
    response = gate.call("POST", "/v1/models", who, model_request(name, **changes))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json
    return answer


def register_version(
    gate: GateUnderTest, model: str = "fraud-detector", version: str = "1.4.0", **changes: Any
) -> dict[str, Any]:
    """Register a version and return the answer."""
    response = gate.call("POST", f"/v1/models/{model}/versions", "ravi", version_request(version, **changes))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json
    return answer


def problem(response: Any) -> tuple[int, str]:
    """Return the status and the code of a problem."""
    check_schema("v1/api/problem", response.json)
    return response.status_code, response.json["code"]


def attached(gate: GateUnderTest, digest: str) -> bytes:
    """Return an attachment of the main log."""
    return gate.services.log.attachment(digest.removeprefix("sha256:"))


def disclosed(attachment: bytes) -> object:
    """Return the value of a disclosure; None where the attachment is another document."""
    try:
        return parse_canonical(base64.urlsafe_b64decode(attachment + b"=" * (-len(attachment) % 4)))[2]
    except (ValueError, LockgateError):
        return None
