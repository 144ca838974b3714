"""Secrets that lie in files of their own, as Docker and Kubernetes hand them over."""

import stat
from pathlib import Path
from typing import Final

from lockgate.config.errors import UnusableValueError

SECRET_BYTES_MAX: Final = 64 * 1024  # far above any token, password or URL; Kubernetes' own limit is 1 MiB for all


def read_secret(path: Path) -> str:
    """Return the one line of a secret's file, without the newline after it.

    Raises:
        UnusableValueError: It cannot be read, is no regular file (a pipe would stop the start), is too long, empty, of
            several lines or no UTF-8. The message shows nothing of what it holds.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnusableValueError(f"want a regular file at {path}")
        with path.open("rb") as file:
            data = file.read(SECRET_BYTES_MAX + 1)
    except OSError as exc:
        raise UnusableValueError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > SECRET_BYTES_MAX:
        raise UnusableValueError(f"want at most {SECRET_BYTES_MAX} bytes in {path}")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        # Not chained: the library's error holds the bytes, and a traceback or a logger may show them.
        raise UnusableValueError(f"want UTF-8 text in {path}") from None
    if not text or len(text.splitlines()) > 1:
        raise UnusableValueError(f"want one line in {path}, got {len(text.splitlines())}")
    return text


def is_open_to_all(path: Path) -> bool:
    """Tell whether every user of the machine may read a file; a file that cannot be looked at is not."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
