"""Stretch by stretch or record by record, in one process or in several: the verdict is the same."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.audit import ExportError, Verification
from lockgate.audit.formats.kind_names import ERASE, HEARTBEAT
from lockgate.audit.formats.merkle import leaf_hash
from lockgate.audit.formats.notes import NOTE_BYTES_MAX
from lockgate.audit.formats.records import Columns, columns_of, parse_record
from lockgate.audit.verification import export_folder, stretches, verifier
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.stretches import StretchFacts, check_stretch, stretch_records
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.clock import NS_PER_S
from lockgate.digests import sha256_hex
from support.written_logs import WrittenLog, found, only

LONG = 3 * stretches.STRETCH_RECORDS_MAX + 500
DOCUMENT = b"name: Ann"


def _written(steps: list[str]) -> WrittenLog:
    log = WrittenLog()
    log.add()
    for step in steps:
        match step:
            case "attach":
                log.add(attachments=(DOCUMENT, str(len(log.lines)).encode()))
            case "erase":
                log.add(ERASE, {"attachments": [f"sha256:{sha256_hex(DOCUMENT)}"], "reason": "asked for"})
                log.documents.pop(sha256_hex(DOCUMENT), None)
            case "beat":
                log.add(HEARTBEAT, {"interval_s": 60})
            case "pause":
                log.paused_ns += 50 * NS_PER_S
            case "sign":
                log.sign()
            case _:
                log.add()
    log.sign()
    return log


def _damage_records(log: WrittenLog, kind: str, place: int) -> None:
    lines, seq = log.lines, place % len(log.lines)
    match kind:
        case "edit":
            lines[seq] = lines[seq].replace(b'"ann"', b'"bob"')
        case "flip":
            at = place % 97
            lines[seq] = lines[seq][:at] + bytes([lines[seq][at] ^ 1]) + lines[seq][at + 1 :]
        case "delete":
            del lines[seq]
        case "repeat":
            lines.insert(seq, lines[seq])
        case "swap":
            lines[seq], lines[seq - 1] = lines[seq - 1], lines[seq]
        case "cut":
            del lines[seq:]
        case _:  # backwards
            lines[seq] = lines[seq].replace(b'"ts":"2023', b'"ts":"2022')


def _damage_beside(log: WrittenLog, kind: str, place: int) -> None:
    notes, at = log.notes, place % len(log.notes)
    match kind:
        case "unsign":
            del notes[at]
        case "unsign the end":
            del notes[at:]
        case "spoil note":
            notes[at] = notes[at].replace(b"=", b"A", 1)
        case "junk note":
            notes.insert(at, b"junk")
        case "swap notes":
            notes[at], notes[at - 1] = notes[at - 1], notes[at]
        case "lose":
            log.documents.clear()
        case _:  # spoil documents
            log.documents = {name: document + b"!" for name, document in log.documents.items()}


RECORD_DAMAGES = ["edit", "flip", "delete", "repeat", "swap", "cut", "backwards"]
OTHER_DAMAGES = ["unsign", "unsign the end", "spoil note", "junk note", "swap notes", "lose", "spoil documents"]


def _walk_only(*_: object, **__: object) -> StretchFacts | None:
    return None


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(["add", "add", "sign", "attach", "erase", "beat", "pause", "pause"]), max_size=40),
    damages=st.lists(st.tuples(st.sampled_from(RECORD_DAMAGES + OTHER_DAMAGES), st.integers(0, 2**16)), max_size=2),
    look=st.tuples(st.integers(0, 50), st.booleans(), st.sampled_from([1, 2, 4, 8, 64])),
)
def test_stretches_change_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[str],
    damages: list[tuple[str, int]],
    look: tuple[int, bool, int],
) -> None:
    """Whatever was done to a log, its verification in stretches of any length says all that a walk says."""
    log = _written(steps)
    hold, every_signature, length = look
    held = (log.notes[hold % len(log.notes)],)
    trust = Trust(policy=only(), held=held, every_signature=every_signature)
    for kind, place in damages:
        if log.lines and log.notes:
            (_damage_records if kind in RECORD_DAMAGES else _damage_beside)(log, kind, place)
    with monkeypatch.context() as patch:
        patch.setattr(stretches, "STRETCH_RECORDS_MAX", length)
        in_stretches = log.verify(trust)
        patch.setattr(verifier, "check_stretch", _walk_only)
        walked = log.verify(trust)

    assert in_stretches == walked
    if not damages:
        assert walked.integrity == "valid"


@pytest.mark.parametrize("length", [1, 2, 4, 64])
@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"seq":5', b'"seq":6', "seq_mismatch"),
        (b'"log":"written', b'"log":"writtem', "log_mismatch"),
        (b'"ts":"2023', b'"ts":"2022', "ts_backwards"),
        (b'"kind":"app.event"', b'"kind":"log.genesis"', "record_malformed"),
    ],
)
def test_what_the_key_itself_wrote_wrongly_is_found(
    monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, code: str, length: int
) -> None:
    """A record of another place, log or time accuses also where it is rightly chained and signed."""
    log = WrittenLog().fill(5)
    log.add(change=lambda line: line.replace(old, new))
    log.fill(6, batch=6)
    with monkeypatch.context() as patch:
        patch.setattr(stretches, "STRETCH_RECORDS_MAX", length)
        verification = log.verify()

    assert found(verification) == ("tampered", 5, {code})


def _change_line(place: int, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "records.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[place] = lines[place].replace(old, new)
        path.write_bytes(b"".join(lines))

    return change


def _cut_file(name: str, share: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        os.truncate(path, int(path.stat().st_size * share))

    return change


@pytest.fixture(scope="module")
def long_log() -> WrittenLog:
    """A log of several stretches, with documents, an erasure and a checkpoint for every fifty records."""
    log = WrittenLog().fill(5000, batch=50)
    log.add(attachments=(DOCUMENT,))
    log.fill(LONG - 5003, batch=50)
    log.add(attachments=(b"kept",))
    log.add(ERASE, {"attachments": [f"sha256:{sha256_hex(DOCUMENT)}"], "reason": "asked for"})
    log.documents.pop(sha256_hex(DOCUMENT))
    log.sign()
    return log


@pytest.mark.parametrize(
    ("change", "verdict", "seq"),
    [
        (lambda _: None, "valid", None),
        (_change_line(9000, b'"ann"', b'"bob"'), "tampered", 8951),
        (_change_line(4096, b'"v":1', b'"v":2'), "tampered", 4096),
        (_change_line(4095, b"\n", b""), "tampered", 4095),
        (_change_line(100, b'"ann"', b'"' + b"n" * 40_000 + b'"'), "tampered", 100),
        (_cut_file("records.jsonl", 0.5), "tampered", None),
        (_cut_file("checkpoints.txt", 0.5), "unverifiable", None),
        (lambda folder: (folder / "attachments" / sha256_hex(b"kept")).unlink(), "tampered", LONG - 2),
    ],
    ids=["nothing", "edit", "first of a stretch", "last of a stretch", "long line", "cut", "checkpoints cut", "lost"],
)
def test_processes_change_no_verdict(
    tmp_path: Path, long_log: WrittenLog, change: Callable[[Path], None], verdict: str, seq: int | None
) -> None:
    """Two processes say of an export what one says."""
    folder = long_log.write(tmp_path / "export")
    change(folder)
    outcomes = [_outcome(folder, workers) for workers in (1, 2)]

    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], Verification)
    assert outcomes[0].verdict == verdict
    assert seq is None or outcomes[0].first_bad_seq == seq


def _outcome(folder: Path, workers: int) -> Verification | str:
    try:
        return verify_export(ExportFolder(folder), Trust(policy=only()), workers=workers)
    except ExportError as exc:
        return str(exc)


def test_file_that_vanishes_under_the_workers_is_an_error(tmp_path: Path, long_log: WrittenLog) -> None:
    """What a worker cannot read is said, and decides nothing."""
    folder = long_log.write(tmp_path / "export")

    def vanish(_: int) -> None:
        (folder / "records.jsonl").rename(tmp_path / "elsewhere")

    with pytest.raises(ExportError) as caught:
        verify_export(ExportFolder(folder), Trust(policy=only()), workers=1, on_progress=vanish)

    assert caught.value.code == "audit.export_failed"


def test_cuts_are_those_of_the_lines(tmp_path: Path) -> None:
    """Each stretch begins where a line does, and together they are the file, whatever its last line."""
    for count, tail in ((0, b""), (1, b""), (4096, b""), (4097, b""), (9000, b""), (4096, b"x"), (12, b"x")):
        (tmp_path / "records.jsonl").write_bytes(b"".join(b"%d\n" % n for n in range(count)) + tail)
        folder = ExportFolder(tmp_path)
        cuts = list(folder.cuts(0))
        together = [line for cut in cuts for line in folder.stretch(cut)]

        assert together == list(folder.records())
        assert [cut.begin for cut in cuts] == [sum(cut.count for cut in cuts[:place]) for place in range(len(cuts))]
        assert all(cut.count == stretch_records(cut.begin) for cut in cuts[:-1])


def test_stretch_after_pruning_ends_where_subtrees_do() -> None:
    """From a multiple of 256 on, stretches grow to their full length without ever crossing a larger subtree."""
    begin, lengths = 3 * 256, []
    while begin < 20_000:
        lengths.append(stretch_records(begin))
        assert begin % lengths[-1] == 0
        begin += lengths[-1]

    assert lengths[:5] == [256, 1024, 2048, 4096, 4096]


def _column_entries(log: WrittenLog) -> list[tuple[bytes, Columns | None]]:
    return [(line, columns_of(parse_record(line), leaf_hash(line))) for line in log.lines]


def test_wrong_column_spoils_the_facts_of_its_stretch() -> None:
    """Facts are had only where the database's columns say what the bytes say."""
    entries = _column_entries(WrittenLog().fill(4))
    line, columns = entries[2]
    assert columns is not None
    other: Any = columns_of({**parse_record(line), "kind": "app.other"}, leaf_hash(line))

    assert check_stretch(entries, 0) is not None
    assert check_stretch([*entries[:2], (line, other), entries[3]], 0) is None


def test_empty_log_has_no_facts() -> None:
    """No records: nothing to be right about."""
    log = WrittenLog()

    assert check_stretch([], 0) is None
    assert found(log.verify()) == ("unverifiable", None, {"no_checkpoint"})


@pytest.mark.parametrize("block", [1, 2, 3, 64, 1 << 20])
def test_checkpoints_are_read_alike_in_blocks_of_any_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Whatever the file is read in, the same notes come out, exact bytes; junk is never taken for the end."""
    notes = WrittenLog().fill(7).notes
    monkeypatch.setattr(export_folder, "_READ_BYTES", block)
    for content, want in (
        (b"", []),
        (b"\n".join(notes), notes),
        (b"\n".join(notes) + b"\n", notes),
        (b"\n".join([*notes, b"junk\n"]), [*notes, b"junk\n"]),
        (b"\n".join(notes)[:-1], [*notes[:-1], notes[-1][:-1]]),
    ):
        (tmp_path / "checkpoints.txt").write_bytes(content)

        assert list(ExportFolder(tmp_path).checkpoints()) == want


def test_endless_note_is_cut(tmp_path: Path) -> None:
    """A file without any empty line is not read into memory."""
    (tmp_path / "checkpoints.txt").write_bytes(b"x" * (5 << 20))

    assert max(len(note) for note in ExportFolder(tmp_path).checkpoints()) <= NOTE_BYTES_MAX + 1
