"""What the tests of logins share: a provider, a gate that people log in to with it, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.policy.wasm import WasmEngine
from support.browsers import Browser
from support.clocks import FixedClock
from support.gates import GateUnderTest
from support.logins import login_gate, new_browser
from support.oidc_provider import OIDCProvider, serve_provider


@pytest.fixture
def provider() -> Iterator[OIDCProvider]:
    """A provider whose time is the gate's."""
    with serve_provider(clock=FixedClock()) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, provider: OIDCProvider) -> GateUnderTest:
    """A gate that people log in to."""
    return login_gate(tmp_path, engine, provider)


@pytest.fixture
def browser(gate: GateUnderTest) -> Browser:
    """Ann's browser."""
    return new_browser(gate)
