"""A fresh log for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audit_logs import LogStand, make_stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[LogStand]:
    """A log with nothing but its genesis record."""
    made = make_stand(tmp_path)
    yield made
    made.engine.dispose()
