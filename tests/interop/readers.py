"""The two verifiers behind one face: Lockgate's, and the one that was written from the documents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from interop import disclosure_from_spec
from interop import verifier_from_spec as spec
from interop.export_from_spec import ExportVerdict
from interop.witness_from_spec import open_under_policy, parse_policy
from lockgate.audit import Receipt, open_checkpoint, parse_verifier_key, verify_receipt
from lockgate.audit.errors import (
    AuditError,
    DisclosureInvalidError,
    ExportError,
    KeyInvalidError,
    LogPolicyInvalidError,
    NoteMalformedError,
    NoteUnverifiedError,
    ProofInvalidError,
    RecordInvalidError,
    SignatureInvalidError,
)
from lockgate.audit.formats.cosignatures import parse_witness_key
from lockgate.audit.formats.disclosures import open_disclosure
from lockgate.audit.formats.log_policy import open_cosigned, parse_log_policy
from lockgate.audit.formats.merkle import check_consistency, leaf_hash, root_from_inclusion
from lockgate.audit.formats.proofs import parse_proof
from lockgate.audit.formats.records import parse_record
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.clock import NS_PER_S

NOTE_CODES: dict[type[AuditError], str] = {
    NoteMalformedError: "checkpoint_malformed",
    SignatureInvalidError: "signature_invalid",
    NoteUnverifiedError: "key_unknown",
}
RECEIPT_ERRORS: tuple[type[AuditError], ...] = (ProofInvalidError, RecordInvalidError, *NOTE_CODES)


class Reader(Protocol):
    """What a verifier says of each kind of vector."""

    def leaf(self, record: bytes) -> bytes | None:
        """Return a record's leaf hash, or None if the bytes are no record."""
        ...

    def key(self, text: str, key_type: int) -> dict[str, Any] | None:
        """Return a key's name, ID and bytes, or None if it is refused."""
        ...

    def checkpoint(self, note: bytes, keys: Sequence[str]) -> dict[str, Any] | str:
        """Return what a checkpoint says, or the code with which it is refused."""
        ...

    def proof(self, text: str) -> dict[str, Any] | None:
        """Return what a tlog-proof says, or None if it has another form."""
        ...

    def root(self, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
        """Return where an inclusion path leads, or None if it has the wrong length."""
        ...

    def grew(self, old: int, new: int, roots: Sequence[bytes], path: Sequence[bytes]) -> bool:
        """Tell whether a consistency proof leads to both roots."""
        ...

    def believes(self, receipt: dict[str, Any], keys: Sequence[str]) -> bool:
        """Tell whether a receipt is believed."""
        ...

    def policy(self, text: str) -> dict[str, Any] | None:
        """Return whom a policy file names, or None if it is none."""
        ...

    def cosigned(self, note: bytes, policy: str) -> dict[str, Any] | str:
        """Return who signed a checkpoint, or the code with which it is refused."""
        ...

    def discloses(self, document: bytes, commitment: str) -> list[Any] | None:
        """Return the name and value that a document discloses, or None if it is refused."""
        ...

    def verdict(self, folder: Path, policy: str, held: Sequence[bytes]) -> dict[str, Any]:
        """Return the verdicts about an export, the first record in doubt and the codes."""
        ...


class LockgateReader:
    """Lockgate's own code."""

    def leaf(self, record: bytes) -> bytes | None:  # noqa: D102 - as in Reader; so below
        try:
            parse_record(record)
        except RecordInvalidError:
            return None
        return leaf_hash(record)

    def key(self, text: str, key_type: int) -> dict[str, Any] | None:  # noqa: D102
        try:
            key = parse_verifier_key(text) if key_type == 1 else parse_witness_key(text)
        except KeyInvalidError:
            return None
        return {"key_name": key.name, "key_id": key.key_id.hex(), "public_key": key.public_key.hex()}

    def checkpoint(self, note: bytes, keys: Sequence[str]) -> dict[str, Any] | str:  # noqa: D102
        try:
            checkpoint = open_checkpoint(note, [parse_verifier_key(key) for key in keys])
        except tuple(NOTE_CODES) as exc:
            return NOTE_CODES[type(exc)]
        return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}

    def proof(self, text: str) -> dict[str, Any] | None:  # noqa: D102
        try:
            proof = parse_proof(text)
        except ProofInvalidError:
            return None
        path = [digest.hex() for digest in proof.path]
        return {"index": proof.index, "path": path, "checkpoint": proof.checkpoint.decode()}

    def root(self, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:  # noqa: D102
        try:
            return root_from_inclusion(leaf, index, size, path)
        except ProofInvalidError:
            return None

    def grew(self, old: int, new: int, roots: Sequence[bytes], path: Sequence[bytes]) -> bool:  # noqa: D102
        try:
            check_consistency(old, new, roots[0], roots[1], path)
        except ProofInvalidError:
            return False
        return True

    def believes(self, receipt: dict[str, Any], keys: Sequence[str]) -> bool:  # noqa: D102
        whole = Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"])
        try:
            verify_receipt(whole, [parse_verifier_key(key) for key in keys])
        except RECEIPT_ERRORS:
            return False
        return True

    def policy(self, text: str) -> dict[str, Any] | None:  # noqa: D102
        try:
            policy = parse_log_policy(text)
        except LogPolicyInvalidError:
            return None
        return {
            "logs": [
                {"key": str(log.key), "first_size": log.first_size, "last_size": log.last_size} for log in policy.logs
            ],
            "witnesses": [{"name": witness.name, "key": str(witness.key)} for witness in policy.witnesses],
            "quorum": policy.quorum,
        }

    def cosigned(self, note: bytes, policy: str) -> dict[str, Any] | str:  # noqa: D102
        try:
            opened = open_cosigned(note, parse_log_policy(policy))
        except tuple(NOTE_CODES) as exc:
            return NOTE_CODES[type(exc)]
        return {
            "size": opened.checkpoint.size,
            "cosigned": [{"witness": one.witness, "time": one.time // NS_PER_S} for one in opened.cosigned],
            "quorum_met": opened.quorum_met,
        }

    def discloses(self, document: bytes, commitment: str) -> list[Any] | None:  # noqa: D102
        try:
            disclosure = open_disclosure(document, commitment)
        except DisclosureInvalidError:
            return None
        return [disclosure.name, disclosure.value]

    def verdict(self, folder: Path, policy: str, held: Sequence[bytes]) -> dict[str, Any]:  # noqa: D102
        try:
            trust = Trust(policy=parse_log_policy(policy), held=held, every_signature=True)
            found = verify_export(ExportFolder(folder), trust)
        except ExportError:
            return {"verdict": "unverifiable", "codes": {"unreadable"}}
        return {
            "verdict": found.verdict,
            "integrity": found.integrity,
            "completeness": found.completeness,
            "first_bad_seq": found.first_bad_seq,
            "verified_from_seq": found.verified_from_seq,
            "codes": {problem.code for problem in found.problems},
        }


class SpecReader:
    """The verifier of `verifier_from_spec`."""

    def leaf(self, record: bytes) -> bytes | None:  # noqa: D102
        try:
            spec.parse_record(record)
        except spec.RefusedError:
            return None
        return spec.leaf_hash(record)

    def key(self, text: str, key_type: int) -> dict[str, Any] | None:  # noqa: D102
        try:
            key = spec.parse_key(text, key_type)
        except spec.RefusedError:
            return None
        return {"key_name": key.name, "key_id": key.key_id.hex(), "public_key": key.public.hex()}

    def checkpoint(self, note: bytes, keys: Sequence[str]) -> dict[str, Any] | str:  # noqa: D102
        try:
            checkpoint = spec.open_checkpoint(note, [spec.parse_key(key) for key in keys])
        except spec.RefusedError as exc:
            return str(exc)
        return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}

    def proof(self, text: str) -> dict[str, Any] | None:  # noqa: D102
        try:
            index, path, checkpoint = spec.parse_proof(text)
        except spec.RefusedError:
            return None
        return {"index": index, "path": [digest.hex() for digest in path], "checkpoint": checkpoint.decode()}

    def root(self, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:  # noqa: D102
        try:
            return spec.root_of_path(leaf, index, size, path)
        except spec.RefusedError:
            return None

    def grew(self, old: int, new: int, roots: Sequence[bytes], path: Sequence[bytes]) -> bool:  # noqa: D102
        return spec.grew(old, new, roots[0], roots[1], path)

    def believes(self, receipt: dict[str, Any], keys: Sequence[str]) -> bool:  # noqa: D102
        try:
            spec.believe_receipt(receipt, [spec.parse_key(key) for key in keys])
        except spec.RefusedError:
            return False
        return True

    def policy(self, text: str) -> dict[str, Any] | None:  # noqa: D102
        try:
            policy = parse_policy(text)
        except spec.RefusedError:
            return None
        return {
            "logs": [
                {"key": str(key), "first_size": first, "last_size": last if last < spec.SAFE_INTEGER_MAX else None}
                for key, first, last in policy.logs
            ],
            "witnesses": [{"name": name, "key": str(key)} for name, key in policy.witnesses.items()],
            "quorum": None if policy.quorum == "none" else policy.quorum,
        }

    def cosigned(self, note: bytes, policy: str) -> dict[str, Any] | str:  # noqa: D102
        try:
            return open_under_policy(note, parse_policy(policy))
        except spec.RefusedError as exc:
            return str(exc)

    def discloses(self, document: bytes, commitment: str) -> list[Any] | None:  # noqa: D102
        try:
            return disclosure_from_spec.open_disclosure(document, commitment)
        except spec.RefusedError:
            return None

    def verdict(self, folder: Path, policy: str, held: Sequence[bytes]) -> dict[str, Any]:  # noqa: D102
        return ExportVerdict(folder, parse_policy(policy), held).as_json()
