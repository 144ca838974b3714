"""Fixtures of the evidence tests."""

from pathlib import Path

import pytest

from support.evidence import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a fresh virtual instance with its configuration folder."""
    return World(tmp_path)
