"""The settings that the page on CI shows are settings that the gate takes."""

import re
import tomllib
from pathlib import Path

import pytest

from lockgate.identity import parse_issuers

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "connect-ci.md").read_text()
TABLES = [
    table for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) for table in tomllib.loads(text)["issuer"]
]


def test_the_page_shows_every_known_issuer() -> None:
    """One example each."""
    assert [table["kind"] for table in TABLES] == ["github", "gitlab", "kubernetes", "google", "buildkite"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table["kind"]))
def test_an_example_is_taken_as_it_stands(table: dict[str, object]) -> None:
    """What people copy works, alone and beside the others."""
    assert len(parse_issuers([table])) == 1


def test_the_examples_go_together() -> None:
    """One file may hold all of them."""
    assert len(parse_issuers(TABLES)) == len(TABLES)
