"""Pruning: only what an archive holds goes, everything later still proves, and the log goes on; on both databases."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from lockgate.audit import (
    ArchiveInvalidError,
    ErasedError,
    ExportError,
    LogInconsistentError,
    RecordInvalidError,
    RecordPrunedError,
    RecordUnknownError,
    RetentionRefusedError,
    open_checkpoint,
    verify_receipt,
)
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import root_from_inclusion
from lockgate.audit.formats.notes import VerifierKey, make_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping import pruning as pruning_module
from lockgate.audit.keeping.key_changes import rotate_key
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, trust_in_keys, verify_export
from lockgate.audit.writing import appending
from lockgate.storage import read_transaction
from lockgate.storage.tables import audit_attachment, audit_entry, audit_node
from support.audit_logs import LogStand, make_event, make_stand
from support.keyed_logs import log_under
from support.retention import OPERATOR, erase_documents, fill_quickly, keep, name_of, prune_log, verify

SCHEMA = b'{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "maxProperties": 3}'


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test that asks for it runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _bodies(stand: LogStand, kind: str) -> list[dict[str, object]]:
    return [parse_record(record.body)["body"] for record in stand.log.records(kind=kind)]


def _size(stand: LogStand) -> int:
    return open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key]).size


def test_archive_and_rest_both_verify(stand: LogStand) -> None:
    """What was pruned verifies in the archive, and what is left by itself, against the same held checkpoint."""
    fill_quickly(stand, 600)
    held = stand.log.checkpoint()
    archive = stand.export("archive")
    done = prune_log(stand, 512, archive)
    fill_quickly(stand, 10)
    rest = verify(stand, stand.export("rest"), held)
    old = verify(stand, archive, held)

    assert (rest.verdict, rest.problems, rest.verified_from_seq, rest.size) == ("valid", (), 512, 612)
    assert (old.verdict, old.verified_from_seq, old.size) == ("valid", 0, 601)
    assert done.archive_sha256 == hashlib.sha256((archive / "records.jsonl").read_bytes()).hexdigest()
    (body,) = _bodies(stand, "log.prune")
    assert (body["before"], body["archive"], body["reason"]) == (
        512,
        f"sha256:{done.archive_sha256}",
        "two years are over",
    )
    assert verify_receipt(done.receipts[0], [stand.signer.verifier_key])["actor"]["id"] == "operator"


def test_later_receipts_and_proofs_do_not_change(stand: LogStand) -> None:
    """Every receipt of what stays is byte for byte what it was, and proofs from a whole tile on still verify."""
    receipts = [*fill_quickly(stand, 300), *fill_quickly(stand, 300)]
    root = open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key]).root
    before = {pair: stand.log.consistency_proof(*pair) for pair in ((256, 601), (512, 601), (513, 600), (512, 512))}
    prune_log(stand, 512, stand.export("archive"))

    for receipt in receipts:
        if receipt.seq >= 512:
            assert stand.log.receipt(receipt.seq) == receipt
            record = stand.log.records(after=receipt.seq - 1, limit=1)[0]
            path = stand.log.inclusion_proof(receipt.seq, 601)
            assert root_from_inclusion(record.leaf, receipt.seq, 601, path) == root
    assert {pair: stand.log.consistency_proof(*pair) for pair in before} == before


def test_what_was_pruned_says_so(stand: LogStand) -> None:
    """A pruned record, its id, its attachment and its proofs are told apart from what never was."""
    receipt = keep(stand, b"an old document")
    event_id = parse_record(receipt.record)["id"]
    fill_quickly(stand, 300)
    prune_log(stand, 256, stand.export("archive"))

    for asked in (
        lambda: stand.log.receipt(0),
        lambda: stand.log.receipt(255),
        lambda: stand.log.receipt_by_id(event_id),
        lambda: stand.log.attachment(name_of(b"an old document")),
        lambda: stand.log.inclusion_proof(3, 300),
        lambda: stand.log.consistency_proof(100, 300),
    ):
        with pytest.raises(RecordPrunedError) as caught:
            asked()
        assert caught.value.code == "audit.record_pruned"
    for asked in (lambda: stand.log.receipt(5000), lambda: stand.log.receipt(-1)):
        with pytest.raises(RecordUnknownError):
            asked()
    assert stand.log.receipt(256).seq == 256


def test_nothing_but_the_old_rows_goes(stand: LogStand) -> None:
    """Below the beginning only nodes of 256 leaves and more stay, and documents that a later record names."""
    keep(stand, b"old", b"old and new", b"erased")
    fill_quickly(stand, 520)
    keep(stand, b"old and new", b"new")
    erase_documents(stand, b"erased")
    prune_log(stand, 512, stand.export("archive"))

    assert stand.log.attachment(name_of(b"old and new")) == b"old and new"
    with pytest.raises(ErasedError):
        stand.log.attachment(name_of(b"erased"))
    with read_transaction(stand.engine) as connection:
        assert connection.scalar(select(func.min(audit_entry.c.seq))) == 512
        kept = set(connection.scalars(select(audit_attachment.c.sha256)))
        query = select(audit_node.c.level, func.min(audit_node.c.idx)).group_by(audit_node.c.level)
        first = {row.level: row[1] for row in connection.execute(query)}
    assert kept == {name_of(b"old and new"), name_of(b"new")}
    # 525 records: behind 512 there are complete subtrees of up to 8 leaves.
    assert first == {0: 512, 1: 256, 2: 128, 3: 64, 8: 0, 9: 0}


def test_the_log_goes_on_in_every_process(stand: LogStand) -> None:
    """Writers of before, of long before, and new ones all append behind a pruned log, and restarts find it whole."""
    idle = stand.reopened()
    blind = stand.reopened(elsewhere=True)
    idle.append(make_event())
    blind.append(make_event())
    fill_quickly(stand, 300)
    prune_log(stand, 256, stand.export("archive"))
    for log in (stand.log, idle, blind, stand.reopened(), stand.reopened(elsewhere=True)):
        log.check_head()
        log.append(make_event())

    assert verify(stand, stand.export("rest")).verdict == "valid"


def test_a_fork_behind_a_pruning_is_found(stand: LogStand) -> None:
    """A process that last wrote before the pruning refuses a log with another checkpoint than the one it signed."""
    idle = stand.reopened()
    idle.append(make_event())
    fill_quickly(stand, 300)
    prune_log(stand, 256, stand.export("archive"))
    other = sign_checkpoint(Checkpoint(origin=stand.log.origin, size=2, root=bytes(32)), stand.signer)
    stand.edit("UPDATE audit_checkpoint SET note = ? WHERE size = 2", other)
    with pytest.raises(LogInconsistentError, match="not those that were signed"):
        idle.append(make_event())


def test_a_missing_node_that_was_not_pruned_is_found(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only hashes below the log's beginning may be missing: a process that is too far behind to follow tells."""
    monkeypatch.setattr(appending, "FOLLOWED_MAX", 0)
    idle = stand.reopened()
    fill_quickly(stand, 261)
    idle.append(make_event())
    stand.fill(100)
    prune_log(stand, 256, stand.export("archive"))
    stand.edit("DELETE FROM audit_node WHERE level = 2 AND idx = 64")
    with pytest.raises(LogInconsistentError, match="not those that were signed"):
        idle.append(make_event())
    with pytest.raises(LogInconsistentError, match="missing"):
        stand.log.inclusion_proof(263, 350)


@pytest.mark.parametrize("before", [0, 1, 255, 257, -256, 512, 768, 2**60])
def test_the_beginning_must_be_a_whole_tile_within_the_log(stand: LogStand, before: int) -> None:
    """Not a multiple of 256, nothing, or the whole log and more: refused."""
    fill_quickly(stand, 511)  # with the genesis record exactly 512
    archive = stand.export("archive")
    with pytest.raises(RetentionRefusedError, match="want a multiple of 256 above 0"):
        prune_log(stand, before, archive)

    assert stand.log.receipt(0).seq == 0


def test_what_is_pruned_cannot_be_pruned_again(stand: LogStand) -> None:
    """The second time there is nothing to do, and that is said."""
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    prune_log(stand, 256, archive)
    with pytest.raises(RetentionRefusedError, match="above 256"):
        prune_log(stand, 256, archive)


def test_a_pruned_log_is_pruned_further(stand: LogStand) -> None:
    """The archive of the second pruning begins where the first ended; the first archive would not do."""
    fill_quickly(stand, 300)
    first = stand.export("first")
    prune_log(stand, 256, first)
    fill_quickly(stand, 300)
    second = stand.export("second")
    with pytest.raises(ArchiveInvalidError, match="at least 512 records, got 301"):
        prune_log(stand, 512, first)
    prune_log(stand, 512, second)
    stand.reopened().append(make_event())

    assert verify(stand, second).verified_from_seq == 256
    assert [verify(stand, path).verdict for path in (first, second, stand.export("rest"))] == ["valid"] * 3


def test_an_archive_of_the_whole_log_serves_for_several_prunings(stand: LogStand) -> None:
    """One archive that reaches far enough can be used step by step."""
    fill_quickly(stand, 600)
    archive = stand.export("archive")
    prune_log(stand, 256, archive)
    prune_log(stand, 512, archive)

    assert verify(stand, stand.export("rest")).verified_from_seq == 512


def test_a_large_pruning_goes_in_steps(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records than one transaction may delete go in several, each recorded; the last one tells where it begins."""
    monkeypatch.setattr(pruning_module, "PRUNED_AT_ONCE_MAX", 512)
    fill_quickly(stand, 1400)
    done = prune_log(stand, 1280, stand.export("archive"))

    assert [body["before"] for body in _bodies(stand, "log.prune")] == [512, 1024, 1280]
    assert len(done.receipts) == 3
    assert verify(stand, stand.export("rest")).verified_from_seq == 1280


# --- the archive --------------------------------------------------------------------------------------------------


def test_a_short_archive_is_refused(stand: LogStand) -> None:
    """An archive made too early does not hold what shall go."""
    fill_quickly(stand, 200)
    archive = stand.export("archive")
    fill_quickly(stand, 200)
    with pytest.raises(ArchiveInvalidError, match="at least 256 records, got 201") as caught:
        prune_log(stand, 256, archive)

    assert caught.value.code == "audit.archive_invalid"
    assert _bodies(stand, "log.prune") == []
    assert stand.log.receipt(0).seq == 0


def _change_record(archive: Path) -> None:
    records = archive / "records.jsonl"
    records.write_bytes(records.read_bytes().replace(b"tested", b"tasted", 1))


def _drop_attachment(archive: Path) -> None:
    next((archive / "attachments").iterdir()).unlink()


def _cut_checkpoints(archive: Path) -> None:
    notes = archive / "checkpoints.txt"
    notes.write_bytes(notes.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_change_record, "prev_mismatch|root_mismatch"),
        (_drop_attachment, "attachment_missing"),
        (_cut_checkpoints, "checkpoint"),
    ],
)
def test_a_damaged_archive_is_refused(stand: LogStand, damage: object, code: str) -> None:
    """A changed record, a missing document, a damaged checkpoint: nothing is deleted on such an archive's word."""
    keep(stand, b"a document")
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    assert callable(damage)
    damage(archive)
    with pytest.raises((ArchiveInvalidError, ExportError), match=code):
        prune_log(stand, 256, archive)

    assert stand.log.receipt(0).seq == 0


def test_an_archive_that_is_none_is_refused(stand: LogStand, tmp_path: Path) -> None:
    """An empty folder, or none."""
    fill_quickly(stand, 300)
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ExportError):
            prune_log(stand, 256, path)


def test_an_archive_of_another_log_is_refused(stand: LogStand, tmp_path: Path) -> None:
    """A log of the same name and key that went another way, as after a restored backup, is not this log's archive."""
    (tmp_path / "fork").mkdir()
    fork = make_stand(tmp_path / "fork")
    fill_quickly(fork, 300)
    fill_quickly(stand, 300)
    with pytest.raises(ArchiveInvalidError, match="record 0 of the archive is not the one"):
        prune_log(stand, 256, fork.export("archive"))
    fork.engine.dispose()


def test_a_record_changed_in_the_database_stops_the_pruning(stand: LogStand) -> None:
    """Pruning does not destroy the trace of a changed row: stored record and archive must be the same bytes."""
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    stand.change("audit_entry", "body", "seq = 7", lambda body: body.replace(b"tested", b"tasted"))
    with pytest.raises(ArchiveInvalidError, match="record 7 of the archive"):
        prune_log(stand, 256, archive)


def test_a_record_missing_in_the_archive_stops_the_pruning(stand: LogStand) -> None:
    """An archive that begins later than the log does not hold its beginning."""
    fill_quickly(stand, 600)
    archive = stand.export("archive")
    lines = (archive / "records.jsonl").read_bytes().splitlines(keepends=True)
    (archive / "records.jsonl").write_bytes(b"".join(lines[256:]))

    with pytest.raises(ArchiveInvalidError):
        prune_log(stand, 512, archive)


def test_an_archive_that_begins_later_is_refused(tmp_path: Path) -> None:
    """The valid archive of a log that was pruned before is none for its backup of before that."""
    stand = make_stand(tmp_path)
    fill_quickly(stand, 600)
    stand.engine.dispose()  # moves everything into the one file
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(stand.database, backup)
    prune_log(stand, 256, stand.export("whole"))
    later = stand.export("later")
    restored = make_stand(backup, f"sqlite:///{backup / 'lockgate.db'}")
    with pytest.raises(ArchiveInvalidError, match="got none of record 0"):
        prune_log(restored, 512, later)
    for each in (stand, restored):
        each.engine.dispose()


# --- what is still needed -------------------------------------------------------------------------------------------


def test_what_is_needed_stays(stand: LogStand) -> None:
    """Nothing goes that the application needs, a record or a document; from a tile boundary below it pruning may go."""
    fill_quickly(stand, 260)
    needed = keep(stand, b"evidence")  # record 261
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    event_id = parse_record(needed.record)["id"]
    with pytest.raises(
        RetentionRefusedError,
        match=r"record 261 is still needed by something open; until then want at most 256, got 512",
    ):
        prune_log(stand, 512, archive, records=[event_id])
    with pytest.raises(RetentionRefusedError, match="record 261 is still needed"):
        prune_log(stand, 512, archive, attachments=[name_of(b"evidence")])
    first_id = parse_record(stand.log.records(limit=1)[0].body)["id"]
    with pytest.raises(RetentionRefusedError, match=r"record 0 is still needed by something open$"):
        prune_log(stand, 256, archive, records=[first_id])
    prune_log(stand, 256, archive, records=[event_id, "gone"], attachments=[name_of(b"evidence"), name_of(b"gone")])

    assert stand.log.receipt_by_id(event_id) == needed


def test_a_reason_that_cannot_be_recorded_prunes_nothing(stand: LogStand) -> None:
    """Without the record there is no pruning: both or neither."""
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    with pytest.raises(RecordInvalidError):
        pruning_module.prune(
            stand.engine,
            stand.log,
            archive,
            before=256,
            reason="x" * 1001,
            actor=OPERATOR,
            keys=[stand.signer.verifier_key],
            needed=lambda _: pruning_module.Needs(),
        )

    assert stand.log.receipt(0).seq == 0
    assert _size(stand) == 301


def test_registered_kinds_survive(stand: LogStand) -> None:
    """A kind whose registration goes is registered again, so that its records can still be written, also elsewhere."""
    stand.log.register_kind("access.review", SCHEMA, OPERATOR)
    stand.log.register_kind("access.grant", SCHEMA.replace(b"3", b"4"), OPERATOR)
    fill_quickly(stand, 300)
    newest = stand.log.register_kind("access.grant", SCHEMA.replace(b"3", b"5"), OPERATOR)
    prune_log(stand, 256, stand.export("archive"))
    event = make_event()
    for log in (stand.log, stand.reopened()):
        for kind in ("access.review", "access.grant"):
            written = type(event)(id=make_event().id, kind=kind, actor=OPERATOR, body={"a": 1})
            assert log.append(written).seq > 300

    assert newest is not None
    assert [body["kind"] for body in _bodies(stand, "log.kind")] == ["access.grant", "access.review"]
    assert verify(stand, stand.export("rest")).verdict == "valid"


def _rotate(stand: LogStand) -> VerifierKey:
    new = make_signer(stand.log.origin, secrets.token_bytes(32))
    overlapping = log_under(stand, new, stand.signer)
    rotate_key(overlapping, stand.signer.verifier_key, new.verifier_key, OPERATOR, stand.clock.now_ns())
    stand.signer, stand.log = new, log_under(stand, new)
    return new.verifier_key


def _verdict(path: Path, *keys: VerifierKey) -> str:
    return verify_export(ExportFolder(path), Trust(policy=trust_in_keys(keys))).verdict


def test_a_log_whose_key_changed_is_pruned(stand: LogStand) -> None:
    """Archives verify under the keys of their time; what is left needs only those that signed it."""
    first = stand.signer.verifier_key
    fill_quickly(stand, 200)
    second = _rotate(stand)
    fill_quickly(stand, 200)
    prune_log(stand, 256, stand.export("early"))
    fill_quickly(stand, 200)
    third = _rotate(stand)
    fill_quickly(stand, 200)
    prune_log(stand, 768, stand.export("late"))
    stand.reopened().append(make_event())
    fourth = _rotate(stand)
    rest = stand.export("rest")

    assert _verdict(stand.folder / "early", first, second) == "valid"
    assert _verdict(stand.folder / "late", second, third) == "valid"
    assert _verdict(rest, third, fourth) == "valid"
    assert _verdict(rest, first, second) == "unverifiable"
