"""Reads an authenticated in-toto statement and finds the artifact among its subjects. Pure.

Source: in-toto/attestation, `spec/v1/statement.md`; version 0.1 of it has the same fields.
"""

from typing import Any, Final

from lockgate.canonical_json import JSONTooLargeError, MalformedJSONError, parse_json
from lockgate.digests import Digest
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import (
    PREDICATE_TYPE_CHARS_MAX,
    STATEMENT_BYTES_MAX,
    STATEMENT_DEPTH_MAX,
    STATEMENT_NODES_MAX,
    SUBJECTS_MAX,
)
from lockgate.evidence.model_manifests import LEGACY_MODEL_PREDICATE, MODEL_PREDICATE, legacy_root, require_manifest
from lockgate.evidence.types import RefusalCode

STATEMENT_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT_TYPES: Final = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})


def require_payload_type(payload_type: str) -> None:
    """Make sure that an envelope says it holds an in-toto statement.

    Raises:
        RefusedError: `payload_type`.
    """
    if payload_type != STATEMENT_PAYLOAD_TYPE:
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, f"want an envelope of {STATEMENT_PAYLOAD_TYPE}")


def read_statement(payload: bytes, subject: Digest, *, legacy_models: bool) -> dict[str, Any]:
    """Parse a statement and make sure that it is about the artifact.

    (1) The payload is one JSON object without duplicate keys, within the limits.
    (2) It is a statement, with a predicate type and subjects.
    (3) A model signature's manifest describes its subject.
    (4) A subject has the artifact's digest, in lower-case hex.

    Args:
        payload: The envelope's payload, its signature verified.
        subject: The artifact that the caller asked about.
        legacy_models: Whether a model signature of version 0.2 may stand for the folder it lists.

    Returns:
        The statement.

    Raises:
        RefusedError: `payload_type`, `too_large`, `subject_mismatch` or `unsupported_bundle`.
    """
    # (1) One JSON object.
    try:
        statement = parse_json(
            payload, bytes_max=STATEMENT_BYTES_MAX, depth_max=STATEMENT_DEPTH_MAX, nodes_max=STATEMENT_NODES_MAX
        )
    except JSONTooLargeError as exc:
        raise RefusedError(
            RefusalCode.TOO_LARGE,
            f"want a statement of at most {STATEMENT_BYTES_MAX} bytes and {STATEMENT_DEPTH_MAX} levels",
        ) from exc
    except MalformedJSONError as exc:
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, "want a statement in JSON without ambiguities") from exc
    # (2) A statement.
    if not isinstance(statement, dict) or statement.get("_type") not in _STATEMENT_TYPES:
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, "want an in-toto statement v1 or v0.1")
    predicate_type = statement.get("predicateType")
    if not isinstance(predicate_type, str) or not 1 <= len(predicate_type) <= PREDICATE_TYPE_CHARS_MAX:
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, "want a statement with a predicate type")
    digests = _subject_digests(statement.get("subject"))
    # (3) A model signature's manifest.
    match predicate_type:
        case _ if predicate_type == MODEL_PREDICATE:
            require_manifest(statement)
        case _ if predicate_type == LEGACY_MODEL_PREDICATE and legacy_models:
            digests.append({"sha256": legacy_root(statement)})
        case _:
            pass
    # (4) The artifact.
    if not any(digest.get(subject.algorithm) == subject.hex for digest in digests):
        raise RefusedError(
            RefusalCode.SUBJECT_MISMATCH, f"want a subject with the artifact's {subject.algorithm} digest"
        )
    return statement


def _subject_digests(subjects: object) -> list[dict[str, Any]]:
    if not isinstance(subjects, list) or not subjects:
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, "want a statement with subjects")
    if len(subjects) > SUBJECTS_MAX:
        raise RefusedError(RefusalCode.TOO_LARGE, f"want at most {SUBJECTS_MAX} subjects, got {len(subjects)}")
    digests = [each.get("digest") if isinstance(each, dict) else None for each in subjects]
    if not all(isinstance(digest, dict) and digest for digest in digests):
        raise RefusedError(RefusalCode.PAYLOAD_TYPE, "want a digest for each subject")
    return [digest for digest in digests if isinstance(digest, dict)]
