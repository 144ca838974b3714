"""Which permits were used."""

import sqlite3
import threading
from pathlib import Path

import pytest
from lockgate_mlflow_guard.spent import KEPT_S, SpentPermits, SpentPermitsError

_NOW = 1_790_000_000.5


def _prepared(folder: Path) -> SpentPermits:
    spent = SpentPermits(folder / "permits.db")
    spent.prepare()
    return spent


def test_counts_once(tmp_path: Path) -> None:
    """A permit counts the first time alone, also for a worker that starts later; another one counts."""
    spent = _prepared(tmp_path)
    first = spent.spend("one", now_s=_NOW)

    assert first
    assert not _prepared(tmp_path).spend("one", now_s=_NOW)
    assert spent.spend("two", now_s=_NOW)


def test_counts_once_among_workers(tmp_path: Path) -> None:
    """Of many workers that are shown one permit at a time, one lets it count."""
    _prepared(tmp_path)
    start = threading.Barrier(8)
    counted: list[bool] = []

    def work() -> None:
        mine = SpentPermits(tmp_path / "permits.db")
        start.wait()
        counted.append(mine.spend("one", now_s=_NOW))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counted) == [False] * 7 + [True]


def test_is_kept_for_a_day(tmp_path: Path) -> None:
    """A used permit is remembered for a day, so that no clock that is set back brings it to life."""
    spent = _prepared(tmp_path)
    spent.spend("one", now_s=_NOW)

    assert not spent.spend("one", now_s=_NOW - 3600)
    assert not spent.spend("one", now_s=_NOW + KEPT_S)
    assert spent.spend("one", now_s=_NOW + KEPT_S + 1)


def test_file_is_its_owners(tmp_path: Path) -> None:
    """Nobody else reads or writes the file."""
    _prepared(tmp_path)

    assert (tmp_path / "permits.db").stat().st_mode & 0o777 == 0o600


def test_lost_file_is_not_made_anew(tmp_path: Path) -> None:
    """A file that vanishes while the server runs stops every move: an empty one would let used permits count again."""
    spent = _prepared(tmp_path)
    (tmp_path / "permits.db").unlink()

    with pytest.raises(SpentPermitsError):
        spent.spend("one", now_s=_NOW)
    assert not (tmp_path / "permits.db").exists()


def test_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else holds is a fault, and nothing counts."""
    monkeypatch.setattr("lockgate_mlflow_guard.spent.BUSY_S", 0.05)
    spent = _prepared(tmp_path)
    holder = sqlite3.connect(tmp_path / "permits.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(SpentPermitsError):
        spent.spend("one", now_s=_NOW)
    holder.close()
    assert spent.spend("one", now_s=_NOW)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, None])
def test_unusable_file(tmp_path: Path, content: bytes | None) -> None:
    """A file of something else, or in a folder that is not there, stops the start."""
    path = tmp_path / "permits.db" if content is not None else tmp_path / "missing" / "permits.db"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SpentPermitsError):
        SpentPermits(path).prepare()
