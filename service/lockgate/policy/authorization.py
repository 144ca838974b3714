"""The two documents of authorisation. Pure.

`build_authz_input` is the only maker of an `AuthzInput`, `parse_authz_result` the only maker of an `AuthzResult`. Both
check the document against `schemas/v1/policy/`; `parse_authz_result` also checks what a schema cannot say:

(1) The answer is for this input: it echoes the input's operation and policy revision.
(2) That revision is the one that was asked for.
(3) The call is allowed if and only if the reason is `granted`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lockgate.canonical_json import CanonicalJSONError, canonicalize
from lockgate.policy.errors import PolicyInputError, PolicyInvalidError
from lockgate.policy.types import AuthzInput, AuthzResult, PolicyRevision
from lockgate.schemas import SchemaError, check_schema

INPUT_BYTES_MAX: Final = 8 * 1024  # 32 roles and a subject at their limits take four
INPUT_DEPTH_MAX: Final = 3  # the document, the principal, its roles
INPUT_SCHEMA: Final = "v1/policy/authz_input"
RESULT_SCHEMA: Final = "v1/policy/authz_result"

GRANTED: Final = "granted"
OBJECT_MISSING: Final = "object_missing"  # a role is granted the operation, and only its object can decide


def build_authz_input(  # noqa: PLR0913 - one for each part of the input
    *,
    revision: PolicyRevision,
    subject: str,
    type: str,  # noqa: A002 - the field's name
    roles: Sequence[str],
    operation: str,
    facts: Mapping[str, str],
) -> AuthzInput:
    """Write down everything that it may depend on whether a call is permitted.

    Args:
        revision: The policy revision that shall decide.
        subject: Who calls.
        type: `user` or `machine`.
        roles: What the caller holds, in full.
        operation: What is called, for example `promotions.create`.
        facts: Of the object, by name; empty where there is none, or it is not known yet.

    Raises:
        PolicyInputError: A part is outside the schema's bounds.
    """
    document = {
        "schema_version": 1,
        "policy_revision": revision,
        "principal": {"subject": subject, "type": type, "roles": list(roles)},
        "operation": operation,
        "object": dict(facts),
    }
    try:
        check_schema(INPUT_SCHEMA, document)
    except SchemaError as exc:
        raise PolicyInputError(f"authorisation input at {exc.pointer[:200] or '/'}: {exc}") from exc
    return AuthzInput(document)


def authz_bytes(document: AuthzInput) -> bytes:
    """Return the canonical bytes of an authorisation input.

    Raises:
        PolicyInputError: The input has no canonical form or is larger than `INPUT_BYTES_MAX`.
    """
    try:
        return canonicalize(dict(document), bytes_max=INPUT_BYTES_MAX, depth_max=INPUT_DEPTH_MAX)
    except CanonicalJSONError as exc:
        raise PolicyInputError(f"authorisation input: {exc}") from exc


def parse_authz_result(raw: Any, *, document: AuthzInput, revision: PolicyRevision) -> AuthzResult:  # noqa: ANN401 - JSON, checked here
    """Check an engine's answer.

    Args:
        raw: What `data.lockgate.authz.decision` evaluated to, parsed from JSON.
        document: The input that it was evaluated for.
        revision: The policy revision that the engine evaluates.

    Raises:
        PolicyInvalidError: The answer breaks its schema, or one of the numbered rules of this module.
    """
    try:
        check_schema(RESULT_SCHEMA, raw)
    except SchemaError as exc:
        raise PolicyInvalidError(f"authorisation result at {exc.pointer[:200] or '/'}: {exc}") from exc
    # (1) The answer is for this input.
    for field in ("operation", "policy_revision"):
        if raw[field] != document.get(field):
            raise PolicyInvalidError(f"authorisation result: want the input's {field} echoed")
    # (2) It was made for this engine.
    if raw["policy_revision"] != revision:
        raise PolicyInvalidError("authorisation result: want an input made for the engine's policy revision")
    # (3) Allowed means granted, and nothing else does.
    if raw["allow"] != (raw["reason"] == GRANTED):
        raise PolicyInvalidError(f"authorisation result: got allow={raw['allow']} with the reason {raw['reason']}")
    return AuthzResult(allow=raw["allow"], reason=raw["reason"], revision=revision)
