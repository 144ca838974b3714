"""Who may read metrics while the database, which knows the tokens, cannot be asked."""

import threading
import time
from collections import OrderedDict
from typing import Final

from lockgate.digests import Sha256Hex, sha256_hex

REMEMBERED_S: Final = 3600.0  # an outage is noticed long before; a token may have been revoked meanwhile
SCRAPERS_MAX: Final = 16  # Prometheus, its second, and whoever tries it by hand


class Scrapers:
    """Remembers, by their hash, the credentials that were found good for metrics a short while ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen_s: OrderedDict[Sha256Hex, float] = OrderedDict()  # the one seen last is the last

    def remember(self, credential: str) -> None:
        """Note that a credential is good."""
        with self._lock:
            key = sha256_hex(credential.encode())
            self._seen_s[key] = time.monotonic()
            self._seen_s.move_to_end(key)
            while len(self._seen_s) > SCRAPERS_MAX:
                self._seen_s.popitem(last=False)

    def knows(self, credential: str) -> bool:
        """Tell whether a credential was good a short while ago."""
        with self._lock:
            seen_s = self._seen_s.get(sha256_hex(credential.encode()))
        return seen_s is not None and time.monotonic() - seen_s < REMEMBERED_S
