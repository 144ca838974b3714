"""Where the files that come with Lockgate lie: the policies and the schemas."""

from pathlib import Path
from typing import Final, Literal

_PACKAGE: Final = Path(__file__).parent


def shipped_folder(name: Literal["policies", "schemas"]) -> Path:
    """Return a folder that comes with Lockgate: in a wheel it lies in the package, in a checkout beside `service/`."""
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / name
