"""A signing key that another program keeps: in a hardware module, a key service, or an agent of another user.

The program (`lockgate.audit.programs`) is started for each signature. It gets the text, and must write the Ed25519
signature in base64.

    LOCKGATE_LOG_KEY_FILE          holds the public key, as `lockgate audit key` prints it
    LOCKGATE_LOG_SIGNER_COMMAND    the program and its arguments; no shell reads them; {key_id} is the key's ID in hex

An agent that listens is reached by a program too: `socat - UNIX-CONNECT:/run/log-signer`.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import ProgramError, SignatureInvalidError, SignerError
from lockgate.audit.formats.notes import VerifierKey, check_signature
from lockgate.audit.programs import ask_program

TIMEOUT_S: Final = 3.0  # the log's write lock is held meanwhile, and other writers wait for that five seconds
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
        try:
            answer = ask_program(self.command, text, timeout_s=self.timeout_s, answer_bytes_max=ANSWER_BYTES_MAX)
            signature = base64.b64decode(answer.removesuffix(b"\n"), validate=True)
            check_signature(self.verifier_key, signature, text)
        except ProgramError as exc:
            raise SignerError(str(exc)) from exc
        except (binascii.Error, SignatureInvalidError) as exc:
            key_id = self.verifier_key.key_id.hex()
            raise SignerError(f"want a signature by the key {key_id} in base64 from {self.command[0]!r}") from exc
        return signature
