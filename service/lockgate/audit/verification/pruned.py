"""What is known of records that were deleted: `pruned.json`, the facts behind a C2SP minimum index. Pure.

    {"before": 512, "edge": ["sha256:..."], "leaf": "sha256:...", "schema_version": 1}

(schema `schemas/v1/export/pruned.json`). `edge` holds the complete subtrees over the first `before` records, from left
to right: enough to grow the tree on, and so to compare every later root. Nothing in it is believed before a signed root
agrees.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from lockgate.audit.errors import ExportError
from lockgate.canonical_json import SAFE_INTEGER_MAX, MalformedJSONError, parse_json

PRUNED: Final = "pruned.json"
PRUNED_BYTES_MAX: Final = 8 * 1024  # an edge of 53 hashes takes half of it
PRUNED_MULTIPLE: Final = 256  # whole tiles of C2SP tlog-tiles are pruned
_VERSION: Final = 1
_SHA256: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The end of what was deleted."""

    before: int  # records 0 to before-1 are gone; a multiple of 256
    leaf: bytes  # leaf hash of record before-1
    edge: tuple[bytes, ...]  # the complete subtrees over them, from left to right, 32 bytes each


def parse_pruned(data: bytes) -> Pruned:
    """Read what `pruned.json` says.

    Raises:
        ExportError: It says something else.
    """
    try:
        document = parse_json(data, bytes_max=PRUNED_BYTES_MAX)
    except MalformedJSONError as exc:
        raise ExportError(f"{PRUNED}: {exc}") from exc
    if not isinstance(document, dict) or document.keys() != {"schema_version", "before", "leaf", "edge"}:
        raise ExportError(f"{PRUNED}: want schema_version, before, leaf and edge")
    before, edge = document["before"], document["edge"]
    if document["schema_version"] is not _VERSION or type(before) is not int or not 0 < before <= SAFE_INTEGER_MAX:
        raise ExportError(f"{PRUNED}: want schema_version {_VERSION} and a number of records")
    if before % PRUNED_MULTIPLE:
        raise ExportError(f"{PRUNED}: want a multiple of {PRUNED_MULTIPLE} records, got {before}")
    if not isinstance(edge, list) or len(edge) != before.bit_count():
        raise ExportError(f"{PRUNED}: want an edge of {before.bit_count()} hashes")
    return Pruned(before=before, leaf=_hash(document["leaf"]), edge=tuple(_hash(item) for item in edge))


def _hash(text: Any) -> bytes:  # noqa: ANN401 - JSON, being checked
    match = _SHA256.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ExportError(f"{PRUNED}: want sha256:<64 hex digits>")
    return bytes.fromhex(match[1])
