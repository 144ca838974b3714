"""The folder in which the processes of one instance count together, as the metrics library needs it.

An instance that is killed leaves its folder behind. So each holds a lock on its own for as long as one of its processes
lives, and whoever starts clears away those that nobody holds.
"""

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import Final

from lockgate.config import share_counters
from lockgate.errors import ConfigError

_PREFIX: Final = "metrics-"
_LOCK: Final = "lock"


class SharedCounters:
    """One instance's folder. Make it before the metrics library is imported and before a process is forked."""

    def __init__(self, data_dir: Path) -> None:
        """Make the folder, and clear away those of instances that are gone.

        Args:
            data_dir: Where it goes; other instances may keep theirs there too.

        Raises:
            ConfigError: Nothing can be written there.
        """
        try:
            _clear_away(data_dir)
            # It gets its name when it is locked: whoever starts at this moment takes it for nobody's else.
            made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=data_dir))
            self._lock = (made / _LOCK).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.folder = made.rename(made.with_name(made.name.removeprefix(".")))
        except OSError as exc:
            raise ConfigError(f"LOCKGATE_DATA_DIR: cannot keep counters there: {exc.strerror}") from exc
        share_counters(str(self.folder))

    def remove(self) -> None:
        """Remove the folder, when the last process is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _clear_away(data_dir: Path) -> None:
    for folder in data_dir.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while somebody holds it
            shutil.rmtree(folder)
