"""What comes back to `/login/callback`, well and ill: each attack ends with its own code, and without a session."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.administration import PRINCIPAL, TOKEN
from lockgate.policy.wasm import WasmEngine
from support.browsers import Browser, code_of
from support.gates import GateUnderTest, make_gate
from support.issuers import SigningKey, ec_key, rsa_key
from support.logins import login_settings, new_browser
from support.oidc_provider import OIDCProvider

OTHER = rsa_key("key-of-nobody")


def refused(browser: Browser, page: Any, status: int, code: str) -> None:
    """Make sure that a way in ended, with the status and code, and that nobody is in."""
    assert (page.status_code, code_of(page)) == (status, code)
    assert not any(name == "__Host-lockgate" for name in browser.cookies)
    assert browser.open("/").status_code == 401


def changed(way: str, name: str, value: str) -> str:
    """Return a way back with one parameter changed; without it where the value is ""."""
    path, _, query = way.partition("?")
    kept = [part for part in query.split("&") if not part.startswith(f"{name}=")]
    return f"{path}?{'&'.join([*kept, *([f'{name}={value}'] if value else [])])}"


def value_of(way: str, name: str) -> str:
    """Return one parameter of a way back."""
    return way.partition(f"{name}=")[2].partition("&")[0]


def test_who_began_nothing_has_no_state(gate: GateUnderTest, browser: Browser, provider: OIDCProvider) -> None:
    """Login CSRF: a link with the attacker's own code logs nobody in, and the provider is not asked."""
    attacker = new_browser(gate)
    way = attacker.leave()
    page = browser.come_back(way)

    refused(browser, page, 400, "login.state_missing")
    assert "/token" not in provider.paths()


def test_the_answer_to_another_login_is_refused(gate: GateUnderTest, browser: Browser, provider: OIDCProvider) -> None:
    """Login CSRF against somebody who is just logging in; their own login is over, too, and begins anew."""
    browser.leave()
    page = browser.come_back(new_browser(gate).leave())

    refused(browser, page, 400, "login.state_mismatch")
    assert "/token" not in provider.paths()
    assert browser.cookies == {}


@pytest.mark.parametrize("state", ["", "x", "%00", "A" * 43, "%F0%9F%92%A9"])
def test_a_wrong_state_is_refused(browser: Browser, state: str) -> None:
    """None, a short one, bytes, one of the right length."""
    refused(browser, browser.come_back(changed(browser.leave(), "state", state)), 400, "login.state_mismatch")


@pytest.mark.parametrize("name", ["state", "code", "iss"])
def test_a_repeated_parameter_is_refused(browser: Browser, name: str) -> None:
    """Nobody says which of them counts."""
    way = browser.leave()
    refused(browser, browser.come_back(f"{way}&{name}={value_of(way, name)}"), 400, "login.callback_invalid")


@pytest.mark.parametrize("code", ["", "%0A", "%7F", "a" * 3073])
def test_what_is_no_code_is_refused(browser: Browser, code: str) -> None:
    """Before it is sent to anybody."""
    refused(browser, browser.come_back(changed(browser.leave(), "code", code)), 400, "login.callback_invalid")


def test_a_callback_counts_once(browser: Browser) -> None:
    """The same address again, by "back" or from the browser's history, logs nobody in."""
    way = browser.leave()
    assert browser.come_back(way).status_code == 200
    browser.open("/logout", "POST")

    refused(browser, browser.come_back(way), 400, "login.state_missing")


def test_a_replayed_code_is_refused(browser: Browser) -> None:
    """Also with a copy of the cookie: the provider takes a code once."""
    way = browser.leave()
    stolen = dict(browser.cookies)
    assert browser.come_back(way).status_code == 200
    browser.cookies = stolen

    refused(browser, browser.come_back(way), 401, "login.code_refused")


def test_a_code_of_somebody_else_is_refused(gate: GateUnderTest, browser: Browser) -> None:
    """Code injection: the attacker puts a stolen code into the answer to their own login; PKCE gives them away."""
    stolen = value_of(browser.leave(), "code")
    attacker = new_browser(gate)

    refused(attacker, attacker.come_back(changed(attacker.leave(), "code", stolen)), 401, "login.code_refused")


@pytest.mark.parametrize("nonce", [None, "", "x", 7, "é"])
def test_a_token_for_another_login_is_refused(
    gate: GateUnderTest, browser: Browser, provider: OIDCProvider, nonce: object
) -> None:
    """Whatever the provider puts in the nonce's place; nobody was made a principal by it."""
    provider.claims = {"nonce": nonce}

    refused(browser, browser.log_in(), 401, "login.nonce_mismatch")
    assert gate.records(PRINCIPAL) == []


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "another-client"}, "login.token_refused"),
        ({"aud": ["lockgate", "another-client"]}, "login.token_refused"),
        ({"iss": "https://evil.example"}, "login.token_refused"),
        ({"exp": 1}, "login.token_refused"),
        ({"sub": None}, "login.token_refused"),
        ({"groups": ["strangers"]}, "login.token_refused"),
        ({"email_verified": False}, "login.token_refused"),
        ({"azp": "another-client"}, "login.authorized_party"),
        ({"azp": ""}, "login.authorized_party"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "login.access_token_hash"),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(
    gate: GateUnderTest, browser: Browser, provider: OIDCProvider, claims: dict[str, Any], code: str
) -> None:
    """For another client, of another issuer, expired, of nobody, of somebody whom no rule knows; or mismatched."""
    provider.claims = claims

    refused(browser, browser.log_in(), 401, code)
    assert gate.records(TOKEN) == []


@pytest.mark.parametrize("key", [OTHER, SigningKey(kid="key-1", algorithm="RS256", private=OTHER.private), ec_key()])
def test_a_token_that_the_issuer_did_not_sign_is_refused(
    browser: Browser, provider: OIDCProvider, key: SigningKey
) -> None:
    """With a key of nobody's, under its own name or the issuer's."""
    way = browser.leave()
    provider.key = key
    page = browser.come_back(way)

    assert page.status_code in {401, 503}  # an unknown key is looked for once more
    assert code_of(page) in {"login.token_refused", "identity.issuer_unavailable"}
    assert browser.open("/").status_code == 401


def test_a_token_of_another_issuer_of_ours_is_refused(
    tmp_path: Path, engine: WasmEngine, provider: OIDCProvider
) -> None:
    """A token that is good for calls, since one provider serves machines, too, for another audience, is no login."""
    keys = provider.write_keys(tmp_path)
    people = provider.issuer_table(jwks_file=keys)
    machines = provider.issuer_table(jwks_file=keys, name="machines", audience="machines")
    gate = make_gate(tmp_path, engine, issuers=(people, machines), login=login_settings())
    provider.clock = gate.clock
    provider.claims = {"aud": "machines"}
    browser = new_browser(gate)
    assert browser.open("/v1/me", Authorization=f"Bearer {provider.id_token()}").json["issuer"] == "machines"

    refused(browser, browser.log_in(), 401, "login.token_refused")
    assert gate.records(TOKEN) == []


@pytest.mark.parametrize("iss", ["https://evil.example", "", None, "HTTP://127.0.0.1"])
def test_another_providers_answer_is_refused(browser: Browser, provider: OIDCProvider, iss: str | None) -> None:
    """Mix-up (RFC 9207): the answer names another provider, or none though this one always names itself."""
    provider.redirect = {"iss": iss}

    refused(browser, browser.log_in(), 400, "login.issuer_mismatch")
    assert "/token" not in provider.paths()


def test_a_provider_need_not_name_itself(browser: Browser, provider: OIDCProvider) -> None:
    """Most do not; but what they say must be true."""
    provider.discovery = {"authorization_response_iss_parameter_supported": None}
    provider.redirect = {"iss": None}
    assert browser.log_in().status_code == 200

    provider.redirect = {"iss": "https://evil.example"}
    assert code_of(browser.log_in()) == "login.issuer_mismatch"


@pytest.mark.parametrize(("error", "said"), [("access_denied", "access_denied"), ("<b>x", "an error")])
def test_a_refusal_of_the_provider_is_told(browser: Browser, provider: OIDCProvider, error: str, said: str) -> None:
    """By its registered word; anything else is not repeated."""
    provider.redirect = {"code": None, "error": error, "error_description": "<script>alert(1)</script>"}
    page = browser.log_in()

    refused(browser, page, 401, "login.declined")
    assert said in page.text
    assert "script" not in page.text
    assert "<b>" not in page.text


def test_a_refusal_for_another_login_is_not_believed(browser: Browser) -> None:
    """A link cannot end somebody's login with a message of its own."""
    browser.leave()

    assert code_of(browser.come_back("/login/callback?error=access_denied&state=x")) == "login.state_mismatch"


def test_of_two_tabs_the_last_counts(browser: Browser) -> None:
    """Who begins again in another tab finishes there."""
    first = browser.leave()
    second = browser.leave()
    cookies = dict(browser.cookies)
    assert code_of(browser.come_back(first)) == "login.state_mismatch"
    browser.cookies = cookies

    assert browser.come_back(second).status_code == 200


def test_what_is_sent_out_does_not_tell_the_secret(browser: Browser, provider: OIDCProvider) -> None:
    """State, nonce, challenge and the cookie's secret are different, and new each time."""
    sent = []
    for _ in range(2):
        browser.leave()
        (parameters,) = [given for path, given in provider.calls if path == "/authorize"][-1:]
        assert parameters["code_challenge_method"] == ["S256"]
        sent += [parameters[name][0] for name in ("state", "nonce", "code_challenge")]
        sent.append(browser.cookies["__Host-lockgate-login"])

    assert len(set(sent)) == 8
    assert {len(value) for value in sent} == {43}
