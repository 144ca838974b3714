"""A gate that people log in to, and their browsers."""

from pathlib import Path
from typing import Final

from lockgate.login.oauth_messages import Client
from lockgate.login.web_login import LoginSettings
from lockgate.policy.wasm import WasmEngine
from support.browsers import Browser
from support.gates import GateUnderTest, make_gate
from support.oidc_provider import CLIENT_ID, OIDCProvider

PUBLIC_URL: Final = "https://gate.example.org"


def login_settings(*, public_url: str = PUBLIC_URL, secret: str = "") -> LoginSettings:
    """Write settings; without a secret of a public client."""
    client = Client(client_id=CLIENT_ID, secret=secret, scopes=("openid", "email"))
    return LoginSettings(public_url=public_url, issuer="people", client=client)


def login_gate(
    folder: Path, engine: WasmEngine, provider: OIDCProvider, *, public_url: str = PUBLIC_URL, secret: str = ""
) -> GateUnderTest:
    """Make a gate that people log in to."""
    issuers = (provider.issuer_table(jwks_file=provider.write_keys(folder)),)
    gate = make_gate(folder, engine, issuers=issuers, login=login_settings(public_url=public_url, secret=secret))
    provider.clock = gate.clock
    return gate


def new_browser(gate: GateUnderTest, origin: str = PUBLIC_URL) -> Browser:
    """Start a browser of somebody's."""
    return Browser(gate.client.application.test_client(use_cookies=False), origin)
