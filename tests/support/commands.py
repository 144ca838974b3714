"""How a test runs `lockgate`, and what it gets back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

TOKEN: Final = "lgt_" + "t" * 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run: TypeAlias = Callable[..., Ended]
"""`run(*arguments, environment={...}) -> Ended`: the fixture of `tests/cli/conftest.py`."""
