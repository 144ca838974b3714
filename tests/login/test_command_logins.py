"""Logging in from a command: by the browser of this machine, and by a code that is entered on another one."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from lockgate.clock import NS_PER_S
from lockgate.login.device import DEVICE_S_MAX, DeviceCode, log_in_by_device
from lockgate.login.errors import (
    AuthorizedPartyError,
    CallbackInvalidError,
    CodeRefusedError,
    IssuerMismatchError,
    LoginDeclinedError,
    LoginError,
    LoginExpiredError,
    NonceMismatchError,
    ProviderInvalidError,
    ProviderUnavailableError,
)
from lockgate.login.loopback import log_in_by_browser
from lockgate.login.oauth_messages import Client
from lockgate.login.provider_client import Peer
from support.clocks import START, FixedClock
from support.gate_server import Reply, json_reply
from support.oidc_provider import CLIENT_ID, USER_CODE, OIDCProvider, serve_provider, token_claims

CLIENT = Client(client_id=CLIENT_ID, secret="", scopes=("openid", "email"))


@pytest.fixture
def provider() -> Iterator[OIDCProvider]:
    """A provider."""
    with serve_provider(clock=FixedClock()) as running:
        yield running


class Person:
    """Somebody who is sent to an address, and does something there, in a browser that is not ours."""

    def __init__(self, act: Callable[[str], Any] | None = None) -> None:
        self.pages: list[Any] = []
        self._act = act or (lambda url: [requests.get(url, timeout=10)])
        self._thread: threading.Thread | None = None

    def __call__(self, url: str) -> None:
        """Be sent there."""
        self._thread = threading.Thread(target=lambda: self.pages.extend(self._act(url)))
        self._thread.start()

    def done(self) -> list[Any]:
        """Wait until they have, and return the pages that they saw."""
        assert self._thread is not None
        self._thread.join(10)
        return self.pages


def redirect_of(url: str) -> str:
    """Return where an authorization request has the browser come back to."""
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


def by_browser(provider: OIDCProvider, person: Person, wait_s: float = 5) -> dict[str, Any]:
    """Log in, and return what the token claims."""
    return token_claims(log_in_by_browser(Peer(issuer=provider.url), CLIENT, person, wait_s).id_token)


def test_a_browser_comes_back_to_this_machine(provider: OIDCProvider) -> None:
    """By PKCE, to a port that is new each time; the page says where to go on, and tells nobody the code."""
    ports = set()
    for _ in range(2):
        person = Person()
        assert by_browser(provider, person)["email"] == "ann@example.org"
        (page,) = person.done()
        assert (page.status_code, "go back to the command line" in page.text) == (200, True)
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        parts = urlsplit(page.url)
        assert (parts.hostname, parts.path) == ("127.0.0.1", "/callback")
        ports.add(parts.port)
        with pytest.raises(requests.ConnectionError):
            requests.get(page.url, timeout=2)

    assert len(ports) == 2
    assert provider.paths().count("/token") == 2


def test_what_others_send_there_changes_nothing(provider: OIDCProvider) -> None:
    """A page that guesses the port, a browser that connects ahead and says nothing, junk; then the answer itself."""

    def act(url: str) -> list[Any]:
        back = redirect_of(url)
        address = urlsplit(back)
        idle = socket.create_connection((address.hostname or "", address.port or 0))
        junk = socket.create_connection((address.hostname or "", address.port or 0))
        junk.sendall(b"\x16\x03\x01\x00\xee\r\n\r\n")
        others = [
            requests.get(back.replace("/callback", path), timeout=5)
            for path in ("/", "/favicon.ico", "/callback", "/callback?code=evil&state=x", "/callback?error=x&state=x")
        ]
        others.append(requests.get(back + "?" + "&".join(f"a{n}=1" for n in range(99)), timeout=5))
        pages = [*others, requests.get(url, timeout=5)]
        idle.close()
        junk.close()
        return pages

    person = Person(act)
    assert by_browser(provider, person)["sub"] == "ann-7"
    assert [page.status_code for page in person.done()] == [404, 404, 400, 400, 400, 400, 200]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect": {"iss": "https://evil.example"}}, IssuerMismatchError),
        ({"redirect": {"iss": None}}, IssuerMismatchError),
        ({"redirect": {"code": None}}, CallbackInvalidError),
        ({"redirect": {"code": None, "error": "access_denied"}}, LoginDeclinedError),
        ({"redirect": {"code": "of-somebody-else"}}, CodeRefusedError),
        ({"claims": {"nonce": "of-another-login"}}, NonceMismatchError),
        ({"claims": {"azp": "another-client"}}, AuthorizedPartyError),
        ({"secret": "wants one"}, CodeRefusedError),
        ({"replies": {"/token": Reply(body=b"<html>", content_type="text/html")}}, ProviderInvalidError),
        ({"replies": {"/token": json_reply({"access_token": "x"})}}, ProviderInvalidError),
        ({"replies": {"/token": json_reply({"id_token": "x.y.z"})}}, ProviderInvalidError),
        ({"replies": {"/token": Reply(status=500)}}, ProviderUnavailableError),
        ({"replies": {"/.well-known/openid-configuration": Reply(status=404)}}, ProviderUnavailableError),
        ({"discovery": {"issuer": "https://evil.example"}}, ProviderInvalidError),
    ],
    ids=[
        "another provider's answer",
        "nobody's answer",
        "no code",
        "the person said no",
        "a stolen code",
        "another login's token",
        "another client's token",
        "a client that needs a secret",
        "no JSON",
        "no ID token",
        "an ID token that is none",
        "an endpoint out of order",
        "no discovery",
        "another issuer's discovery",
    ],
)
def test_what_goes_wrong_has_a_name(provider: OIDCProvider, changes: dict[str, Any], error: type[LoginError]) -> None:
    """Each misbehaviour of a provider ends the login with its own error."""
    for name, value in changes.items():
        setattr(provider, name, value)
    with pytest.raises(LoginError) as caught:
        by_browser(provider, Person())

    assert type(caught.value) is error
    assert ("public client" in str(caught.value)) == bool(provider.secret)


def test_nobody_comes_back(provider: OIDCProvider) -> None:
    """A window that was closed ends the command, some time."""
    with pytest.raises(LoginExpiredError):
        by_browser(provider, Person(lambda _url: []), wait_s=0.1)


class Waiting:
    """Time that passes by waiting alone."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.waited: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Wait."""
        self.waited.append(seconds)
        self.clock.advance(int(seconds * NS_PER_S))


def by_device(provider: OIDCProvider) -> tuple[dict[str, Any], list[float], DeviceCode]:
    """Log in; return what the token claims, how long was waited each time, and what the person was shown."""
    clock = FixedClock(START)
    waiting, shown = Waiting(clock), list[DeviceCode]()
    tokens = log_in_by_device(Peer(issuer=provider.url), CLIENT, shown.append, clock, waiting)
    return token_claims(tokens.id_token), waiting.waited, shown[0]


def test_a_device_asks_until_the_code_is_entered(provider: OIDCProvider) -> None:
    """At the provider's pace, and slower each time that it says so."""
    provider.polls = ["authorization_pending", "slow_down", "authorization_pending", "slow_down"]
    claims, waited, shown = by_device(provider)

    assert claims["email"] == "ann@example.org"
    assert waited == [1, 1, 6, 6, 11]
    assert (shown.user_code, shown.address) == (USER_CODE, f"{provider.url}/enter")
    assert shown.code not in repr(shown)


@pytest.mark.parametrize(
    ("given", "waited", "expires_s"),
    [
        ({"interval": None}, 5, 600),
        ({"interval": 0}, 1, 600),
        ({"interval": 10**9}, 60, 600),
        ({"expires_in": 10**9}, 1, DEVICE_S_MAX),
    ],
)
def test_the_pace_has_bounds(provider: OIDCProvider, given: dict[str, Any], waited: int, expires_s: int) -> None:
    """Whatever the provider says."""
    provider.device = given
    _, times, shown = by_device(provider)

    assert (times, shown.expires_s) == ([waited], expires_s)


def test_a_provider_that_is_away_is_asked_less_often(provider: OIDCProvider) -> None:
    """Until the code has run out."""
    provider.device = {"expires_in": 60}
    provider.replies = {"/token": Reply(status=503)}
    with pytest.raises(LoginExpiredError):
        by_device(provider)

    assert provider.paths().count("/token") == 5  # after 1, 3, 7, 15 and 31 s


@pytest.mark.parametrize(
    ("polls", "error"),
    [
        (["authorization_pending", "access_denied"], LoginDeclinedError),
        (["expired_token"], LoginExpiredError),
        (["authorization_pending"] * 700, LoginExpiredError),
        (["invalid_grant"], CodeRefusedError),
        (["what is this?"], CodeRefusedError),
    ],
)
def test_a_device_that_is_refused(provider: OIDCProvider, polls: list[str], error: type[LoginError]) -> None:
    """By the person, by time, or for another reason."""
    provider.polls = polls
    with pytest.raises(LoginError) as caught:
        by_device(provider)

    assert type(caught.value) is error
    assert "what is this" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"device_code": None},
        {"device_code": 7},
        {"user_code": None},
        {"user_code": "\x1b[2J"},
        {"user_code": "x" * 65},
        {"verification_uri": None},
        {"verification_uri": "http://evil.example/enter"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://user:secret@evil.example"},
        {"verification_uri": "https://evil.example/\n"},
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": "600"},
        {"interval": 1.5},
        {"interval": True},
    ],
)
def test_a_device_answer_that_cannot_be_used(provider: OIDCProvider, given: dict[str, Any]) -> None:
    """Nothing of it is shown to the person."""
    provider.device = given
    with pytest.raises(ProviderInvalidError):
        by_device(provider)


def test_a_provider_that_knows_no_devices(provider: OIDCProvider) -> None:
    """It says so before anybody waits."""
    provider.discovery = {"device_authorization_endpoint": None}
    with pytest.raises(ProviderInvalidError, match="without --device"):
        by_device(provider)

    provider.discovery = {}
    provider.replies = {"/device": json_reply({"error": "unauthorized_client"}, status=400)}
    with pytest.raises(CodeRefusedError):
        by_device(provider)


def test_a_slow_provider_is_not_waited_for(provider: OIDCProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole answer comes in time, or none."""
    monkeypatch.setattr("lockgate.login.provider_client.TIMEOUT_S", 0.3)
    provider.token_delay_s = 1
    began = time.monotonic()
    with pytest.raises(ProviderUnavailableError):
        by_browser(provider, Person())

    assert time.monotonic() - began < 1
