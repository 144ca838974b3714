"""A signing key that another program keeps: in a hardware module, a key service, or an agent of another user.

The program is started for each signature. It gets the text on standard input, must write the Ed25519 signature in
base64 and nothing else to standard output, and must end with 0. Its standard error is left alone.

    LOCKGATE_LOG_KEY_FILE          holds the public key, as `lockgate audit key` prints it
    LOCKGATE_LOG_SIGNER_COMMAND    the program and its arguments; no shell reads them; {key_id} is the key's ID in hex

An agent that listens is reached by a program too: `socat - UNIX-CONNECT:/run/log-signer`.
"""

import base64
import binascii
import contextlib
import os
import select
import signal
import subprocess
from dataclasses import dataclass
from time import monotonic
from typing import Final

from lockgate.audit.errors import SignatureInvalidError, SignerError
from lockgate.audit.formats.notes import VerifierKey, check_signature

TIMEOUT_S: Final = 3.0  # the log's write lock is held meanwhile, and other writers wait for that five seconds
TEXT_BYTES_MAX: Final = 4096  # a pipe takes it at once (PIPE_BUF); the longest checkpoint is a third of it
ANSWER_BYTES_MAX: Final = 128  # a signature in base64 has 88, and a newline


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSigner:
    """A `Signer` by another program."""

    verifier_key: VerifierKey
    command: tuple[str, ...]  # the program and its arguments
    timeout_s: float = TIMEOUT_S

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature of `text`, 64 bytes, verified: no other signature gets into a log.

        Raises:
            SignerError: The program gave no such signature in time.
        """
        if len(text) > TEXT_BYTES_MAX:
            raise SignerError(f"want a text of at most {TEXT_BYTES_MAX} bytes to sign, got {len(text)}")
        answer = self._run(text)
        try:
            signature = base64.b64decode(answer.removesuffix(b"\n"), validate=True)
            check_signature(self.verifier_key, signature, text)
        except (binascii.Error, SignatureInvalidError) as exc:
            key_id = self.verifier_key.key_id.hex()
            raise SignerError(f"want a signature by the key {key_id} in base64 from {self.command[0]!r}") from exc
        return signature

    def _run(self, text: bytes) -> bytes:
        deadline = monotonic() + self.timeout_s
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own setting, and no shell
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as exc:
            raise SignerError(f"cannot start {self.command[0]!r}: {exc.strerror}") from exc
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            with contextlib.suppress(BrokenPipeError):  # a program that does not read is told by what it answers
                process.stdin.write(text)
                process.stdin.close()
            answer = self._read(process.stdout.fileno(), deadline)
            code = process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired as exc:
            raise self._late() from exc
        finally:
            _end(process)
        if code != 0:
            raise SignerError(f"want {self.command[0]!r} to end with 0, got {code}")
        return answer

    def _read(self, pipe: int, deadline: float) -> bytes:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        answer = b""
        while len(answer) <= ANSWER_BYTES_MAX:
            if not poll.poll(max(0.0, deadline - monotonic()) * 1000):
                raise self._late()
            chunk = os.read(pipe, ANSWER_BYTES_MAX + 1)
            if not chunk:
                return answer
            answer += chunk
        raise SignerError(f"want at most {ANSWER_BYTES_MAX} bytes from {self.command[0]!r}, got more")

    def _late(self) -> SignerError:
        return SignerError(f"no signature from {self.command[0]!r} within {self.timeout_s:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a program behind, and none of what it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    process.wait()
