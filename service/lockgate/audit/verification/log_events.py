"""What the log's own acts say, read by hand: a verifier cannot rely on a schema validator. Pure.

The bodies' fields are those of `schemas/v1/audit/`. A body that breaks them was not written by this program.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.records import attachments_of

_SHA256: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Somebody outside attested a checkpoint: `log.anchor`."""

    type: str  # "rfc3161" or "sigstore"
    size: int
    root: bytes  # 32 bytes
    checkpoint_sha256: str  # of the attested note, an attachment
    evidence_sha256: str  # of the token or bundle, an attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """The records before a position were deleted: `log.prune`."""

    before: int
    root: bytes  # over the first `before` records
    leaf: bytes  # of record before-1


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """A key's checkpoints count no further: `log.key.compromise`."""

    key: str  # a public key's text form
    trusted_size: int


def read_anchor(record: Mapping[str, Any]) -> Anchor:
    """Return what a `log.anchor` record says.

    Raises:
        RecordInvalidError: Its body has another form, or its documents are not among the record's attachments.
    """
    body = record["body"]
    anchor = Anchor(
        type=_text(body, "type"),
        size=_integer(body, "size"),
        root=bytes.fromhex(_sha256(body, "root")),
        checkpoint_sha256=_sha256(body, "checkpoint"),
        evidence_sha256=_sha256(body, "evidence"),
    )
    if not {anchor.checkpoint_sha256, anchor.evidence_sha256} <= set(attachments_of(record)):
        raise RecordInvalidError("checkpoint, evidence: want attachments of the record")
    return anchor


def read_prune(record: Mapping[str, Any]) -> Prune:
    """Return what a `log.prune` record says.

    Raises:
        RecordInvalidError: Its body has another form.
    """
    body = record["body"]
    return Prune(
        before=_integer(body, "before"),
        root=bytes.fromhex(_sha256(body, "root")),
        leaf=bytes.fromhex(_sha256(body, "leaf")),
    )


def read_compromise(record: Mapping[str, Any]) -> Compromise:
    """Return what a `log.key.compromise` record says.

    Raises:
        RecordInvalidError: Its body has another form.
    """
    return Compromise(key=_text(record["body"], "key"), trusted_size=_integer(record["body"], "trusted_size"))


def read_erased(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the SHA-256 of each document that a `log.erase` record says is gone on purpose.

    Raises:
        RecordInvalidError: Its body has another form.
    """
    names = record["body"].get("attachments")
    if not isinstance(names, list):
        raise RecordInvalidError("attachments: want a list")
    return tuple(_sha256({"attachments": name}, "attachments") for name in names)


def read_interval_s(record: Mapping[str, Any]) -> int:
    """Return within how many seconds a `log.heartbeat` record promises another record.

    Raises:
        RecordInvalidError: Its body has another form.
    """
    return _integer(record["body"], "interval_s")


def read_origins(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which other logs of its gate a `log.heartbeat` record names.

    Raises:
        RecordInvalidError: Its body has another form.
    """
    names = record["body"].get("origins", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordInvalidError("origins: want a list of texts")
    return tuple(names)


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str):
        raise RecordInvalidError(f"{field}: want text")
    return value


def _integer(body: Mapping[str, Any], field: str) -> int:
    value = body.get(field)
    if type(value) is not int or value < 0:
        raise RecordInvalidError(f"{field}: want an integer from 0")
    return value


def _sha256(body: Mapping[str, Any], field: str) -> str:
    match = _SHA256.fullmatch(_text(body, field))
    if match is None:
        raise RecordInvalidError(f"{field}: want sha256:<64 hex digits>")
    return match[1]
