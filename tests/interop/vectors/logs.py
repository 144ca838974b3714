"""Vectors of whole logs: exports that are valid, that were tampered with, and about which nothing can be said."""

from collections.abc import Callable
from typing import Any

from interop.vectors.acts import acts
from interop.vectors.cases import Case, Files, accused, edited, policy_of, undecided, without
from interop.vectors.small_log import NEW_SIGNER, SECOND, SIGNER, STRANGER, SmallLog, make_event
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import EMPTY_ROOT


def logs() -> dict[str, Any]:
    """Return the file."""
    return {
        "description": "Sections 5 and 6. `files` are an export's; the lines of each, joined as they are, are its "
        "bytes in UTF-8. `policy` and `held` are what the auditor has: a policy file, and checkpoints got elsewhere.",
        "cases": [{"name": name, **case.as_json()} for name, case in all_logs().items()],
    }


def all_logs() -> dict[str, Case]:
    """Return every case by its name."""
    return {**_valid(), **_tampered(), **_unverifiable(), **acts()}


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


def _still() -> SmallLog:
    """Three records, the first two of one instant."""
    log = SmallLog.begun()
    log.now -= SECOND
    return log.add(make_event("the same instant")).add(make_event("later"))


def _with_documents() -> SmallLog:
    log = SmallLog.begun()
    log.add(make_event("two documents", attachments=(b"first document", b"second document")))
    return log.add(make_event("one of them again", attachments=(b"first document",)))


def _valid() -> dict[str, Case]:
    changing = _singly()
    changing.signers = (NEW_SIGNER, SIGNER)
    changing.add(make_event("both sign"))
    singly = _singly()
    return {
        "the genesis record alone": Case(files=SmallLog.begun().files()),
        "five transactions": Case(files=singly.files()),
        "a transaction of four": Case(files=_together().files()),
        "documents": Case(files=_with_documents().files()),
        "two records of one instant": Case(files=_still().files()),
        "a held checkpoint": Case(files=singly.files(), held=(singly.notes[2],), completeness="valid"),
        "two keys in the last checkpoint, the older known": Case(files=changing.files()),
        "a checkpoint for some records only": Case(files=edited(singly, "checkpoints.txt", lambda _: singly.notes[-1])),
        "the same checkpoint twice": Case(
            files=edited(singly, "checkpoints.txt", lambda data: data + b"\n" + singly.notes[-1])
        ),
    }


def _tampered() -> dict[str, Case]:
    return {**_edited_records(), **_moved_records(), **_ends(), **_signed_lies(), **_lost_documents()}


def _edited_records() -> dict[str, Case]:
    def edit(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
        return lambda data: data.replace(old, new)

    singly, together, still = _singly(), _together(), _still()
    body = b'"body":{"event":"two","facts":[{"name":"n","value":1}],"level":"info"},'
    return {
        "a changed record": accused(2, "root_mismatch", edited(singly, "records.jsonl", edit(b'"two"', b'"six"'))),
        "a changed record, in another spelling": accused(
            2, "record_malformed", edited(singly, "records.jsonl", edit(b'"two"', b' "two"'))
        ),
        "a record with a field less": accused(2, "record_malformed", edited(singly, "records.jsonl", edit(body, b""))),
        "a record changed behind two of one instant": accused(
            2, "record_malformed", edited(still, "records.jsonl", edit(b'"later"', b' "later"'))
        ),
        "the last record changed": accused(4, "root_mismatch", edited(singly, "records.jsonl", edit(b"four", b"five"))),
        "a record inside a transaction changed": accused(
            2, "prev_mismatch", edited(together, "records.jsonl", edit(b'"two"', b'"six"'))
        ),
        "the last record of a transaction changed": accused(
            1, "root_mismatch", edited(together, "records.jsonl", edit(b'"four"', b'"4444"'))
        ),
        "a changed prev": accused(3, "prev_mismatch", _with_record(_singly(), 3, prev=bytes(32))),
    }


def _moved_records() -> dict[str, Case]:
    singly, together = _singly(), _together()
    other = SmallLog.begun(signer=STRANGER)
    return {
        "a record deleted": accused(2, "seq_mismatch", _reordered(singly, 0, 1, 3, 4)),
        "the first record deleted": accused(0, "seq_mismatch", _reordered(singly, 1, 2, 3, 4)),
        "two records swapped": accused(2, "seq_mismatch", _reordered(singly, 0, 1, 3, 2, 4)),
        "two records of a transaction swapped": accused(2, "seq_mismatch", _reordered(together, 0, 1, 3, 2, 4, 5)),
        "a record twice": accused(3, "seq_mismatch", _reordered(singly, 0, 1, 2, 2, 3, 4)),
        "a record of another log": accused(
            3, "log_mismatch", _with_record(_singly(), 3, log_name="other.example/audit")
        ),
        "another log's records": accused(
            0, "log_mismatch", edited(SmallLog.begun(), "records.jsonl", lambda _: other.files()["records.jsonl"])
        ),
    }


def _ends() -> dict[str, Case]:
    singly, shorter = _singly(), _singly()
    del shorter.records[3:]
    del shorter.notes[3:]
    return {
        "the last record deleted": _cut(4, _reordered(singly, 0, 1, 2, 3)),
        "the last two records deleted": _cut(3, _reordered(singly, 0, 1, 2)),
        "the end deleted, with its checkpoints; one was held": _cut(3, shorter.files(), held=(singly.notes[4],)),
        "every record deleted": _cut(0, _reordered(singly), integrity="unverifiable"),
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
    singly = _singly()
    same = Checkpoint(origin=foreign.origin, size=3, root=singly.root(0, 3))
    return {
        "time went backwards": accused(1, "ts_backwards", backwards.files()),
        "a seq out of place, signed": accused(1, "seq_mismatch", misplaced.sign().files()),
        "a wrong root, signed": accused(1, "root_mismatch", wrong.sign(root=bytes(32)).files()),
        "a history rewritten with the log's own key; a checkpoint was held": accused(
            2, "root_mismatch", history.files(), held=(rewritten.notes[2],)
        ),
        "the newest record rewritten with the log's own key; a checkpoint was held": accused(
            3, "root_mismatch", history.files(), held=(rewritten.notes[3],)
        ),
        "a held checkpoint of another log": accused(
            0,
            "log_mismatch",
            _singly().files(),
            held=(sign_checkpoint(foreign, STRANGER),),
            policy=policy_of(SIGNER, STRANGER),
        ),
        "another log's checkpoint of the same size and root": accused(
            2,
            "log_mismatch",
            edited(
                singly, "checkpoints.txt", lambda data: data.replace(singly.notes[2], sign_checkpoint(same, STRANGER))
            ),
            policy=policy_of(SIGNER, STRANGER),
        ),
        "a changed signature": accused(None, "signature_invalid", _with_note(_singly(), 2, b"\n3\n", b"\n4\n")),
    }


def _lost_documents() -> dict[str, Case]:
    log = _with_documents()
    first, second = log.attachments
    return {
        "a document lost": accused(1, "attachment_missing", without(log, f"attachments/{second}")),
        "a document changed": accused(
            1, "attachment_mismatch", edited(log, f"attachments/{first}", lambda data: data.upper())
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
    empty = sign_checkpoint(Checkpoint(origin=singly.origin, size=0, root=EMPTY_ROOT), SIGNER)
    known = policy_of(SIGNER)
    return {
        "an unknown key": undecided(("key_unknown", "no_checkpoint"), singly.files(), policy_of(STRANGER)),
        "the older key unknown": undecided(("key_unknown",), changing.files(), policy_of(NEW_SIGNER)),
        "the newer key unknown": undecided(("key_unknown", "unsigned_tail"), changing.files(), known, doubted=5),
        "a record under no checkpoint": undecided(("unsigned_tail",), longer.files(), known, doubted=5),
        "a malformed checkpoint": undecided(
            ("checkpoint_malformed",), _with_note(_singly(), 2, b"\n3\n", b"\n03\n"), known
        ),
        "a checkpoint over no record": undecided(
            ("checkpoint_order",), edited(singly, "checkpoints.txt", lambda data: empty + b"\n" + data), known
        ),
        "the newest checkpoint is not the last": undecided(
            ("unreadable",), edited(singly, "checkpoint", lambda _: singly.notes[3]), known
        ),
        "no newline behind the last record": undecided(
            ("unreadable",), edited(singly, "records.jsonl", lambda data: data[:-1]), known
        ),
        "checkpoints out of order": undecided(("checkpoint_order",), unordered.files(), known),
    }


def _cut(first_missing: int, files: Files, *, integrity: str = "valid", held: tuple[bytes, ...] = ()) -> Case:
    return accused(first_missing, "truncated", files, integrity=integrity, completeness="tampered", held=held)


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
