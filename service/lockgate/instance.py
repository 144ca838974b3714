"""What the processes of one instance share: the policy and the issuers that were accepted, and when that changed.

Files are read when the instance starts and when somebody calls for a reload, and at no other time. A worker that takes
a dead one's place gets what was accepted, not what lies in the files at that moment: half an edit must not decide, and
an issuer that was removed must not come back.
"""

import contextlib
import fcntl
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Final

from lockgate.identity.issuers import Issuer
from lockgate.policy import CompiledPolicy

_ACCEPTED: Final = "accepted"
_TURN: Final = "reload.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was read from files and checked, all at one moment."""

    policy: CompiledPolicy
    issuers: tuple[Issuer, ...]


class Instance:
    """Make it before the processes fork; each of them then uses its own copy of this object."""

    def __init__(self, folder: Path, accepted: Accepted) -> None:
        """Begin with what was accepted at the start.

        Args:
            folder: Of this instance alone; nobody else may write there.
            accepted: By what every process decides.

        Raises:
            OSError: Nothing can be written there.
        """
        self._folder = folder
        # Eight aligned bytes in shared memory, without a lock that a killed process could take along.
        self._changed = RawValue("Q", 0)
        self.put(accepted)

    @property
    def changed(self) -> int:
        """When the newest change came, by a clock that all processes share. Look at it before `get`."""
        return int(self._changed.value)

    def put(self, accepted: Accepted) -> None:
        """Let every process decide by this from its next request on.

        Raises:
            OSError: Nothing can be written.
        """
        handle, name = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            pickle.dump(accepted, file)
        Path(name).replace(self._folder / _ACCEPTED)
        self._changed.value = time.monotonic_ns()

    def get(self) -> Accepted:
        """Return what was accepted last.

        Raises:
            OSError: It cannot be read.
        """
        # Written by a process of this instance alone, in a folder that nobody else may write: whoever could put
        # another there holds the log's key already.
        accepted: Accepted = pickle.loads((self._folder / _ACCEPTED).read_bytes())  # noqa: S301 - as above
        return accepted

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Read files and `put` what they say inside this: of two who do so, what the later one read stays."""
        with (self._folder / _TURN).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # goes with the process that holds it
            yield
