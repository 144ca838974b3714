"""The topology of docker-compose.yml, once for all tests that look at it from outside."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.topology import Topology, TopologyError, find_programs, running_topology
from support.topology_walk import Walk


@pytest.fixture(scope="session")
def topology(opa_binary: Path) -> Iterator[Topology]:
    """Everything, running and healthy; without PostgreSQL's programs skipped, or failed where CI must have them."""
    try:
        programs = find_programs()
    except TopologyError as exc:
        if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
            pytest.fail(str(exc))
        pytest.skip(str(exc))
    with running_topology(programs, opa_binary) as running:
        yield running


@pytest.fixture(scope="session")
def walk(topology: Topology) -> Walk:
    """The people at its gates."""
    return Walk(topology)
