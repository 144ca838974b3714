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
from typing import Final, Literal

import orjson

import lockgate
from lockgate.audit.formats.notes import SeedSigner, format_signer
from support.audit_logs import LogStand

_CHILD_WAIT_S_MAX: Final = 30.0

# Where in an append a process can be told to die: before the commit; behind it, and before the file outside the
# database is written; behind that, and before anybody is told.
PlaceOfDeath = Literal["commit", "file", "answer"]


@dataclass
class Child:
    """One process with the log open."""

    link: socket.socket
    lines: Iterator[str]
    pid: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict)  # position -> the event's id

    def append(self) -> str:
        """Append one event; return `ok <seq> <id>`, `error <code>`, or nothing if the process died of it."""
        with contextlib.suppress(OSError):
            self.link.sendall(b"append\n")
        return self._answer()

    def append_for_ever(self, threads: int) -> None:
        """Append from several threads until the process is killed or an append fails."""
        self.link.sendall(f"{threads}\n".encode())

    def wait_for(self, count: int) -> None:
        """Wait until `count` more of its appends were acknowledged."""
        for _ in range(count):
            answer = self._answer()
            assert answer.startswith("ok "), answer or "it died"

    def die_at(self, place: PlaceOfDeath) -> None:
        """Append one event, and be killed in the middle."""
        self.link.sendall(f"die {place}\n".encode())
        assert self._answer() == ""
        self.close()

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
            _, seq, event_id = answer.split()
            assert int(seq) not in self.acknowledged
            self.acknowledged[int(seq)] = event_id
        return answer.strip()


class Nursery:
    """Makes children; each has the log open and waits for orders."""

    def __init__(self, meeting: Path) -> None:
        path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(lockgate.__file__).parents[1])])
        self._children: list[Child] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(meeting))
        self._listener.listen()
        self._listener.settimeout(_CHILD_WAIT_S_MAX)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.log_child", str(meeting)],
            stdin=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": path},
        )

    def order(self, stand: LogStand, *signers: SeedSigner) -> None:
        """Have one more process made that opens a stand's log, under other signers than its own perhaps."""
        home = {
            "url": stand.url,
            "checkpoint_file": str(stand.checkpoint_file),
            "signers": [format_signer(signer) for signer in signers or (stand.signer,)],
        }
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(home).decode() + "\n")
        self._process.stdin.flush()

    def child(self, stand: LogStand, *signers: SeedSigner) -> Child:
        """Order one more process, and return the first that is ready: one that was ordered before, perhaps."""
        self.order(stand, *signers)
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
