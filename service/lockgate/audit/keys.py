"""The log's signing key in a file: one line, the private text form of `lockgate.audit.formats.notes`."""

import os
import secrets
from pathlib import Path
from typing import Final

from lockgate.audit.errors import KeyInvalidError
from lockgate.audit.formats.notes import SeedSigner, format_signer, make_signer, parse_signer

KEY_FILE_BYTES_MAX: Final = 4096  # one line; the longest name takes a third of it
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
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise KeyInvalidError(f"cannot read the key file {path}: {exc.strerror}") from exc
    if mode & _OTHERS:
        raise KeyInvalidError(f"want a key file that others cannot touch (chmod o= {path})")
    try:
        return parse_signer(data.decode().removesuffix("\n"))
    except UnicodeDecodeError as exc:
        raise KeyInvalidError(f"want one line of text in the key file {path}") from exc
