"""What verifying a whole log takes: every core of a machine for a long one, and no more memory than for a short one."""

import multiprocessing
import tracemalloc
from pathlib import Path

import pytest

from lockgate.audit.verification import anchors, command, export_folder, stretches
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export
from support.written_logs import WrittenLog, only

STRETCH = 256  # records; as many as make the tests quick
CORES = 3
SMALL, LARGE = 4_000, 20_000


@pytest.mark.parametrize(("bytes_min", "workers", "processes"), [(1, None, CORES), (1, 2, 2), (1 << 30, None, 0)])
def test_every_core_checks_a_long_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_min: int, workers: int | None, processes: int
) -> None:
    """A long log is checked by a process for each core, or by as many as were asked for; a short one by this one."""
    monkeypatch.setattr(stretches, "STRETCH_RECORDS_MAX", STRETCH)
    monkeypatch.setattr(command, "PARALLEL_BYTES_MIN", bytes_min)
    monkeypatch.setattr("os.cpu_count", lambda: CORES)
    path = WrittenLog().fill(3_000, batch=100).write(tmp_path / "export")
    seen = set()
    verification = command.check_export(
        path,
        Trust(policy=only()),
        workers=workers,
        on_progress=lambda _: seen.add(len(multiprocessing.active_children())),
    )

    assert verification.verdict == "valid"
    assert max(seen) == processes


def test_a_long_log_takes_no_more_memory_than_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times the records, five times the checkpoints: the same peak. What may be held at once is small here."""
    monkeypatch.setattr(stretches, "STRETCH_RECORDS_MAX", STRETCH)
    monkeypatch.setattr(export_folder, "_READ_BYTES", 64 * 1024)
    monkeypatch.setattr(anchors, "ROOTS_REMEMBERED_MAX", 64)
    peaks = []
    log = WrittenLog()
    for size in (SMALL, LARGE):
        log.fill(size - len(log.lines), batch=10)
        folder = ExportFolder(log.write(tmp_path / str(size)))
        tracemalloc.start()
        verification = verify_export(folder, Trust(policy=only()))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append(peak)

        assert (verification.verdict, verification.size) == ("valid", size)
    assert peaks[1] < 1.3 * peaks[0], peaks  # to keep eight bytes of each record would make it 1.4
