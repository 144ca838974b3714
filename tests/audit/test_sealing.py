"""A log that moves: sealed in one database, let go on in another, and never in both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.audit import Actor, LogBehindError, LogSealedError
from lockgate.audit.errors import LogNotSealedError
from lockgate.audit.formats.kind_names import RESUME, SEAL
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.recovery import recover_log
from lockgate.audit.keeping.sealing import resume_log, seal_log
from lockgate.audit.verification.export_folder import ExportFolder
from support.audit_logs import LogStand, make_event, make_stand, verify_export

OPERATOR = Actor(type="system", id="command-line")
SEAL_ID = "0199c0de-0000-7000-8000-000000000001"


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log of four records; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    made.fill(3)
    yield made
    made.engine.dispose()


def seal(stand: LogStand) -> bool:
    """Seal the log as another process would."""
    return seal_log(stand.reopened(), event_id=SEAL_ID, reason="moved", actor=OPERATOR)


def writer(stand: LogStand, *, elsewhere: bool = False) -> LogWriter:
    """Return who may let the log go on; elsewhere: on a machine without the checkpoint file."""
    return LogWriter(
        engine=stand.engine,
        signers=(stand.signer,),
        clock=stand.clock,
        instance="test",
        checkpoint_file=None if elsewhere else stand.checkpoint_file,
    )


def kinds(stand: LogStand) -> list[str]:
    """Return the kinds of the log's records."""
    return [parse_record(record.body)["kind"] for record in stand.log.records()]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_nobody_appends_behind_a_seal(stand: LogStand, *, elsewhere: bool) -> None:
    """Neither a process that had just written nor one that starts now, with the checkpoint file or without."""
    sealed = seal(stand)
    for log in (stand.log, stand.reopened(elsewhere=elsewhere)):
        with pytest.raises(LogSealedError, match="moved") as appending:
            log.append(make_event())
        with pytest.raises(LogSealedError) as probing:
            log.check_head()

        assert appending.value.code == probing.value.code == "audit.log_sealed"
    assert sealed
    assert kinds(stand)[-1] == SEAL
    assert len(kinds(stand)) == 5


def test_who_sealed_the_log_does_not_append_behind_it_either(stand: LogStand) -> None:
    """The process that knows the end of the log from its own write looks at the last record nevertheless."""
    seal_log(stand.log, event_id=SEAL_ID, reason="moved", actor=OPERATOR)
    with pytest.raises(LogSealedError) as caught:
        stand.log.append(make_event())

    assert caught.value.code == "audit.log_sealed"


def test_sealing_twice_changes_nothing(stand: LogStand) -> None:
    """A copy that failed is begun again: the seal that is there will do."""
    first, second = seal(stand), seal(stand)

    assert (first, second) == (True, False)
    assert kinds(stand).count(SEAL) == 1


def test_a_sealed_log_goes_on_where_it_is_let(stand: LogStand) -> None:
    """One record says so; then everybody appends again, and the log verifies."""
    seal(stand)
    seq = resume_log(writer(stand), reason="copied", actor=OPERATOR)
    stand.log.append(make_event())
    stand.reopened().append(make_event())

    assert kinds(stand)[4:] == [SEAL, RESUME, "app.event", "app.event"]
    assert seq == 5
    assert verify_export(stand.export(), stand.signer).verdict == "valid"


def test_a_log_that_was_not_sealed_is_not_resumed(stand: LogStand) -> None:
    """Nothing is written to a log that nobody stopped."""
    with pytest.raises(LogNotSealedError, match=r"app\.event") as caught:
        resume_log(writer(stand), reason="copied", actor=OPERATOR)

    assert caught.value.code == "audit.log_not_sealed"
    assert len(kinds(stand)) == 4


def test_where_it_went_on_elsewhere_the_checkpoint_file_knows(stand: LogStand) -> None:
    """The old database is not let go on beside the new one, on the machine that moved the log."""
    seal(stand)
    resume_log(writer(stand), reason="copied", actor=OPERATOR)
    stand.cut(5)  # the old database: the same log, without what came behind the seal
    with pytest.raises(LogBehindError) as resuming:
        resume_log(writer(stand), reason="again", actor=OPERATOR)
    with pytest.raises(LogBehindError) as appending:
        stand.reopened().append(make_event())

    assert resuming.value.code == appending.value.code == "audit.log_behind"


def test_an_export_does_not_bring_a_sealed_log_back_to_life(stand: LogStand) -> None:
    """What went on elsewhere is not put back behind the seal: the log would go on in both."""
    seal(stand)
    resume_log(writer(stand), reason="copied", actor=OPERATOR)
    stand.fill(2)
    export = stand.export()
    stand.cut(5)
    policy = LogPolicy(logs=(LogKey(key=stand.signer.verifier_key),))
    with pytest.raises(LogSealedError) as caught:
        recover_log(
            writer(stand, elsewhere=True), ExportFolder(export), policy, reason="the disk failed", actor=OPERATOR
        )

    assert caught.value.code == "audit.log_sealed"
    assert len(kinds(stand)) == 5
