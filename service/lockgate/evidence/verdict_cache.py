"""Remembers positive verdicts, so that the many checks of one promotion verify a bundle once.

This is safe because verification depends on nothing but the trust domain, the code, the bundle and the artifact, which
are the key, and on the clock in one direction: a verified time that is not in the future now will not be later. The
verifier keeps verdicts out that depend on the present in another way (those without a verified time). Whether the
signer is trusted for anything, and whether the artifact or the key is on a deny list, is asked of policy every time.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final, NewType

from lockgate.clock import EpochNs
from lockgate.evidence.limits import CACHE_BUNDLE_BYTES_MAX, CACHE_ENTRIES_MAX, CACHE_TTL_NS
from lockgate.evidence.types import VerifiedSignature

# Raised by whoever changes what a check accepts; it is part of every key, so that caches outside the process may
# follow without a new format.
VERIFIER_VERSION: Final = 1

CacheKey = NewType("CacheKey", tuple[str, int, str, str])
"""The domain's digest, the verifier's version, the bundle's digest, and the artifact's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    verdict: VerifiedSignature
    bundle_bytes: int
    until: EpochNs


class VerdictCache:
    """A bounded, thread-safe map from what was verified to the verdict, forgetting the least recently used."""

    def __init__(
        self,
        *,
        entries_max: int = CACHE_ENTRIES_MAX,
        bundle_bytes_max: int = CACHE_BUNDLE_BYTES_MAX,
        ttl_ns: int = CACHE_TTL_NS,
    ) -> None:
        self._entries_max = entries_max
        self._bundle_bytes_max = bundle_bytes_max
        self._ttl_ns = ttl_ns
        self._lock = threading.Lock()
        self._entries: OrderedDict[CacheKey, _Entry] = OrderedDict()
        self._bundle_bytes = 0

    def get(self, key: CacheKey, now: EpochNs) -> VerifiedSignature | None:
        """Return a verdict that is not too old, as a copy that the caller may change."""
        with self._lock:
            entry = self._entries.get(key)
            # A clock that was set back makes `until` lie further ahead than any entry's life: forget that one too.
            if entry is None or not now < entry.until <= now + self._ttl_ns:
                self._forget(key)
                return None
            self._entries.move_to_end(key)
        return replace(entry.verdict, statement=_copy(entry.verdict.statement))

    def put(self, key: CacheKey, verdict: VerifiedSignature, bundle_bytes: int, now: EpochNs) -> None:
        """Remember a verdict, unless its bundle alone is larger than the cache."""
        if bundle_bytes > self._bundle_bytes_max:
            return
        kept = replace(verdict, statement=_copy(verdict.statement))
        with self._lock:
            self._forget(key)
            self._entries[key] = _Entry(verdict=kept, bundle_bytes=bundle_bytes, until=EpochNs(now + self._ttl_ns))
            self._bundle_bytes += bundle_bytes
            while len(self._entries) > self._entries_max or self._bundle_bytes > self._bundle_bytes_max:
                self._forget(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bundle_bytes = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def _forget(self, key: CacheKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bundle_bytes -= entry.bundle_bytes


def _copy(value: Any) -> Any:  # noqa: ANN401 - JSON
    # Several times faster than copy.deepcopy, which must expect more than JSON.
    if isinstance(value, dict):
        return {key: _copy(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_copy(child) for child in value]
    return value
