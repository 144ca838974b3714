"""The settings that the pages on registries show are settings that the gate takes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lockgate.registry import parse_registries

_PAGES = Path(__file__).parents[2] / "docs" / "howto"


def shown(page: str) -> list[dict[str, Any]]:
    """Return the tables that a page shows."""
    texts = re.findall(r"```toml\n(.*?)```", (_PAGES / page).read_text(), re.DOTALL)
    return [table for text in texts for table in tomllib.loads(text)["registry"]]


@pytest.mark.parametrize(
    ("page", "kind"), [("connect-mlflow.md", "mlflow"), ("connect-kubeflow-hub.md", "kubeflow-hub")]
)
def test_an_example_is_taken_as_it_stands(page: str, kind: str) -> None:
    """What people copy works."""
    (registry,) = parse_registries(shown(page))

    assert registry.type == kind
    assert registry.aliases["production"] == "champion"


def test_the_examples_go_together() -> None:
    """One file may hold all of them."""
    tables = [*shown("connect-mlflow.md"), *shown("connect-kubeflow-hub.md")]

    assert len(parse_registries(tables)) == 2
