"""Keeps a verifier in step with its configuration folder: a changed trusted root takes effect without a restart.

A folder that no longer loads changes nothing: the verifier keeps what it has, and `problem` says what is wrong until
the folder is mended. Health shows it.
"""

import threading
import time
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from lockgate.clock import Clock
from lockgate.digests import sha256_hex
from lockgate.evidence.domain_files import load_trust_domains
from lockgate.evidence.errors import TrustDomainError
from lockgate.evidence.trust_domains import TrustDomains
from lockgate.evidence.verifier import EvidenceVerifier

FolderFingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]

_NO_DOMAINS: Final = TrustDomains(by_name=MappingProxyType({}), sha256=sha256_hex(b""))

LOOK_EVERY_S: Final = 1.0  # a look costs one `stat` a file


class TrustFolder:
    """Watches one folder for one verifier. Safe to share between threads."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Load the folder, and begin to watch it. If it does not load, no domain is trusted until it does.

        Args:
            folder: Of trust domains.
            clock: For the verifier.
        """
        self.verifier = EvidenceVerifier(_NO_DOMAINS, clock)
        self._folder = folder
        self._lock = threading.Lock()
        self._seen = _fingerprint(folder)  # before the load, so that no change falls between
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._problem = ""
        self._reload()

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
            seen = _fingerprint(self._folder)
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
            self.verifier.replace_domains(domains)
            self._problem = ""


def _fingerprint(folder: Path) -> FolderFingerprint:
    """Return what tells that a folder changed: name, time, size and number of each file below it."""
    try:
        files = [(str(path), path.stat()) for path in sorted(folder.rglob("*"))]
    except OSError:
        return ()
    return tuple((name, found.st_mtime_ns, found.st_size, found.st_ino) for name, found in files)
