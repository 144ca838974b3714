"""Keeps a verifier in step with its configuration folder: a changed trusted root takes effect without a restart.

A folder that no longer loads changes nothing: the verifier keeps what it has, and `problem` says what is wrong until
the folder is mended. Health shows it.
"""

import threading
import time
from pathlib import Path
from typing import Final, TypeAlias

from lockgate.evidence.domain_files import load_trust_domains
from lockgate.evidence.errors import TrustDomainError
from lockgate.evidence.verifier import EvidenceVerifier

FolderFingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]

LOOK_EVERY_S: Final = 1.0  # a look costs one `stat` a file


class TrustFolder:
    """Watches one folder for one verifier. Safe to share between threads."""

    def __init__(self, folder: Path, verifier: EvidenceVerifier, seen: FolderFingerprint) -> None:
        """Begin to watch.

        Args:
            folder: What the verifier's domains were loaded from.
            verifier: Whose domains to replace.
            seen: The folder's fingerprint from *before* its domains were loaded, so that no change falls between.
        """
        self._folder = folder
        self._verifier = verifier
        self._lock = threading.Lock()
        self._seen = seen
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._problem = ""

    @property
    def problem(self) -> str:
        """What is wrong with the folder as it is now; "" when what lies there is in force."""
        return self._problem

    def refresh(self) -> None:
        """Load the folder anew if it changed since the last look; look at most once in `LOOK_EVERY_S`."""
        if time.monotonic() < self._look_at or not self._lock.acquire(blocking=False):
            return
        try:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            seen = fingerprint(self._folder)
            if seen != self._seen:
                self._reload()
                self._seen = seen
        finally:
            self._lock.release()

    def _reload(self) -> None:
        try:
            domains = load_trust_domains(self._folder)
        except TrustDomainError as exc:
            self._problem = str(exc)
        else:
            self._verifier.replace_domains(domains)
            self._problem = ""


def fingerprint(folder: Path) -> FolderFingerprint:
    """Return what tells that a folder changed: name, time, size and number of each file below it."""
    try:
        files = [(str(path), path.stat()) for path in sorted(folder.rglob("*"))]
    except OSError:
        return ()
    return tuple((name, found.st_mtime_ns, found.st_size, found.st_ino) for name, found in files)
