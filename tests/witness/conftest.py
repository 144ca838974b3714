"""A witness of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.witnesses import WitnessStand, make_witness_stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[WitnessStand]:
    """A witness that follows one log and has cosigned nothing."""
    made = make_witness_stand(tmp_path)
    yield made
    made.engine.dispose()
