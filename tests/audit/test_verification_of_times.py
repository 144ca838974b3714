"""What a log says of time, held against the clocks of those who anchored it."""

from dataclasses import replace
from pathlib import Path

import pytest
from rfc3161_client import decode_timestamp_response

from lockgate.audit.formats.kind_names import ANCHOR
from lockgate.audit.types import Verification
from lockgate.audit.verification.bodies import BodyVerdict
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.timestamp_anchors import timestamp_check
from lockgate.audit.verification.verdicts import Demands
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.digests import sha256_hex
from support.timestamp_authority import Authority
from support.written_logs import START_NS, WrittenLog, found, only

AUTHORITY = Authority()
YEAR_S = 31_536_000


def _anchor(log: WrittenLog, *, token_s: float) -> WrittenLog:
    """Anchor the newest checkpoint; the token's time is so many seconds after the log's first record."""
    note, size = log.notes[-1], len(log.lines)
    response = AUTHORITY.timestamp(note, EpochNs(START_NS + int(token_s * NS_PER_S)))
    token = decode_timestamp_response(response).time_stamp_token()
    body = {
        "type": "rfc3161",
        "size": size,
        "root": f"sha256:{log.root(size).hex()}",
        "checkpoint": f"sha256:{sha256_hex(note)}",
        "evidence": f"sha256:{sha256_hex(token)}",
    }
    log.add(ANCHOR, body, attachments=(note, token))
    log.sign()
    return log


def _trust(demands: Demands = Demands()) -> Trust:  # noqa: B008 - it is frozen
    return Trust(policy=only(), check_anchor=timestamp_check(AUTHORITY.trust), demands=demands)


def _ahead(seconds: float, *, batch: int = 1) -> WrittenLog:
    """Make a log whose clock was ahead from record 2 on, anchored at the time that it really was."""
    log = WrittenLog().fill(2)
    log.paused_ns = int(seconds * NS_PER_S)
    return _anchor(log.fill(4, batch=batch), token_s=0)


def _check(verification: Verification, seq: int | None) -> None:
    codes = set() if seq is None else {"time_contradicted"}

    assert found(verification) == ("valid" if seq is None else "unverifiable", seq, codes)
    assert verification.completeness == "valid"  # whatever the times say: the outsider saw these records


def test_records_dated_after_the_anchor_over_them_are_contradicted() -> None:
    """Records that say they were written years after somebody outside had them are named, and nobody is accused."""
    _check(_ahead(5 * YEAR_S).verify(_trust()), 2)


def test_records_dated_before_the_anchor_that_they_hold_are_contradicted() -> None:
    """An anchor's own record holds a token that is years younger than it says it is: it is dated back."""
    _check(_anchor(WrittenLog().fill(3), token_s=5 * YEAR_S).fill(2).verify(_trust()), 3)


@pytest.mark.parametrize(("seconds", "seq"), [(299, None), (301, 2)])
def test_clocks_may_differ_by_five_minutes(seconds: int, seq: int | None) -> None:
    """Two clocks that are kept differ by less than 300 s, and nothing is said; in either direction."""
    _check(_ahead(seconds).verify(_trust()), seq)
    _check(_anchor(WrittenLog().fill(3), token_s=seconds).verify(_trust()), None if seq is None else 3)


def test_auditor_may_allow_for_a_clock_that_was_wrong() -> None:
    """Whoever knows that the clock was an hour ahead once says so, and the log is valid again."""
    _check(_ahead(3_600).verify(_trust(Demands(clock_error_s_max=3_700))), None)


def test_record_within_a_batch_is_named_by_its_checkpoint() -> None:
    """Where several records share a checkpoint, the last of them is named: that one is certainly dated so."""
    _check(_ahead(3_600, batch=4).verify(_trust()), 5)


def test_anchor_that_is_not_believed_contradicts_nothing() -> None:
    """Without the auditor's roots, or under those of others, a token's time says nothing."""
    log = _ahead(5 * YEAR_S)

    assert found(log.verify()) == ("valid", None, set())
    assert found(log.verify(Trust(policy=only(), check_anchor=timestamp_check(Authority().trust))))[0] == "valid"


def test_every_way_through_the_log_finds_the_same(tmp_path: Path) -> None:
    """From memory, from an export, by two processes and record by record: the same record is named."""
    log = _ahead(5 * YEAR_S)
    folder = ExportFolder(log.write(tmp_path / "export"))
    one, two = (verify_export(folder, _trust(), workers=workers) for workers in (1, 2))
    walked = log.verify(replace(_trust(), check_body=lambda _record, _attachments: BodyVerdict(status="valid")))

    for verification in (one, two, walked):
        _check(verification, 2)
