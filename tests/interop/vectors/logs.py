"""Vectors of whole logs: exports that are valid, that were tampered with, and about which nothing can be said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interop.vectors.small_log import NEW_SIGNER, SECOND, SIGNER, STRANGER, SmallLog, make_event
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import SeedSigner

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An export, who looks at it, and what he must find."""

    files: Files
    verdict: str = "valid"
    first_bad_seq: int | None = None
    codes: tuple[str, ...] = ()
    signers: tuple[SeedSigner, ...] = (SIGNER,)  # whose keys he knows
    held: tuple[bytes, ...] = ()  # checkpoints that he got elsewhere


def logs() -> dict[str, Any]:
    """Return the file."""
    cases = {**_valid(), **_tampered(), **_unverifiable()}
    return {
        "description": "Sections 5 and 6. `files` are an export's; the lines of each, joined as they are, are its "
        "bytes in UTF-8. `keys` and `held` are what the auditor has: public keys, and checkpoints got elsewhere.",
        "cases": [{"name": name, **_as_json(case)} for name, case in cases.items()],
    }


def _as_json(case: Case) -> dict[str, Any]:
    return {
        "files": {path: lines_of(data) for path, data in case.files.items()},
        "keys": [str(signer.verifier_key) for signer in case.signers],
        "held": [note.decode() for note in case.held],
        "verdict": case.verdict,
        "first_bad_seq": case.first_bad_seq,
        "codes": sorted(case.codes),
    }


def lines_of(data: bytes) -> list[str]:
    """Cut a file behind each newline."""
    lines = data.decode().split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1])


def _singly() -> SmallLog:
    """Five records, each a transaction of its own."""
    log = SmallLog.begun()
    for text in ("one", "two", "three", "four"):
        log.add(make_event(text))
    return log


def _together() -> SmallLog:
    """Six records: the first, a transaction of four, and one more."""
    log = SmallLog.begun().add(*(make_event(text) for text in ("one", "two", "three", "four")))
    return log.add(make_event("five"))


def _with_documents() -> SmallLog:
    log = SmallLog.begun()
    log.add(make_event("two documents", attachments=(b"first document", b"second document")))
    return log.add(make_event("one of them again", attachments=(b"first document",)))


def _valid() -> dict[str, Case]:
    still = SmallLog.begun()
    still.step = 0
    still.now -= SECOND
    still.add(make_event("the same instant"))
    changing = _singly()
    changing.signers = (NEW_SIGNER, SIGNER)
    changing.add(make_event("both sign"))
    singly = _singly()
    return {
        "the genesis record alone": Case(files=SmallLog.begun().files()),
        "five transactions": Case(files=singly.files()),
        "a transaction of four": Case(files=_together().files()),
        "documents": Case(files=_with_documents().files()),
        "two records of one instant": Case(files=still.files()),
        "a held checkpoint": Case(files=singly.files(), held=(singly.notes[2],)),
        "two keys in the last checkpoint, the older known": Case(files=changing.files()),
        "a checkpoint for some records only": Case(
            files=_edited(singly, "checkpoints.txt", lambda _: singly.notes[-1])
        ),
        "the same checkpoint twice": Case(
            files=_edited(singly, "checkpoints.txt", lambda data: data + b"\n" + singly.notes[-1])
        ),
    }


def _tampered() -> dict[str, Case]:
    return {**_edited_records(), **_moved_records(), **_ends(), **_signed_lies(), **_lost_documents()}


def _edited_records() -> dict[str, Case]:
    def edit(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
        return lambda data: data.replace(old, new)

    singly, together = _singly(), _together()
    body = b'"body":{"event":"two","facts":[{"name":"n","value":1}],"level":"info"},'
    return {
        "a changed record": _accused(2, "root_mismatch", _edited(singly, "records.jsonl", edit(b'"two"', b'"six"'))),
        "a changed record, in another spelling": _accused(
            2, "record_malformed", _edited(singly, "records.jsonl", edit(b'"two"', b' "two"'))
        ),
        "a record with a field less": _accused(
            2, "record_malformed", _edited(singly, "records.jsonl", edit(body, b""))
        ),
        "the last record changed": _accused(
            4, "root_mismatch", _edited(singly, "records.jsonl", edit(b"four", b"five"))
        ),
        "a record inside a transaction changed": _accused(
            2, "prev_mismatch", _edited(together, "records.jsonl", edit(b'"two"', b'"six"'))
        ),
        "the last record of a transaction changed": _accused(
            1, "root_mismatch", _edited(together, "records.jsonl", edit(b'"four"', b'"4444"'))
        ),
        "a changed prev": _accused(3, "prev_mismatch", _with_record(_singly(), 3, prev=bytes(32))),
    }


def _moved_records() -> dict[str, Case]:
    singly, together = _singly(), _together()
    other = SmallLog.begun(signer=STRANGER)
    return {
        "a record deleted": _accused(2, "seq_mismatch", _reordered(singly, 0, 1, 3, 4)),
        "the first record deleted": _accused(0, "seq_mismatch", _reordered(singly, 1, 2, 3, 4)),
        "two records swapped": _accused(2, "seq_mismatch", _reordered(singly, 0, 1, 3, 2, 4)),
        "two records of a transaction swapped": _accused(2, "seq_mismatch", _reordered(together, 0, 1, 3, 2, 4, 5)),
        "a record twice": _accused(3, "seq_mismatch", _reordered(singly, 0, 1, 2, 2, 3, 4)),
        "a record of another log": _accused(
            3, "log_mismatch", _with_record(_singly(), 3, log_name="other.example/audit")
        ),
        "another log's records": _accused(
            0, "log_mismatch", _edited(SmallLog.begun(), "records.jsonl", lambda _: other.files()["records.jsonl"])
        ),
    }


def _ends() -> dict[str, Case]:
    singly, shorter = _singly(), _singly()
    del shorter.records[3:]
    del shorter.notes[3:]
    return {
        "the last record deleted": _accused(4, "truncated", _reordered(singly, 0, 1, 2, 3)),
        "the last two records deleted": _accused(3, "truncated", _reordered(singly, 0, 1, 2)),
        "the end deleted, with its checkpoints; one was held": Case(
            files=shorter.files(), held=(singly.notes[4],), verdict="tampered", first_bad_seq=3, codes=("truncated",)
        ),
        "every record deleted": _accused(0, "truncated", _reordered(singly), "no_checkpoint"),
    }


def _signed_lies() -> dict[str, Case]:
    backwards = SmallLog.begun()
    backwards.now -= 2 * SECOND
    backwards.add(make_event("before the beginning"))
    misplaced, rewritten, wrong = SmallLog.begun(), _singly(), SmallLog.begun()
    misplaced.put(make_event(), seq=7)
    wrong.put(make_event())
    history = SmallLog.begun().add(make_event("one")).add(make_event("what never happened")).add(make_event("three"))
    foreign = Checkpoint(origin=STRANGER.verifier_key.name, size=1, root=SmallLog.begun().root(0, 1))
    return {
        "time went backwards": _accused(1, "ts_backwards", backwards.files()),
        "a seq out of place, signed": _accused(1, "seq_mismatch", misplaced.sign().files()),
        "a wrong root, signed": _accused(1, "root_mismatch", wrong.sign(root=bytes(32)).files()),
        "a history rewritten with the log's own key; a checkpoint was held": Case(
            files=history.files(),
            held=(rewritten.notes[2],),
            verdict="tampered",
            first_bad_seq=2,
            codes=("root_mismatch",),
        ),
        "a held checkpoint of another log": Case(
            files=_singly().files(),
            held=(sign_checkpoint(foreign, STRANGER),),
            signers=(SIGNER, STRANGER),
            verdict="tampered",
            first_bad_seq=0,
            codes=("log_mismatch",),
        ),
        "a changed signature": _accused(None, "signature_invalid", _with_note(_singly(), 2, b"\n3\n", b"\n4\n")),
    }


def _lost_documents() -> dict[str, Case]:
    log = _with_documents()
    first, second = log.attachments
    return {
        "a document lost": _accused(1, "attachment_missing", _without(log, f"attachments/{second}")),
        "a document changed": _accused(
            1, "attachment_mismatch", _edited(log, f"attachments/{first}", lambda data: data.upper())
        ),
    }


def _unverifiable() -> dict[str, Case]:
    singly, longer = _singly(), _singly()
    longer.put(make_event("under no checkpoint"))
    unordered = _singly()
    unordered.notes[1:3] = unordered.notes[2:0:-1]
    changing = _singly()
    changing.signers = (NEW_SIGNER,)
    changing.add(make_event("the new key signs alone"))
    return {
        "an unknown key": _open(("key_unknown", "no_checkpoint"), singly.files(), STRANGER),
        "the older key unknown": _open(("key_unknown",), changing.files(), NEW_SIGNER),
        "the newer key unknown": _open(("key_unknown", "unsigned_tail"), changing.files(), SIGNER, doubted=5),
        "a record under no checkpoint": _open(("unsigned_tail",), longer.files(), SIGNER, doubted=5),
        "a malformed checkpoint": _open(
            ("checkpoint_malformed",), _with_note(_singly(), 2, b"\n3\n", b"\n03\n"), SIGNER
        ),
        "checkpoints out of order": _open(("checkpoint_order",), unordered.files(), SIGNER),
    }


def _accused(first_bad_seq: int | None, code: str, files: Files, *more: str) -> Case:
    return Case(files=files, verdict="tampered", first_bad_seq=first_bad_seq, codes=(code, *more))


def _open(codes: tuple[str, ...], files: Files, signer: SeedSigner, *, doubted: int | None = None) -> Case:
    return Case(files=files, verdict="unverifiable", first_bad_seq=doubted, codes=codes, signers=(signer,))


def _edited(log: SmallLog, path: str, change: Callable[[bytes], bytes]) -> Files:
    files = log.files()
    changed = change(files[path])
    if changed == files[path]:
        raise AssertionError(f"want a change of {path}")
    return files | {path: changed}


def _without(log: SmallLog, path: str) -> Files:
    files = log.files()
    del files[path]
    return files


def _reordered(log: SmallLog, *order: int) -> Files:
    return log.files() | {"records.jsonl": b"".join(log.records[seq] + b"\n" for seq in order)}


def _with_note(log: SmallLog, place: int, old: bytes, new: bytes) -> Files:
    log.notes[place] = log.notes[place].replace(old, new)
    return log.files()


def _with_record(log: SmallLog, place: int, *, prev: bytes | None = None, log_name: str | None = None) -> Files:
    """Put another record in a place; the rest stays."""
    other = SmallLog(records=log.records[:place], now=log.now)
    other.put(make_event("forged"), prev=prev, log=log_name)
    log.records[place] = other.records[-1]
    return log.files()
