"""`lockgate witness` as people run it: the commands, the real server, several of them on one state, and a kill."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from lockgate.audit.formats.cosignatures import WitnessKey, parse_witness_key, verify_cosignatures
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, format_log_policy
from lockgate.cli.main import main
from lockgate.witness.store import hash_origin
from support.logs_of_others import ORIGIN, PaperLog

NAME = "witness.example/w1"
LOG = PaperLog()


class WitnessFolder:
    """A folder that `lockgate witness init` made, and servers on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.arguments = ["--data-dir", str(folder)]
        assert main(["witness", "init", "--name", NAME, *self.arguments]) == 0
        (folder / "logs.policy").write_text(format_log_policy(LogPolicy(logs=(LogKey(key=LOG.signer.verifier_key),))))

    @contextlib.contextmanager
    def serving(self) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """Serve until the block ends; gives the URL and the server's process."""
        port = _free_port()
        command = [sys.executable, "-m", "lockgate", "witness", "serve", "--bind", f"127.0.0.1:{port}", *self.arguments]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as server:
            try:
                _wait_for(port, server)
                yield f"http://127.0.0.1:{port}", server
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)  # a server that was killed leaves its worker behind


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail("the witness does not listen")


def _submit(url: str, data: bytes) -> requests.Response:
    return requests.post(f"{url}/add-checkpoint", data=data, timeout=10)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> WitnessFolder:
    """A new witness."""
    made = WitnessFolder(tmp_path / "witness")
    capsys.readouterr()
    return made


def _key(folder: WitnessFolder, capsys: pytest.CaptureFixture[str]) -> WitnessKey:
    assert main(["witness", "key", *folder.arguments]) == 0
    return parse_witness_key(capsys.readouterr().out.removesuffix("\n"))


def test_init_makes_a_witness_once(folder: WitnessFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """The first init makes everything for its owner alone; the second prints the same key."""
    key = _key(folder, capsys)
    assert main(["witness", "init", "--name", NAME, *folder.arguments]) == 0

    assert capsys.readouterr().out == f"{key}\n"
    assert key.name == NAME
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "witness.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["log.key", "lockgate.db", "checkpoints.txt"])
def test_the_folder_of_a_gate_is_refused(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A witness shares nothing with a gate: nothing is made in its data folder."""
    (tmp_path / name).touch()

    assert main(["witness", "init", "--name", NAME, "--data-dir", str(tmp_path)]) == 2
    assert f"it holds {name}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_gate_is_not_made_in_the_folder_of_a_witness(
    folder: WitnessFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reverse: no log and no key beside the witness's."""
    monkeypatch.setenv("LOCKGATE_DATA_DIR", str(folder.path))

    assert main(["init", "--origin", "gate.test/audit"]) == 2
    assert "it holds witness.key" in capsys.readouterr().err
    assert not (folder.path / "log.key").exists()


@pytest.mark.parametrize("lost", ["witness.key", "witness.db"])
def test_half_a_witness_is_refused(folder: WitnessFolder, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A witness that lost its key or its state is not made anew over the rest, and does not serve."""
    (folder.path / lost).unlink()
    for command in (["init", "--name", NAME], ["serve", "--bind", "127.0.0.1:0"]):
        assert main(["witness", *command, *folder.arguments]) == 3
        code = "audit.key_invalid" if lost == "witness.key" else "witness.state_foreign"
        assert f"[{code}]" in capsys.readouterr().err

    assert not (folder.path / lost).exists()


def test_other_name_is_refused(folder: WitnessFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """The name stands in every cosignature: it does not change."""
    assert main(["witness", "init", "--name", "witness.example/w2", *folder.arguments]) == 2
    assert NAME in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "quorum none\n", "log x\nquorum none\n", "\udcff"])
def test_serving_wants_logs_to_follow(
    folder: WitnessFolder, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a readable file that names at least one log, the witness does not start."""
    path = folder.path / "logs.policy"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode(errors="surrogateescape"))

    assert main(["witness", "serve", "--bind", "127.0.0.1:0", *folder.arguments]) in {2, 3}
    assert "policy" in capsys.readouterr().err


def test_served_witness(folder: WitnessFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Over a real connection that is kept alive: 200, 409 with its size, 422, 400, 413, and what a monitor reads."""
    key = _key(folder, capsys)
    with folder.serving() as (url, server), requests.Session() as session:
        first = session.post(f"{url}/add-checkpoint", data=LOG.submission(0, 5), timeout=10)
        stale = session.post(f"{url}/add-checkpoint", data=LOG.submission(0, 8), timeout=10)
        forked = session.post(f"{url}/add-checkpoint", data=PaperLog(fork="x").submission(5, 8), timeout=10)
        # Of a length that is not told, the beginning is read, and that is no submission.
        endless = session.post(f"{url}/add-checkpoint", data=iter([b"x" * 50_000, b"x" * 50_000]), timeout=10)
        huge = requests.post(f"{url}/add-checkpoint", data=b"x" * 100_000, timeout=10)
        shown = requests.get(f"{url}/{hash_origin(ORIGIN)}/checkpoint", timeout=10)
        absent = requests.get(f"{url}/{hash_origin('other.example')}/checkpoint", timeout=10)
        os.kill(server.pid, signal.SIGTERM)
        ended = server.wait(timeout=20)

    answers = (first, stale, forked, endless, huge, shown, absent)
    assert [answer.status_code for answer in answers] == [200, 409, 422, 400, 413, 200, 404]
    assert (stale.headers["Content-Type"], stale.content) == ("text/x.tlog.size", b"5\n")
    (cosignature,) = verify_cosignatures(shown.content, [key])
    assert abs(cosignature.time / 1e9 - time.time()) < 60  # noqa: TID251 - the other clock to compare with
    assert shown.content == LOG.checkpoint(5) + first.content
    assert ended == 0


def test_killed_witness_remembers(folder: WitnessFolder) -> None:
    """After SIGKILL of the server and its worker, whatever was answered is remembered."""
    size = 0
    for step in range(1, 4):
        with folder.serving() as (url, server):
            assert _submit(url, LOG.submission(size, size + step)).status_code == 200
            size += step
            os.killpg(server.pid, signal.SIGKILL)
    with folder.serving() as (url, _):
        assert (answer := _submit(url, LOG.submission(0, 20))).status_code == 409
        assert answer.content == f"{size}\n".encode()


def test_two_servers_on_one_state_are_one_witness(folder: WitnessFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes on one state never both cosign: of rival trees from one old size one gets the line, each round."""
    key = _key(folder, capsys)
    rivals = [PaperLog(fork=f"fork {number}") for number in range(4)]
    with folder.serving() as (one, _), folder.serving() as (other, _), ThreadPoolExecutor(max_workers=8) as pool:
        for size in range(1, 6):
            barrier = threading.Barrier(8)

            def submit(case: tuple[str, PaperLog], size: int = size, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                answer = _submit(case[0], case[1].submission(size - 1, size))
                if answer.status_code == 200:
                    assert verify_cosignatures(case[1].checkpoint(size) + answer.content, [key])
                return answer.status_code

            cases = [(url, log) for url in (one, other) for log in rivals]
            statuses = list(pool.map(submit, cases))
            winners = {log.fork for (_, log), status in zip(cases, statuses, strict=True) if status == 200}
            assert len(winners) == 1
            assert statuses.count(200) == 1
            rivals = [log for log in rivals if log.fork in winners] + [PaperLog(fork=f"{size} {n}") for n in range(3)]
