"""What an auditor brings, read from his own files: whom he trusts, what he kept, what he demands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.audit.errors import ExportError, ProofInvalidError, TimestampTrustError
from lockgate.audit.formats.log_policy import POLICY_CHARS_MAX, LogPolicy, parse_log_policy
from lockgate.audit.formats.notes import parse_verifier_key
from lockgate.audit.types import Receipt
from lockgate.audit.verification.anchors import AnchorCheck, check_no_anchor
from lockgate.audit.verification.export_folder import read_checkpoint_file
from lockgate.audit.verification.verdicts import Demands
from lockgate.audit.verification.verifier import Trust, trust_in_keys
from lockgate.canonical_json import RECORD_BYTES_MAX, SAFE_INTEGER_MAX, MalformedJSONError, parse_json

TSA_ROOTS_BYTES_MAX: Final = 1024 * 1024  # every public authority's roots together have a tenth of it
RECEIPT_BYTES_MAX: Final = 256 * 1024  # a record and a proof of 63 hashes, escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Names of files, and keys in their text form."""

    policy: Path | None = None  # a policy file; without it the keys are all that is trusted
    keys: Sequence[str] = ()
    held: Sequence[Path] = ()  # signed checkpoints
    tsa_roots: Path | None = None  # certificates in PEM, of authorities whose timestamps count


def read_policy(belongings: Belongings) -> LogPolicy:
    """Return whom the auditor believes.

    Raises:
        KeyInvalidError: A key is none.
        LogPolicyInvalidError: The file is no policy.
        ExportError: The file cannot be read.
    """
    if belongings.policy is None:
        return trust_in_keys([parse_verifier_key(text) for text in belongings.keys])
    data = _read(belongings.policy, 4 * POLICY_CHARS_MAX)
    try:
        return parse_log_policy(data.decode())
    except UnicodeDecodeError as exc:
        raise ExportError(f"cannot read {belongings.policy.name}: want UTF-8") from exc


def read_trust(belongings: Belongings, demands: Demands, *, every_signature: bool = False) -> Trust:
    """Return all that an auditor brings.

    Raises:
        KeyInvalidError: A key is none.
        LogPolicyInvalidError: The policy is none.
        TimestampTrustError: The certificates of authorities are none, or rfc3161-client is not installed.
        ExportError: A file cannot be read.
    """
    check_anchor: AnchorCheck = check_no_anchor
    if belongings.tsa_roots is not None:
        # Loaded only now: it needs rfc3161-client, which an auditor without roots does not.
        try:
            from lockgate.audit.formats.timestamps import parse_timestamp_trust  # noqa: PLC0415
            from lockgate.audit.verification.timestamp_anchors import timestamp_check  # noqa: PLC0415
        except ImportError as exc:
            want = "want the package rfc3161-client for --tsa-roots: pip install rfc3161-client"
            raise TimestampTrustError(want) from exc

        check_anchor = timestamp_check(parse_timestamp_trust(_read(belongings.tsa_roots, TSA_ROOTS_BYTES_MAX)))
    return Trust(
        policy=read_policy(belongings),
        held=[read_checkpoint_file(path) for path in belongings.held],
        check_anchor=check_anchor,
        every_signature=every_signature,
        demands=demands,
    )


def read_receipt(path: Path) -> Receipt:
    """Read a receipt's file: an object of `seq`, `record` and `proof`. Nothing in it is believed.

    Raises:
        ExportError: It cannot be read, or is no receipt.
    """
    try:
        document = parse_json(_read(path, RECEIPT_BYTES_MAX), bytes_max=RECEIPT_BYTES_MAX)
    except MalformedJSONError as exc:
        raise ExportError(f"want a receipt: {exc}") from exc
    if not isinstance(document, dict) or document.keys() != {"seq", "record", "proof"}:
        raise ExportError("want a receipt: an object of seq, record and proof")
    seq, record, proof = document["seq"], document["record"], document["proof"]
    is_position = type(seq) is int and 0 <= seq <= SAFE_INTEGER_MAX
    if not is_position or not isinstance(record, str) or not isinstance(proof, str):
        raise ExportError("want a receipt: seq a position, record and proof texts")
    return Receipt(seq=seq, record=record.encode(), proof=proof)


def check_same_record(receipt: Receipt, path: Path) -> None:
    """Make sure that a receipt is of the record in a file; a newline behind it does not count.

    Raises:
        ProofInvalidError: It is of another.
        ExportError: The file cannot be read.
    """
    if _read(path, RECORD_BYTES_MAX + 2).removesuffix(b"\n") != receipt.record:
        raise ProofInvalidError("the receipt is of another record than the one in the file")


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as exc:
        raise ExportError(f"cannot read {path.name}: {exc.strerror}") from exc
