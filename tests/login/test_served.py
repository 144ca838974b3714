"""A gate under `lockgate serve` that people log in to, by a browser and from the command line."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from lockgate.demo.stage import Finished
from support.oidc_provider import CLIENT_ID, USER_CODE, OIDCProvider, serve_provider
from support.served_gates import ServedGate, make_served_gate

BROWSER = """\
import sys
import requests
page = requests.get(sys.argv[1], timeout=10)
assert "command line" in page.text, page.text
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The gate, the provider, and one person's machine."""

    gate: ServedGate
    provider: OIDCProvider
    home: Path

    def run(self, *arguments: str, **variables: str) -> Finished:
        """Run a command as that person, who has no token."""
        own = {
            "LOCKGATE_URL": self.gate.url,
            "LOCKGATE_LOG_KEY": self.gate.log_key,
            "XDG_CONFIG_HOME": str(self.home),
            "BROWSER": f"{sys.executable} {self.home / 'browser.py'} %s",
        }
        stage = replace(self.gate.stage, environment={})
        return stage.run(arguments, {**own, **variables})

    @property
    def credentials(self) -> Path:
        """Where the login is kept."""
        return self.home / "lockgate" / "credentials.json"


def toml(provider: OIDCProvider) -> str:
    """Write the settings that trust the provider, whose keys are fetched."""
    return f"""
[[issuer]]
name = "people"
kind = "other"
url = "{provider.url}"
audience = "{CLIENT_ID}"
private_network = true
[[issuer.rule]]
claims = {{ email_verified = true, groups = "leads" }}
principal = "{{email}}"
type = "user"
roles = ["approver:ml-lead"]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served gate whose people log in."""
    folder, home = tmp_path_factory.mktemp("gate"), tmp_path_factory.mktemp("home")
    with serve_provider(secret="") as provider:
        gate = make_served_gate(folder)
        (folder / "lockgate.toml").write_text(toml(provider))
        (home / "browser.py").write_text(BROWSER)
        variables = {
            **gate.stage.environment,
            "LOCKGATE_CONFIG": str(folder / "lockgate.toml"),
            "LOCKGATE_PUBLIC_URL": gate.url,
            "LOCKGATE_LOGIN_ISSUER": "people",
            "LOCKGATE_LOGIN_CLIENT_ID": CLIENT_ID,
            "LOCKGATE_LOGIN_SCOPES": "email groups",
        }
        gate = replace(gate, stage=replace(gate.stage, environment=variables))
        with gate.serving():
            wait_for_keys(gate, provider)
            yield Served(gate=gate, provider=provider, home=home)


def wait_for_keys(gate: ServedGate, provider: OIDCProvider) -> None:
    """Wait until the gate has fetched the provider's keys, in the background."""
    headers = {"Authorization": f"Bearer {provider.id_token()}"}
    for _ in range(100):
        if requests.get(f"{gate.url}/v1/me", headers=headers, timeout=10).status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError("the gate did not fetch the keys")


def test_what_programs_are_told(served: Served) -> None:
    """Whoever asks learns with whom to log in, and no secret."""
    answer: Mapping[str, Any] = requests.get(f"{served.gate.url}/v1/login", timeout=10).json()

    assert answer == {"issuer": served.provider.url, "client_id": CLIENT_ID, "scopes": ["openid", "email", "groups"]}


def test_a_browser_walks_in_and_out(served: Served) -> None:
    """Over HTTP, with redirects and cookies as a real client follows them."""
    with requests.Session() as browser:
        landed = browser.get(f"{served.gate.url}/login", timeout=10)
        assert landed.status_code == 200, landed.text
        assert landed.url.startswith(f"{served.gate.url}/login/callback?")
        home = browser.get(served.gate.url, timeout=10)
        assert "You are <strong>ann@example.org</strong>" in home.text
        out = browser.post(f"{served.gate.url}/logout", headers={"Origin": served.gate.url}, timeout=10)
        assert (out.status_code, out.url) == (401, f"{served.gate.url}/")
        assert not browser.cookies


def test_a_command_logs_in_and_approves(served: Served) -> None:
    """By the browser of the machine; then every command knows who asks; then out."""
    done = served.run("login")
    assert done.exit_code == 0, done.stderr
    assert "logged in as ann@example.org (approver:ml-lead) until " in done.stderr
    assert done.stdout == ""
    assert served.credentials.stat().st_mode & 0o777 == 0o600
    token = served.credentials.read_text().split('"token": "')[1].split('"')[0]
    assert token.count(".") == 2
    assert token not in done.stderr

    asked = requests.post(
        f"{served.gate.url}/v1/promotions",
        json=served.gate.request_document("1.0.0"),
        headers=served.gate.headers("rita"),
        timeout=30,
    )
    assert asked.status_code == 202, asked.text
    approved = served.run("approve", asked.json()["promotion"]["id"], "--role", "ml-lead", "--yes")
    assert approved.exit_code == 4, approved.stderr

    out = served.run("logout")
    assert (out.exit_code, token in served.credentials.read_text()) == (0, False)
    assert "or 'lockgate login' first" in served.run("whoami").stderr


def test_a_command_logs_in_by_a_device(served: Served) -> None:
    """With a code that is entered elsewhere."""
    served.provider.polls = ["authorization_pending"]
    done = served.run("login", "--device")

    assert done.exit_code == 0, done.stderr
    assert f"open\n  {served.provider.url}/enter\nin any browser, and enter\n  {USER_CODE}\n" in done.stderr
    who = served.run("whoami")
    assert who.stdout.startswith("ann@example.org (user, by the issuer people): approver:ml-lead, until ")


def test_a_login_that_is_declined_ends(served: Served) -> None:
    """With the reason, and without a token."""
    served.provider.redirect = {"code": None, "error": "access_denied"}
    try:
        done = served.run("login")
    finally:
        served.provider.redirect = {}

    assert done.exit_code == 3
    assert "login.declined" in done.stderr
    assert f"{served.provider.url}/authorize?" in done.stderr


def test_nothing_secret_is_in_the_log(served: Served) -> None:
    """No code, no token, no state, no secret, whatever was asked on the way."""
    requests.get(f"{served.gate.url}/login/callback?code=canary-code&state=canary-state", timeout=10)
    log = (served.gate.stage.folder / "gate.log").read_text()

    assert "/login/callback" in log
    for secret in ("canary", "code=", "state=", "lgt_", "eyJ", "ann@example.org"):
        assert secret not in log
