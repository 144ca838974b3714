"""The log's key in a file: one line, a text form of `lockgate.audit.formats.notes`.

The private form where this process signs by itself; the public form where another program does.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lockgate.audit.command_signer import CommandSigner
from lockgate.audit.errors import KeyInvalidError
from lockgate.audit.formats.notes import (
    PRIVATE_PREFIX,
    SeedSigner,
    Signer,
    VerifierKey,
    format_signer,
    make_signer,
    parse_signer,
    parse_verifier_key,
)

KEY_FILE_BYTES_MAX: Final = 4096  # one line; the longest name takes a third of it
KEY_ID_PLACE: Final = "{key_id}"  # in a signer program's arguments
_OTHERS: Final = 0o007
_SEED_BYTES: Final = 32


def create_key_file(path: Path, origin: str) -> SeedSigner:
    """Make a new key and keep it in a new file that only its owner can read.

    Args:
        path: The file; its folder exists. A file that is there is never replaced.
        origin: The log's name, a URL without a scheme, for example `gate.example/audit`; also the key's.

    Raises:
        KeyInvalidError: `origin` is not a key name, or the file exists or cannot be written.
    """
    signer = make_signer(origin, secrets.token_bytes(_SEED_BYTES))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{format_signer(signer)}\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # fails if `path` exists, so that two starts at once cannot make two keys
    except OSError as exc:
        raise KeyInvalidError(f"cannot make the key file {path}: {exc.strerror}") from exc
    finally:
        draft.unlink(missing_ok=True)
    return signer


def load_key_file(path: Path) -> SeedSigner:
    """Read a signing key.

    Raises:
        KeyInvalidError: The file is missing, holds no key, or is open to everybody; the message holds none of it.
    """
    text, mode = _read(path)
    if mode & _OTHERS:
        raise KeyInvalidError(f"want a key file that others cannot touch (chmod o= {path})")
    return parse_signer(text)


def load_public_key(path: Path) -> VerifierKey:
    """Read the public half of a key from a file that holds either form.

    Raises:
        KeyInvalidError: As `load_key_file`; a file with the public form may be open to everybody.
    """
    text, _ = _read(path)
    return load_key_file(path).verifier_key if text.startswith(PRIVATE_PREFIX) else parse_verifier_key(text)


def load_signer(path: Path, command: Sequence[str] = ()) -> Signer:
    """Return what signs: the key in a file, or a program that keeps the key.

    Args:
        path: The file: with the private key, or, for a program, with the public key alone.
        command: The program and its arguments; empty for none. `{key_id}` in them stands for the key's ID, so that one
            program can keep the keys of several logs.

    Raises:
        KeyInvalidError: The file cannot be used, or the private key lies beside a program that is to keep it.
    """
    if not command:
        return load_key_file(path)
    text, _ = _read(path)
    if text.startswith(PRIVATE_PREFIX):
        raise KeyInvalidError(f"want the public key alone in {path} when a program keeps the private one")
    key = parse_verifier_key(text)
    return CommandSigner(
        verifier_key=key, command=tuple(word.replace(KEY_ID_PLACE, key.key_id.hex()) for word in command)
    )


def _read(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            return file.read(KEY_FILE_BYTES_MAX + 1).decode().removesuffix("\n"), mode
    except OSError as exc:
        raise KeyInvalidError(f"cannot read the key file {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise KeyInvalidError(f"want one line of text in the key file {path}") from exc
