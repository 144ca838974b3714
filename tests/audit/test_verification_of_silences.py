"""What a heartbeat promised of the time between records, and where that was not kept."""

from lockgate.audit.formats.kind_names import HEARTBEAT
from lockgate.audit.types import Verification
from lockgate.audit.verification.examination import SILENCES_NAMED_MAX
from lockgate.canonical_json import SAFE_INTEGER_MAX
from lockgate.clock import NS_PER_S
from support.written_logs import MILLISECOND_NS, WrittenLog, found


def _silences(verification: Verification) -> list[str]:
    return [silence for note in verification.notes if note.code == "silence" for silence in note.detail.split("; ")]


def _add_after(log: WrittenLog, pause_ns: int, kind: str | None = None, interval_s: int = 0) -> int:
    log.paused_ns += pause_ns - MILLISECOND_NS
    seq = log.add() if kind is None else log.add(kind, {"interval_s": interval_s})
    log.sign()
    return seq


def test_silence_longer_than_promised_is_said_and_accuses_nobody() -> None:
    """A pause longer than the newest heartbeat allows is named, with its place; one just as long is none."""
    log = WrittenLog().fill(2)
    _add_after(log, 900 * NS_PER_S)  # nothing was promised yet
    log.add(HEARTBEAT, {"interval_s": 60})
    _add_after(log, 60 * NS_PER_S)
    seq = _add_after(log, 60 * NS_PER_S + 1000)
    verification = log.verify()

    assert verification.verdict == "valid"
    assert _silences(verification) == [f"60 s before record {seq}, where at most 60 s were promised"]


def test_heartbeat_counts_from_where_it_stands() -> None:
    """The pause before a heartbeat is held to the promise before it, and the pause after it to its own."""
    log = WrittenLog().fill(1)
    log.add(HEARTBEAT, {"interval_s": 10})
    late = _add_after(log, 20 * NS_PER_S, HEARTBEAT, 30)
    _add_after(log, 20 * NS_PER_S)
    later = _add_after(log, 31 * NS_PER_S, HEARTBEAT, SAFE_INTEGER_MAX)
    _add_after(log, 10**9 * NS_PER_S)

    assert _silences(log.verify()) == [
        f"20 s before record {late}, where at most 10 s were promised",
        f"31 s before record {later}, where at most 30 s were promised",
    ]


def test_silences_are_counted_where_they_are_many() -> None:
    """The first few are named, and of the rest it is said how many."""
    log = WrittenLog().fill(1)
    log.add(HEARTBEAT, {"interval_s": 1})
    for _ in range(SILENCES_NAMED_MAX + 3):
        _add_after(log, 2 * NS_PER_S)
    silences = _silences(log.verify())

    assert len(silences) == SILENCES_NAMED_MAX + 1
    assert silences[-1] == "and 3 more"


def test_silence_between_stretches_is_found() -> None:
    """A pause that falls between two stretches is a pause too."""
    log = WrittenLog().fill(1)
    log.add(HEARTBEAT, {"interval_s": 60})
    log.fill(4094)
    log.paused_ns += 100 * NS_PER_S
    log.fill(2)

    assert _silences(log.verify()) == ["100 s before record 4096, where at most 60 s were promised"]


def test_other_logs_of_the_gate_are_named() -> None:
    """Heartbeats tell the auditor of the gate's other logs, and that one is not named any more; a form is held to."""
    log = WrittenLog().fill(1)
    log.add(HEARTBEAT, {"interval_s": 60, "origins": ["a/b/c", "a/b/d"]})
    log.add(HEARTBEAT, {"interval_s": 60, "origins": ["a/b/c"]})
    log.sign()
    notes = {note.code: note.detail for note in log.verify().notes}
    log.add(HEARTBEAT, {"interval_s": 60})
    log.sign()
    last = {note.code: note.detail for note in log.verify().notes}
    log.add(HEARTBEAT, {"interval_s": 60, "origins": [1]})
    log.sign()

    assert "a/b/c;" in notes["other_logs"]
    assert "a/b/d;" in notes["log_gone"]
    assert "other_logs" not in last
    assert "a/b/c, a/b/d;" in last["log_gone"]
    assert found(log.verify()) == ("tampered", 4, {"record_malformed"})
