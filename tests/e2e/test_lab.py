"""The lab where there is no MLflow; with one, `make lab` runs it in CI."""

import io

import pytest
from rich.console import Console

from support.lab import run_lab


@pytest.mark.slow
def test_the_built_in_registry_stands_in_for_mlflow() -> None:
    """It walks to the end and says loudly which steps it does not show."""
    told = io.StringIO()

    run_lab(Console(file=told, width=120), "builtin")

    assert "THE BUILT-IN REGISTRY STANDS IN FOR MLFLOW" in told.getvalue()
    assert told.getvalue().count("NOT SHOWN") == 3
    assert told.getvalue().count("proved:") >= 9
    assert "Done: every step proved what it should." in told.getvalue()
