"""docs/limits.md says what the code does."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
# value, unit, module, constant, shown by
ROWS = re.findall(
    r"^\| [^|]+ \| ([0-9,]+)(?: (s|KiB|MiB))? \| (?:`([a-z_.]+):([A-Z0-9_]+)`)?[^|]* \| [^|]+ \| ([^|]+) \|$",
    PAGE,
    re.MULTILINE,
)
FACTORS = {"": 1, "s": 1, "KiB": 1024, "MiB": 1024 * 1024}
NS_PER_S = 10**9


def test_every_row_is_held_to_the_code() -> None:
    """Every row of every table has the form that the tests below read."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| limit", "| ---"))]

    assert len(ROWS) == len(rows)


@pytest.mark.parametrize("row", [row for row in ROWS if row[2]], ids=lambda row: f"{row[2]}:{row[3]}")
def test_a_limit_has_the_value_that_the_page_says(row: tuple[str, str, str, str, str]) -> None:
    """A constant cannot change without its row."""
    value, unit, module, name, _ = row
    package = "" if module.startswith("lockgate_mlflow_guard.") else "lockgate."
    constant = getattr(importlib.import_module(package + module), name)
    factor = NS_PER_S if name.endswith("_NS_MAX") else FACTORS[unit]

    assert constant == int(value.replace(",", "")) * factor


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[2]}:{row[3]}" if row[3] else row[0])
def test_a_limit_names_a_test_that_is_there(row: tuple[str, str, str, str, str]) -> None:
    """Each is shown by something."""
    root = Path(__file__).parents[2]
    named = re.findall(r"`(tests/[a-z0-9_/.]+)`", row[4])

    assert named or row[4].strip() == "same"
    assert all((root / path).exists() for path in named)
