"""Asking witnesses to cosign the log's newest checkpoint (C2SP tlog-witness, add-checkpoint).

What a witness says is a value: a cosignature that verifies, or why there is none. Some refusals are not its trouble but
ours: the witness saw a history of this log that does not go on as this one does (`WitnessRefusal.contradicts`).
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal, TypeAlias

from lockgate.audit.errors import AuditError, NoteMalformedError, SignatureInvalidError
from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX, read_checkpoint
from lockgate.audit.formats.cosignatures import Cosignature, WitnessKey, add_cosignatures, verify_cosignatures
from lockgate.audit.formats.log_policy import Cosigned, LogPolicy, Witness
from lockgate.audit.formats.submissions import Submission, format_submission
from lockgate.audit.reading.reader import LogReader
from lockgate.outbound import Answer, OutboundError, OutboundRequest, exchange

TIMEOUT_S: Final = 10.0  # for one exchange; a witness waits for one fsync
ANSWER_BYTES_MAX: Final = 16 * 1024  # the lines of a witness with several keys, post-quantum ones among them
WITNESSES_AT_ONCE: Final = 8
_SIZE_TYPE: Final = "text/x.tlog.size"
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,15})\n")

RefusalCode: TypeAlias = Literal[
    "audit.witness_unreachable",  # no whole answer in time
    "audit.witness_unavailable",  # it cannot answer now: 429 or 5xx
    "audit.witness_answer_invalid",  # what answered is no witness, or not this one
    "audit.witness_request_refused",  # 400
    "audit.witness_key_unknown",  # 403: it does not trust the key that signed
    "audit.witness_log_unknown",  # 404: it does not follow this log
    "audit.witness_size_moved",  # 409 twice, or with a size that the log has by now: another process asks too
    "audit.witness_ahead",  # 409 with a size beyond the checkpoint's, and beyond our log's where that is at hand
    "audit.witness_root_differs",  # 409 for another root of the same size
    "audit.witness_proof_refused",  # 422
    "audit.witness_proof_missing",  # our own log cannot make the proof: pruned beyond what this witness saw, or broken
]
_CONTRADICTIONS: Final = frozenset({"audit.witness_ahead", "audit.witness_root_differs", "audit.witness_proof_refused"})
_CODES: Final[dict[int, RefusalCode]] = {
    HTTPStatus.BAD_REQUEST: "audit.witness_request_refused",
    HTTPStatus.FORBIDDEN: "audit.witness_key_unknown",
    HTTPStatus.NOT_FOUND: "audit.witness_log_unknown",
    HTTPStatus.CONFLICT: "audit.witness_root_differs",
    HTTPStatus.UNPROCESSABLE_ENTITY: "audit.witness_proof_refused",
    HTTPStatus.TOO_MANY_REQUESTS: "audit.witness_unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRefusal:
    """Why a witness did not cosign."""

    code: RefusalCode
    detail: str
    size: int | None = None  # of the checkpoint that it cosigned last, where it told

    @property
    def contradicts(self) -> bool:
        """Whether the witness saw more of this log, or another: a backup was restored, or the log was changed."""
        return self.code in _CONTRADICTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What a round of asking brought."""

    size: int  # of the checkpoint that the witnesses were asked about
    note: bytes  # that checkpoint, with the lines of those who cosigned
    cosigned: tuple[Cosigned, ...]
    refusals: tuple[tuple[str, WitnessRefusal], ...]  # by the witness's name in the policy
    quorum_met: bool  # False also with `quorum none`


def ask_witness(  # noqa: PLR0913 - one argument for each thing that the protocol names
    url: str,
    key: WitnessKey,
    note: bytes,
    old_size: int,
    proof: Callable[[int], Sequence[bytes]],
    *,
    timeout_s: float = TIMEOUT_S,
    ca_file: Path | None = None,
) -> Cosignature | WitnessRefusal:
    """Ask one witness for its cosignature.

    Args:
        url: Its submission prefix.
        key: Its public key; a line of any other key is ignored.
        note: Our signed checkpoint.
        old_size: What it cosigned last, as far as we know; 0 if we do not. It tells the right one, and is asked again.
        proof: Gives the consistency proof from a size to the checkpoint's; called for sizes from 1 to the checkpoint's.
        timeout_s: For each of the two exchanges.
        ca_file: Certificate authorities (PEM) instead of the usual ones.

    Returns:
        The cosignature, verified; or why there is none.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
    """
    size = read_checkpoint(note).size
    for _ in range(2):
        try:
            path = tuple(proof(old_size)) if old_size > 0 else ()
        except AuditError as exc:
            return WitnessRefusal(code="audit.witness_proof_missing", detail=str(exc), size=old_size)
        request = OutboundRequest(
            url=f"{url.rstrip('/')}/add-checkpoint",
            body=format_submission(Submission(old_size=old_size, proof=path, note=note)),
            content_type="text/plain; charset=utf-8",
            timeout_s=timeout_s,
            answer_bytes_max=ANSWER_BYTES_MAX,
            ca_file=ca_file,
        )
        try:
            answer = exchange(request)
        except OutboundError as exc:
            return WitnessRefusal(code="audit.witness_unreachable", detail=str(exc))
        if answer.status != HTTPStatus.CONFLICT or answer.content_type != _SIZE_TYPE:
            return _read_answer(answer, key, note)
        match = _SIZE.fullmatch(answer.body)
        if not match or int(match[1]) > TREE_SIZE_MAX:
            return WitnessRefusal(code="audit.witness_answer_invalid", detail="want a decimal size and a newline")
        old_size = int(match[1])
        if old_size > size:
            detail = f"it cosigned a tree of size {old_size}, ours has {size}"
            return WitnessRefusal(code="audit.witness_ahead", detail=detail, size=old_size)
    detail = "the size that it told is not the one that it wants"
    return WitnessRefusal(code="audit.witness_size_moved", detail=detail, size=old_size)


def collect_cosignatures(  # noqa: PLR0913 - the keyword arguments are for the few who need them
    reader: LogReader,
    policy: LogPolicy,
    store_result: Callable[[int, bytes], None],
    *,
    previous: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
    ca_file: Path | None = None,
) -> Collection:
    """Ask every witness of a policy that has a URL to cosign the log's newest checkpoint, several at a time.

    Args:
        reader: The log.
        policy: Whom to ask, and who is the quorum.
        store_result: Keeps a checkpoint with its witnesses' lines: `store_result(size, note)`. Called once, if anybody
            cosigned; in the thread of the caller.
        previous: The newest checkpoint with witnesses' lines that was kept. It tells what each cosigned last, and its
            lines count on where it is of the same checkpoint.
        timeout_s: For each exchange.
        ca_file: Certificate authorities (PEM) instead of the usual ones.

    Raises:
        RecordUnknownError: The log has no checkpoint.
        StorageError: The database cannot be read.
        Exception: Whatever `store_result` raises.
    """
    note = reader.checkpoint()
    size = read_checkpoint(note).size
    known_size, known = _read_previous(previous, policy)

    def ask(witness: Witness) -> Cosignature | WitnessRefusal:
        answer = ask_witness(
            witness.url or "",
            witness.key,
            note,
            min(known_size, size) if witness.key in known else 0,
            lambda old: reader.consistency_proof(old, size),
            timeout_s=timeout_s,
            ca_file=ca_file,
        )
        if isinstance(answer, WitnessRefusal) and answer.code == "audit.witness_ahead":
            return _look_again(answer, reader)
        return answer

    asked = [witness for witness in policy.witnesses if witness.url]
    with ThreadPoolExecutor(max_workers=WITNESSES_AT_ONCE) as pool:
        answers = dict(zip([witness.name for witness in asked], pool.map(ask, asked), strict=True))
    fresh = {one.key: one for one in answers.values() if isinstance(one, Cosignature)}
    same = previous is not None and previous.startswith(note)
    cosignatures = {**(known if same else {}), **fresh}
    cosigned_note = add_cosignatures(note, cosignatures.values())
    if fresh:
        store_result(size, cosigned_note)
    names = {witness.key: witness.name for witness in policy.witnesses}
    cosigned = tuple(Cosigned(witness=names[key], time=one.time) for key, one in cosignatures.items())
    return Collection(
        size=size,
        note=cosigned_note,
        cosigned=cosigned,
        refusals=tuple((name, one) for name, one in answers.items() if isinstance(one, WitnessRefusal)),
        quorum_met=policy.is_quorum([one.witness for one in cosigned]),
    )


def _look_again(refusal: WitnessRefusal, reader: LogReader) -> WitnessRefusal:
    """Tell a log that grew, and was cosigned for another process meanwhile, from one that is shorter than it was."""
    size = read_checkpoint(reader.checkpoint()).size
    if refusal.size is None or refusal.size > size:
        return refusal
    # Whether the log goes on from what the witness saw, the next round proves: it asks about one at least as large.
    detail = f"{refusal.detail}; the log has {size} by now, and another process asked before"
    return replace(refusal, code="audit.witness_size_moved", detail=detail)


def _read_answer(answer: Answer, key: WitnessKey, note: bytes) -> Cosignature | WitnessRefusal:
    if answer.status == HTTPStatus.OK:
        try:
            cosignatures = verify_cosignatures(note + answer.body, [key])
        except (NoteMalformedError, SignatureInvalidError) as exc:
            return WitnessRefusal(code="audit.witness_answer_invalid", detail=str(exc))
        if not cosignatures:
            return WitnessRefusal(code="audit.witness_answer_invalid", detail="want a line of the witness's key")
        return cosignatures[0]
    detail = f"it answered with status {answer.status}"  # and not with its text, which could be anything
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return WitnessRefusal(code="audit.witness_unavailable", detail=detail)
    return WitnessRefusal(code=_CODES.get(answer.status, "audit.witness_answer_invalid"), detail=detail)


def _read_previous(previous: bytes | None, policy: LogPolicy) -> tuple[int, dict[WitnessKey, Cosignature]]:
    if previous is None:
        return 0, {}
    try:
        cosignatures = verify_cosignatures(previous, [witness.key for witness in policy.witnesses])
    except (NoteMalformedError, SignatureInvalidError):
        return 0, {}  # it only saved a second exchange: each witness tells its size when it is asked
    return read_checkpoint(previous).size, {one.key: one for one in cosignatures}
