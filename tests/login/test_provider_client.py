"""What the provider says and how it is asked: every limit, and what a provider that misbehaves costs."""

import json
import string
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.clock import NS_PER_S
from lockgate.login.attempts import Attempt, begin_attempt, parse_attempt, read_callback
from lockgate.login.errors import LoginError, ProviderInvalidError, ProviderUnavailableError
from lockgate.login.id_token_checks import read_claims
from lockgate.login.provider_client import FRESH_S, RETRY_S, Peer, ProviderCache
from lockgate.login.providers import Provider, is_safe_url, parse_provider
from lockgate.policy.wasm import WasmEngine
from support.browsers import Browser, code_of
from support.clocks import FixedClock
from support.gate_server import Reply, json_reply
from support.gates import GateUnderTest, make_gate
from support.logins import login_gate, login_settings, new_browser
from support.oidc_provider import OIDCProvider

ISSUER = "https://login.example.org"
DISCOVERY = "/.well-known/openid-configuration"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def document(**changes: Any) -> bytes:
    """Write a discovery document; a change to None removes a member."""
    members = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
        "token_endpoint": "https://tokens.example.org/token",
        **changes,
    }
    return orjson.dumps({name: value for name, value in members.items() if value is not None})


def test_a_provider_is_read() -> None:
    """Its endpoints may be on other hosts; what it does not say has the standard's meaning."""
    provider = parse_provider(document(), ISSUER)

    assert provider == Provider(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize?tenant=1",
        token_endpoint="https://tokens.example.org/token",
        device_endpoint=None,
        names_itself=False,
        takes_basic=True,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": None},
        {"issuer": ISSUER + "/"},
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": 7},
        {"authorization_endpoint": "/authorize"},
        {"authorization_endpoint": "http://login.example.org/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://login.example.org/authorize#here"},
        {"authorization_endpoint": "https://login.example.org/\r\nSet-Cookie:x=y"},
        {"token_endpoint": None},
        {"token_endpoint": "http://127.0.0.1/token"},
        {"token_endpoint": "https://user:secret@login.example.org/token"},
        {"token_endpoint": "https://login.example.org/" + "x" * 2048},
        {"device_authorization_endpoint": "ftp://login.example.org/device"},
    ],
)
def test_a_document_that_cannot_be_used(changes: dict[str, Any]) -> None:
    """Of another issuer, without what is needed, or with an address that nobody is sent to."""
    with pytest.raises(ProviderInvalidError):
        parse_provider(document(**changes), ISSUER)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_break_the_reading(data: bytes) -> None:
    """Of a discovery document or of a token's claims."""
    with pytest.raises(LoginError):
        parse_provider(data, ISSUER)
    with pytest.raises(LoginError):
        read_claims(data.decode("latin-1"))


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60) | st.from_regex(r"https?://[a-z.:0-9\[\]]{0,20}/?.{0,20}"))
def test_a_safe_url_is_https_and_plain(url: str) -> None:
    """Whatever comes, what is taken can be shown, and sent to a browser in a header."""
    if is_safe_url(url, ISSUER):
        assert url.startswith("https://")
        assert set(url) <= set(string.ascii_letters + string.digits + string.punctuation)
        assert not set(url) & set(' "<>#')


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["state", "iss", "code", "error", "x"]), st.lists(st.text(max_size=50), max_size=3))
)
def test_no_callback_without_the_state_is_a_code(parameters: dict[str, list[str]]) -> None:
    """Whatever the query holds."""
    with pytest.raises(LoginError):
        read_callback(begin_attempt(), parse_provider(document(), ISSUER), parameters)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=50))
def test_an_attempt_has_one_form(secret: str) -> None:
    """43 characters of base64url, and nothing else."""
    attempt = parse_attempt(secret)
    if attempt is not None:
        assert len(secret) == 43
        assert set(secret) <= set(string.ascii_letters + string.digits + "-_")


def test_an_attempt_shows_no_secret() -> None:
    """Not in a traceback, either."""
    attempt = begin_attempt()

    assert attempt.secret not in repr(attempt)
    assert parse_attempt(attempt.secret) == attempt
    assert parse_attempt(None) is None
    assert len({attempt.state, attempt.nonce, attempt.code_verifier, attempt.secret}) == 4
    assert Attempt(secret="x" * 43).state == Attempt(secret="x" * 43).state


def test_the_provider_is_asked_once_an_hour(provider: OIDCProvider) -> None:
    """And in between nobody waits for it; what it said last stands while it says nothing, or nonsense."""
    clock = FixedClock()
    cache, peer = ProviderCache(clock), Peer(issuer=provider.url)
    known = cache.get(peer)
    assert cache.get(peer) is known
    assert provider.paths() == [DISCOVERY]
    clock.advance(FRESH_S * NS_PER_S)
    assert cache.get(peer) == known
    for broken in (Reply(status=500), Reply(body=b"{}"), Reply(body=b"x" * 70_000), Reply(status=302)):
        provider.replies = {DISCOVERY: broken}
        clock.advance(FRESH_S * NS_PER_S)
        assert [cache.get(peer), cache.get(peer)] == [known, known]
    assert provider.paths() == [DISCOVERY] * 6


def test_a_provider_that_is_away_is_not_asked_by_everybody(provider: OIDCProvider) -> None:
    """Once in ten seconds; whoever comes in between is told to come again."""
    clock = FixedClock()
    cache, peer = ProviderCache(clock), Peer(issuer=provider.url)
    provider.replies = {DISCOVERY: Reply(status=503)}
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            cache.get(peer)
    assert provider.paths() == [DISCOVERY]
    provider.replies = {}
    clock.advance(RETRY_S * NS_PER_S)
    assert cache.get(peer).issuer == provider.url


def test_another_issuer_is_asked_at_once(provider: OIDCProvider, tmp_path: Path) -> None:
    """After a reload nobody is sent to the one of before."""
    cache, peer = ProviderCache(FixedClock()), Peer(issuer=provider.url)
    cache.get(peer)
    provider.replies = {DISCOVERY: Reply(status=503)}
    with pytest.raises(ProviderUnavailableError):
        cache.get(Peer(issuer=provider.url, ca_file=tmp_path))


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(status=500, body=b"secret"), 503, "login.provider_unavailable"),
        (Reply(status=429), 503, "login.provider_unavailable"),
        (Reply(body=b"x" * 70_000), 503, "login.provider_unavailable"),
        (Reply(body=b"<html>", content_type="text/html"), 503, "login.provider_invalid"),
        (Reply(status=302, headers=(("Location", "/elsewhere"),)), 503, "login.provider_invalid"),
        (json_reply([]), 503, "login.provider_invalid"),
        (json_reply({"access_token": "x"}), 503, "login.provider_invalid"),
        (json_reply({"id_token": ["x"]}), 503, "login.provider_invalid"),
        (json_reply({"id_token": "a.b.c", "access_token": 1}), 503, "login.provider_invalid"),
        (json_reply({"error": "invalid_client"}, status=401), 503, "login.provider_invalid"),
        (json_reply({"error": "<script>"}, status=400), 401, "login.code_refused"),
        (json_reply({}, status=400), 401, "login.code_refused"),
        (json_reply({"id_token": "a.b.c"}), 401, "login.token_refused"),
        (json_reply({"id_token": "lgt_" + "x" * 43}), 401, "login.token_refused"),
    ],
    ids=range(14),
)
def test_an_answer_that_is_no_token(
    browser: Browser, provider: OIDCProvider, reply: Reply, status: int, code: str
) -> None:
    """Each has its code, and nothing of it is repeated."""
    way = browser.leave()
    provider.replies = {"/token": reply}
    page = browser.come_back(way)

    assert (page.status_code, code_of(page)) == (status, code)
    assert "script" not in page.text
    assert "secret" not in page.text
    assert "/elsewhere" not in provider.paths()


@pytest.mark.parametrize("methods", [None, ["client_secret_basic"], ["client_secret_post"], ["private_key_jwt"]])
def test_a_client_with_a_secret(
    tmp_path: Path, engine: WasmEngine, provider: OIDCProvider, methods: list[str] | None
) -> None:
    """In a header, or in the body where the provider takes it there alone; with characters that must be encoded."""
    provider.secret = "s+/ %&é=:"
    provider.discovery = {"token_endpoint_auth_methods_supported": methods}
    right = new_browser(login_gate(tmp_path, engine, provider, secret=provider.secret))

    assert right.log_in().status_code == 200


def test_a_client_with_a_wrong_secret(tmp_path: Path, engine: WasmEngine, provider: OIDCProvider) -> None:
    """Is the operator's to mend, not the person's; the secret is in no page."""
    provider.secret = "right"
    page = new_browser(login_gate(tmp_path, engine, provider, secret="wrong-secret")).log_in()

    assert (page.status_code, code_of(page)) == (503, "login.provider_invalid")
    assert "wrong-secret" not in page.text
    assert "wrong-secret" not in repr(login_settings(secret="wrong-secret"))


def test_a_provider_on_a_private_network_must_be_allowed(
    tmp_path: Path, engine: WasmEngine, provider: OIDCProvider
) -> None:
    """The connection itself is looked at: a name that leads into the network is not followed."""
    table = provider.issuer_table(jwks_file=provider.write_keys(tmp_path), private_network=False)
    gate = make_gate(tmp_path, engine, issuers=(table,), login=login_settings())
    page = new_browser(gate).open("/login")

    assert (page.status_code, code_of(page)) == (503, "login.provider_unavailable")
    assert provider.calls == []


def test_a_slow_provider_takes_no_thread_from_decisions(
    gate: GateUnderTest, provider: OIDCProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two logins wait, and no longer than they may; a third is told to come again, and calls are answered."""
    monkeypatch.setattr("lockgate.login.provider_client.TIMEOUT_S", 1.0)
    provider.token_delay_s = 1.5
    browsers = [new_browser(gate) for _ in range(3)]
    ways = [browser.leave() for browser in browsers]
    pages: list[Any] = []
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda browser=browser, way=way: pages.append(browser.come_back(way)))
        for browser, way in zip(browsers[:2], ways[:2], strict=True)
    ]
    for thread in threads:
        thread.start()
    while provider.paths().count("/token") < 2:
        time.sleep(0.01)
    busy = browsers[2].come_back(ways[2])
    call = gate.call("POST", "/v1/decisions:dry-run", "rita", gate.request_document())
    answered_s = time.monotonic() - began
    for thread in threads:
        thread.join()

    assert (busy.status_code, code_of(busy)) == (503, "login.busy")
    assert (call.status_code, answered_s < 1) == (200, True)
    assert [(page.status_code, code_of(page)) for page in pages] == [(503, "login.provider_unavailable")] * 2
    provider.token_delay_s = 0
    assert browsers[2].log_in().status_code == 200
