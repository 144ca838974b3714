"""What .importlinter holds, it must be told of: the rooms and files that promise something stand there."""

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SERVICE: Final = ROOT / "service"


def test_each_file_that_calls_itself_pure_is_held_to_it() -> None:
    """A file whose docstring says "Pure" stands in the contract, or is of a package that does."""
    held = _listed("pure", "source_modules")

    loose = {name for name, said in _docstrings() if re.search(r"\bPure\b", said) and not _stands_in(name, held)}
    assert loose == set()


def test_each_room_is_on_the_page_of_rooms() -> None:
    """docs/architecture.md says of every room, and of every file beside them, what it holds."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {word for word in _listed("rooms", "layers") if word != "|"} - {"__main__"}

    assert {room for room in rooms if not re.search(rf"`{room}(\.py)?`", page)} == set()


def _listed(contract: str, option: str) -> frozenset[str]:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    return frozenset(contracts[f"importlinter:contract:{contract}"][option].split())


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted((SERVICE / "lockgate").rglob("*.py")):
        name = ".".join(path.relative_to(SERVICE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.get_docstring(ast.parse(path.read_text())) or ""


def _stands_in(name: str, held: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in held for length in range(1, len(parts) + 1))
