"""Programs that do for the log what it cannot do itself: keep its key, have a checkpoint signed elsewhere.

One is started for each question, without a shell. It reads the question on standard input, writes its answer and
nothing else to standard output, and must end with 0. Its standard error is left alone.
"""

import contextlib
import os
import select
import signal
import subprocess
from time import monotonic
from typing import Final

from lockgate.audit.errors import ProgramError

QUESTION_BYTES_MAX: Final = 4096  # a pipe takes it at once (PIPE_BUF); the longest checkpoint is a third of it
_CHUNK_BYTES: Final = 65_536  # what a pipe holds


def ask_program(command: tuple[str, ...], question: bytes, *, timeout_s: float, answer_bytes_max: int) -> bytes:
    """Return what a program answers.

    Args:
        command: The program and its arguments; no shell reads them.
        question: For its standard input.
        timeout_s: For all of it.
        answer_bytes_max: How long its answer may be.

    Raises:
        ProgramError: It cannot be started, fails, answers too much, or not in time.
    """
    if len(question) > QUESTION_BYTES_MAX:
        raise ProgramError(f"want at most {QUESTION_BYTES_MAX} bytes for {command[0]!r}, got {len(question)}")
    deadline = monotonic() + timeout_s
    late = f"no answer from {command[0]!r} within {timeout_s:g} s"
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own setting, and no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as exc:
        raise ProgramError(f"cannot start {command[0]!r}: {exc.strerror}") from exc
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    try:
        with contextlib.suppress(BrokenPipeError):  # a program that does not read is told by what it answers
            process.stdin.write(question)
            process.stdin.close()
        answer = _read(process.stdout.fileno(), deadline, answer_bytes_max)
        if answer is None:
            raise ProgramError(late)
        if len(answer) > answer_bytes_max:
            raise ProgramError(f"want at most {answer_bytes_max} bytes from {command[0]!r}, got more")
        code = process.wait(max(0.0, deadline - monotonic()))
    except subprocess.TimeoutExpired as exc:
        raise ProgramError(late) from exc
    finally:
        _end(process)
    if code != 0:
        raise ProgramError(f"want {command[0]!r} to end with 0, got {code}")
    return answer


def _read(pipe: int, deadline: float, bytes_max: int) -> bytes | None:
    """Return what comes out of a pipe up to its end, or a little more than `bytes_max`; None if that takes too long."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    answer = b""
    while len(answer) <= bytes_max:
        if not poll.poll(max(0.0, deadline - monotonic()) * 1000):
            return None
        chunk = os.read(pipe, min(_CHUNK_BYTES, bytes_max + 1))
        if not chunk:
            break
        answer += chunk
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a program behind, and none of what it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    process.wait()
