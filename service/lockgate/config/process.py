"""The process's environment; nothing else of Lockgate reads or writes it."""

import os
from collections.abc import Mapping


def process_environment() -> Mapping[str, str]:
    """Return the variables of this process as they are now."""
    return dict(os.environ)  # noqa: TID251 - the one place


def share_counters(folder: str) -> None:
    """Tell the metrics library where the processes of this instance keep their counters together.

    It reads the variable when it is imported, so this comes first.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # noqa: TID251 - as above
