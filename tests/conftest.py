"""What tests of every room share."""

import os
from pathlib import Path

import pytest

from lockgate.policy.opa_binary import OPA_VERSION, find_opa


@pytest.fixture(scope="session")
def opa_binary() -> Path:
    """The pinned OPA; without it the test is skipped, or fails where CI must have it."""
    opa = find_opa()
    if opa is not None:
        return opa
    reason = f"OPA {OPA_VERSION} is neither in .tools/bin nor on PATH; run `make tools`"
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)
