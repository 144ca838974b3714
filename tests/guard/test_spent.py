"""Which permits were used, and in which order."""

import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest
from lockgate_mlflow_guard.permits import Move, Permit
from lockgate_mlflow_guard.spent import KEPT_S, SpentPermits, SpentPermitsError

_NOW = 1_790_000_000.5
_MOVE = Move(model="fraud", alias="champion", version="2")


def _permit(permit_id: str = "one", *, promotion: str = "first", issued_s: int = int(_NOW)) -> Permit:
    return Permit(permit_id=permit_id, promotion=promotion, issued_s=issued_s, digest="", environment="production")


def _prepared(folder: Path) -> SpentPermits:
    spent = SpentPermits(folder / "permits.db")
    spent.prepare()
    return spent


def test_counts_once(tmp_path: Path) -> None:
    """A permit counts the first time alone, also for a worker that starts later; another one counts."""
    spent = _prepared(tmp_path)
    first = spent.spend(_permit(), _MOVE, now_s=_NOW)

    assert first is None
    assert _prepared(tmp_path).spend(_permit(), _MOVE, now_s=_NOW) == "permit.used"
    assert spent.spend(_permit("two"), _MOVE, now_s=_NOW) is None


def test_in_the_order_of_signing(tmp_path: Path) -> None:
    """What was signed before the permit that moved a pointer last moves it no more, and is not used up by trying."""
    spent = _prepared(tmp_path)
    old = _permit("old", promotion="promoted", issued_s=int(_NOW) - 2)
    spent.spend(_permit("used", promotion="promoted", issued_s=int(_NOW) - 1), _MOVE, now_s=_NOW)
    spent.spend(_permit("back", promotion="rolled back"), _MOVE, now_s=_NOW)
    elsewhere = (Move(model="other", alias="champion", version="2"), Move(model="fraud", alias="eu", version="2"))

    assert spent.spend(old, _MOVE, now_s=_NOW) == "permit.superseded"
    assert _prepared(tmp_path).spend(old, _MOVE, now_s=_NOW - 3600) == "permit.superseded"
    assert [spent.spend(old, elsewhere[0], now_s=_NOW), spent.spend(old, elsewhere[1], now_s=_NOW)] == [
        None,
        "permit.used",
    ]


def test_within_one_second(tmp_path: Path) -> None:
    """Of two that were signed in one second only the same promotion's moves the pointer again."""
    spent = _prepared(tmp_path)
    spent.spend(_permit("one"), _MOVE, now_s=_NOW)

    assert spent.spend(_permit("two", promotion="second"), _MOVE, now_s=_NOW) == "permit.superseded"
    assert spent.spend(_permit("three"), _MOVE, now_s=_NOW) is None
    assert spent.spend(_permit("four", promotion="second", issued_s=int(_NOW) + 1), _MOVE, now_s=_NOW) is None


def test_a_file_of_a_guard_before(tmp_path: Path) -> None:
    """The file of a guard that kept no order is taken over, with what was used."""
    connection = sqlite3.connect(tmp_path / "permits.db")
    connection.execute("CREATE TABLE spent (permit_id TEXT PRIMARY KEY, spent_s INTEGER NOT NULL)")
    connection.execute("INSERT INTO spent VALUES ('one', ?)", (int(_NOW),))
    connection.commit()
    connection.close()
    spent = _prepared(tmp_path)

    assert spent.spend(_permit(), _MOVE, now_s=_NOW) == "permit.used"
    assert spent.spend(_permit("two"), _MOVE, now_s=_NOW) is None


def test_counts_once_among_workers(tmp_path: Path) -> None:
    """Of many workers that are shown one permit at a time, one lets it count."""
    _prepared(tmp_path)
    start = threading.Barrier(8)
    counted: list[str | None] = []

    def work() -> None:
        mine = SpentPermits(tmp_path / "permits.db")
        start.wait()
        counted.append(mine.spend(_permit(), _MOVE, now_s=_NOW))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(counted) == {"permit.used": 7, None: 1}


def test_is_kept_for_a_day(tmp_path: Path) -> None:
    """A used permit is remembered for a day, so that no clock that is set back brings it to life."""
    spent = _prepared(tmp_path)
    spent.spend(_permit(), _MOVE, now_s=_NOW)

    assert spent.spend(_permit(), _MOVE, now_s=_NOW - 3600) == "permit.used"
    assert spent.spend(_permit(), _MOVE, now_s=_NOW + KEPT_S) == "permit.used"
    assert spent.spend(_permit(), _MOVE, now_s=_NOW + KEPT_S + 1) is None


def test_file_is_its_owners(tmp_path: Path) -> None:
    """Nobody else reads or writes the file."""
    _prepared(tmp_path)

    assert (tmp_path / "permits.db").stat().st_mode & 0o777 == 0o600


def test_lost_file_is_not_made_anew(tmp_path: Path) -> None:
    """A file that vanishes while the server runs stops every move: an empty one would let used permits count again."""
    spent = _prepared(tmp_path)
    (tmp_path / "permits.db").unlink()

    with pytest.raises(SpentPermitsError):
        spent.spend(_permit(), _MOVE, now_s=_NOW)
    assert not (tmp_path / "permits.db").exists()


def test_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else holds is a fault, and nothing counts."""
    monkeypatch.setattr("lockgate_mlflow_guard.spent.BUSY_S", 0.05)
    spent = _prepared(tmp_path)
    holder = sqlite3.connect(tmp_path / "permits.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(SpentPermitsError):
        spent.spend(_permit(), _MOVE, now_s=_NOW)
    holder.close()
    assert spent.spend(_permit(), _MOVE, now_s=_NOW) is None


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, None])
def test_unusable_file(tmp_path: Path, content: bytes | None) -> None:
    """A file of something else, or in a folder that is not there, stops the start."""
    path = tmp_path / "permits.db" if content is not None else tmp_path / "missing" / "permits.db"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SpentPermitsError):
        SpentPermits(path).prepare()
