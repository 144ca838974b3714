"""The program of the nursery: forks a process for each line it reads, which opens the log named there and obeys.

A child tells its PID when the log is open. It then takes orders, one a line: `append` one event; append from so many
threads until killed (`3`); or append one and `die` at a place of it. It answers each append with `ok <seq> <id>`, or
with `error <code>`.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from sqlalchemy import event

from lockgate.audit import AuditLog, KindCatalogue
from lockgate.audit.formats.notes import parse_signer
from lockgate.canonical_json import parse_json
from lockgate.errors import LockgateError
from lockgate.storage import open_engine
from support.audit_logs import SteppingClock, make_event, make_stand

_ORDER_BYTES_MAX: Final = 65_536  # paths and keys


def _die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


class _Child:
    """One process with one log open."""

    def __init__(self, home: Any) -> None:
        signer, *former = (parse_signer(text) for text in home["signers"])
        self._engine = open_engine(home["url"])
        self._log = AuditLog(
            engine=self._engine,
            signer=signer,
            former_signer=former[0] if former else None,
            clock=SteppingClock(),
            catalogue=KindCatalogue({}),
            instance=str(os.getpid()),
            checkpoint_file=Path(home["checkpoint_file"]),
        )
        self._link = socket.socket(socket.AF_UNIX)

    def serve(self, meeting: str) -> None:
        """Do what is asked, until nobody asks any more."""
        self._link.connect(meeting)
        self._say(str(os.getpid()))
        with contextlib.suppress(ConnectionError):  # it was made ahead, and nobody came for it
            for line in self._link.makefile("r"):
                self._obey(line.split())

    def _obey(self, order: list[str]) -> None:
        match order:
            case ["append"]:
                self._append()
            case ["die", place]:
                self._die_at(place)
            case _:
                for _ in range(int(order[0])):
                    threading.Thread(target=self._append_for_ever).start()

    def _append(self) -> bool:
        made = make_event()
        try:
            seq = self._log.append(made).seq
        except LockgateError as exc:
            self._say(f"error {exc.code}")
            return False
        self._say(f"ok {seq} {made.id}")
        return True

    def _append_for_ever(self) -> None:
        while self._append():
            pass

    def _die_at(self, place: str) -> None:
        log: Any = self._log
        child: Any = self
        if place == "commit":  # everything is written, and not committed yet
            event.listen(self._engine, "commit", _die)
        elif place == "file":  # committed, and not in the file outside the database
            log._keep = _die
        else:  # written everywhere, and nobody told
            child._say = _die
        self._append()

    def _say(self, answer: str) -> None:
        self._link.sendall(f"{answer}\n".encode())


def _run(line: str, meeting: str) -> None:
    try:
        _Child(parse_json(line.encode(), bytes_max=_ORDER_BYTES_MAX)).serve(meeting)
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happens
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(meeting: str) -> None:
    """Fork until the orders end."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_stand(Path(folder))
        made.fill(1)
        made.engine.dispose()
    gc.freeze()  # children leave what is loaded where it is
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    for line in sys.stdin:
        if os.fork() == 0:
            _run(line, meeting)


if __name__ == "__main__":
    main(sys.argv[1])
