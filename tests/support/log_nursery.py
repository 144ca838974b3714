"""Processes that append to a log and can be killed: many of them, quickly, from one that has everything loaded."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import lockgate

_CHILD_WAIT_S_MAX: Final = 30.0

_PROGRAM: Final = """
import os, signal, socket, sys, threading, traceback
from pathlib import Path
from lockgate.audit import AuditLog, KindCatalogue
from lockgate.audit.formats.notes import make_signer
from lockgate.errors import LockgateError
from lockgate.storage import open_engine
from support.audit_logs import ORIGIN, SteppingClock, make_event

def serve(url, checkpoint_file, meeting):
    link = socket.socket(socket.AF_UNIX)
    link.connect(meeting)
    lines = link.makefile("r")
    log = AuditLog(engine=open_engine(url), signer=make_signer(ORIGIN, bytes(range(32))), clock=SteppingClock(),
                   catalogue=KindCatalogue({}), instance=str(os.getpid()), checkpoint_file=Path(checkpoint_file))
    def append():
        try:
            answer = f"ok {log.append(make_event()).seq}"
        except LockgateError as exc:
            answer = f"error {exc.code}"
        link.sendall(f"{answer}\\n".encode())
        return answer
    def append_for_ever():
        while append().startswith("ok"):
            pass
    link.sendall(f"{os.getpid()}\\n".encode())
    for line in lines:
        if line == "append\\n":
            append()
        else:
            for _ in range(int(line)):
                threading.Thread(target=append_for_ever).start()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
for line in sys.stdin:
    if os.fork() == 0:
        try:
            serve(*sys.argv[1:])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
"""


@dataclass
class Child:
    """One process with the log open."""

    link: socket.socket
    lines: Iterator[str]
    pid: int = 0
    acknowledged: list[int] = field(default_factory=list)

    def append(self) -> str:
        """Append one event; return `ok <seq>`, `error <code>`, or nothing if the process died of it."""
        with contextlib.suppress(OSError):
            self.link.sendall(b"append\n")
        return self._answer()

    def append_for_ever(self, threads: int) -> None:
        """Append from several threads until the process is killed or an append fails."""
        self.link.sendall(f"{threads}\n".encode())

    def kill(self) -> list[str]:
        """Kill the process with SIGKILL; return the answers that it had sent and nobody had read."""
        os.kill(self.pid, signal.SIGKILL)
        answers = []
        while answer := self._answer():
            answers.append(answer)
        self.close()
        return answers

    def close(self) -> None:
        """Let go of the process; it ends by itself."""
        self.link.close()

    def _answer(self) -> str:
        try:
            answer = next(self.lines, "")
        except ConnectionResetError:
            return ""
        if not answer.endswith("\n"):  # cut off by death: nobody read it as an acknowledgement
            return ""
        if answer.startswith("ok "):
            self.acknowledged.append(int(answer[3:]))
        return answer.strip()


class Nursery:
    """Makes children; each has the log open and waits for orders."""

    def __init__(self, url: str, checkpoint_file: Path, meeting: Path) -> None:
        path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(lockgate.__file__).parents[1])])
        self._children: list[Child] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(meeting))
        self._listener.listen()
        self._listener.settimeout(_CHILD_WAIT_S_MAX)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, url, str(checkpoint_file), str(meeting)],
            stdin=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": path},
        )

    def child(self) -> Child:
        """Make one more process."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        link, _ = self._listener.accept()
        lines = iter(link.makefile("r"))
        made = Child(link=link, lines=lines, pid=int(next(lines)))
        self._children.append(made)
        return made

    def close(self) -> None:
        """Make no more."""
        self._process.kill()
        self._process.communicate()
        self._listener.close()
        for child in self._children:
            child.close()
