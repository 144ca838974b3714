"""A session: how it is made and kept, what it may do, and how it ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from limits import RateLimitItemPerMinute

from lockgate.administration import TOKEN, Administration
from lockgate.clock import NS_PER_S, format_timestamp
from lockgate.identity import JWKSSource
from lockgate.login.web_login import SESSION_S
from lockgate.policy.wasm import WasmEngine
from lockgate.web.app import create_app
from lockgate.web.cookies import ATTEMPT_S
from lockgate.web.limits import Limits
from support.browsers import Browser, code_of
from support.gates import GateUnderTest, make_gate
from support.logins import PUBLIC_URL, login_gate, new_browser
from support.oidc_provider import OIDCProvider

SESSION = "__Host-lockgate"
ATTEMPT = "__Host-lockgate-login"


def test_cookies_are_kept_from_everybody_else(browser: Browser) -> None:
    """From scripts, from plain HTTP, from other hosts; and the session from requests that another site causes."""
    browser.leave()
    browser.log_in()

    wanted = {"Secure", "HttpOnly", "Path=/", "SameSite=Strict", f"Max-Age={SESSION_S}"}
    assert {part.strip() for part in browser.attributes[SESSION].split(";")} >= wanted
    assert "Domain" not in browser.attributes[SESSION]
    assert list(browser.cookies) == [SESSION]


def test_the_login_is_kept_for_ten_minutes(browser: Browser) -> None:
    """It comes back with whoever the provider sends, which is another site."""
    browser.leave()

    wanted = {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", f"Max-Age={ATTEMPT_S}"}
    assert {part.strip() for part in browser.attributes[ATTEMPT].split(";")} >= wanted
    assert ATTEMPT_S == 600


def test_a_session_is_a_recorded_token_of_that_person(gate: GateUnderTest, browser: Browser) -> None:
    """For eight hours, with the roles of this login; whoever logs out is in the record, too."""
    browser.log_in()
    browser.open("/logout", "POST")
    made, ended = gate.records(TOKEN)

    actor = {"type": "user", "id": "ann@example.org", "roles": ["approver:ml-lead"]}
    assert (made["actor"], ended["actor"]) == (actor, actor)
    assert made["body"]["scope"] == ["approver:ml-lead"]
    assert made["body"]["expires_at"] == format_timestamp(gate.clock.now + SESSION_S * NS_PER_S)  # type: ignore[arg-type]
    assert (made["body"]["change"], ended["body"]["change"]) == ("created", "revoked")
    assert made["body"]["token_id"] == ended["body"]["token_id"]


def test_a_session_ends_by_itself(gate: GateUnderTest, browser: Browser) -> None:
    """After eight hours, whatever the browser still sends."""
    browser.log_in()
    gate.clock.advance((SESSION_S - 1) * NS_PER_S)
    assert browser.open("/").status_code == 200
    gate.clock.advance(NS_PER_S)

    assert browser.open("/").status_code == 401


def test_who_is_disabled_is_out_at_once(gate: GateUnderTest, browser: Browser) -> None:
    """And cannot come in again."""
    browser.log_in()
    Administration(gate.services.log, gate.clock).disable_principal("ann@example.org")

    assert browser.open("/").status_code == 401
    assert code_of(browser.log_in()) == "login.token_refused"


def test_who_came_in_by_an_issuer_is_out_with_it(gate: GateUnderTest, browser: Browser) -> None:
    """A session lasts no longer than the trust in who vouched for it."""
    browser.log_in()
    assert browser.open("/v1/me").status_code == 200
    gate.services.authenticator.replace((), JWKSSource((), gate.clock))

    assert browser.open("/v1/me").status_code == 401


def test_who_is_handed_over_is_out_at_once(gate: GateUnderTest, browser: Browser) -> None:
    """A session of the person of one issuer is none of the person whom the next one means."""
    browser.log_in()
    info = gate.services.identities.find_principal("ann@example.org")
    assert info is not None
    Administration(gate.services.log, gate.clock).put_principal(info.principal, issuer="")

    assert browser.open("/v1/me").status_code == 401


def test_a_role_lost_is_lost_in_every_session(gate: GateUnderTest, browser: Browser, provider: OIDCProvider) -> None:
    """The next login, anywhere, tells of it; a role gained needs a login of its own."""
    provider.person = {"groups": ["leads", "risk"]}
    browser.log_in()
    gate.clock.advance(NS_PER_S)
    provider.person = {"groups": ["risk", "audit"]}
    elsewhere = new_browser(gate)
    elsewhere.log_in()

    assert browser.open("/v1/me").json["roles"] == ["approver:risk"]
    assert elsewhere.open("/v1/me").json["roles"] == ["approver:risk", "auditor"]


def test_a_planted_session_is_replaced(gate: GateUnderTest, browser: Browser) -> None:
    """Session fixation: whoever logs in has a new session, and the attacker's knows nothing of it."""
    attacker = new_browser(gate)
    attacker.log_in()
    planted = attacker.cookies[SESSION]
    browser.cookies[SESSION] = planted
    browser.log_in()

    assert browser.cookies[SESSION] != planted


@pytest.mark.parametrize("name", ["lockgate", "__Secure-lockgate", "__host-lockgate", "Lockgate"])
def test_a_cookie_of_another_name_is_nothing(browser: Browser, name: str) -> None:
    """Cookie tossing: a neighbouring host can set cookies, but none whose name begins with `__Host-`."""
    browser.log_in()
    session = browser.cookies.pop(SESSION)

    assert browser.open("/v1/me", Cookie=f"{name}={session}").status_code == 401


@pytest.mark.parametrize("path", ["/", "/v1/me", "/v1/promotions", "/metrics"])
def test_a_session_that_comes_twice_is_refused(browser: Browser, path: str) -> None:
    """Whichever is first: one of them is not ours."""
    browser.log_in()
    twice = f"{SESSION}={browser.cookies[SESSION]}; {SESSION}=lgt_{'x' * 43}"
    response = browser.open(path, Cookie=twice)

    assert response.status_code == 400
    assert "http.cookie_repeated" in response.text


def test_a_login_that_comes_twice_is_refused(browser: Browser) -> None:
    """A login whose secret somebody else chose is theirs."""
    way = browser.leave()
    response = browser.open(way, Cookie=f"{ATTEMPT}={'A' * 43}; {ATTEMPT}={browser.cookies[ATTEMPT]}")

    assert (response.status_code, code_of(response)) == (400, "http.cookie_repeated")


@pytest.mark.parametrize("value", ["", "x", "lgt_", "lgt_" + "x" * 43, "lgt_" + "x" * 257, '"lgt_x"', "%00", "é"])
def test_what_is_no_session_is_nobody(browser: Browser, value: str) -> None:
    """Of whatever form."""
    assert browser.open("/v1/me", Cookie=f"{SESSION}={value}").status_code == 401


def test_an_issuers_token_is_no_session(browser: Browser, provider: OIDCProvider) -> None:
    """It proves who calls in the header, where no other site can have it sent."""
    token = provider.id_token()
    assert browser.open("/v1/me", Authorization=f"Bearer {token}").status_code == 200

    assert browser.open("/v1/me", Cookie=f"{SESSION}={token}").status_code == 401


def test_two_proofs_of_identity_are_refused(gate: GateUnderTest, browser: Browser) -> None:
    """A token and a session, even of one person."""
    browser.log_in()
    for header in (f"Bearer {gate.tokens['leo']}", f"Bearer {browser.cookies[SESSION]}", "Basic eDp4", "nonsense"):
        response = browser.open("/v1/me", Authorization=header)
        assert (response.status_code, response.json["code"]) == (400, "http.two_credentials")


# What a browser says of where a request comes from. Another port, scheme or subdomain is another origin.
OURS: list[dict[str, Any]] = [
    {"Sec_Fetch_Site": "same-origin"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
    {"Sec_Fetch_Site": "", "Origin": PUBLIC_URL},
]
FOREIGN: list[dict[str, Any]] = [
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "none"},
    {"Sec_Fetch_Site": "same-origin, cross-site"},
    {"Sec_Fetch_Site": "cross-site", "Origin": PUBLIC_URL},
    {"Sec_Fetch_Site": ""},
    {"Sec_Fetch_Site": "", "Origin": "null"},
    {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
    {"Sec_Fetch_Site": "", "Origin": f"{PUBLIC_URL}.evil.example"},
    {"Sec_Fetch_Site": "", "Origin": f"{PUBLIC_URL}:8443"},
    {"Sec_Fetch_Site": "", "Origin": "http://gate.example.org"},
    {"Sec_Fetch_Site": "", "Referer": f"{PUBLIC_URL}/"},
]


def test_another_site_cannot_act_with_a_session(gate: GateUnderTest, browser: Browser) -> None:
    """CSRF: what changes something, or could, is refused to every page but this gate's own; nothing happens."""
    answer = gate.request("rita")
    browser.log_in()
    approval = gate.approval_document(answer, "ml-lead")
    for headers in FOREIGN:
        for where, document in (
            (f"/v1/promotions/{answer['promotion']['id']}/approvals", approval),
            ("/v1/decisions:dry-run", gate.request_document()),
            ("/logout", None),
        ):
            response = browser.open(where, "POST", json=document, **headers)
            assert (response.status_code, "http.cross_site" in response.text) == (403, True), (where, headers)

    assert gate.records("gate.approval") == []
    assert browser.open("/").status_code == 200


def test_a_page_of_ours_acts_with_a_session(gate: GateUnderTest, browser: Browser) -> None:
    """Whichever of the two headers the browser knows."""
    for number, headers in enumerate(OURS):
        answer = gate.request("rita", version=f"1.0.{number}")
        browser.log_in()
        path = f"/v1/promotions/{answer['promotion']['id']}/approvals"
        approved = browser.open(path, "POST", json=gate.approval_document(answer, "ml-lead"), **headers)
        assert (approved.status_code, browser.open("/logout", "POST", **headers).status_code) == (201, 303)
        assert browser.open("/").status_code == 401


def test_other_sites_may_not_read_with_a_session_either(browser: Browser) -> None:
    """The browser does not send it along (SameSite=Strict), and no answer may be read from elsewhere."""
    browser.log_in()
    linked = browser.open("/v1/me", strict=False)
    own = browser.open("/v1/me")

    assert (linked.status_code, own.status_code) == (401, 200)
    assert "Access-Control-Allow-Origin" not in own.headers
    assert own.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_bearer_token_needs_no_origin(gate: GateUnderTest) -> None:
    """Programs send no such header, and no browser sends a token by itself."""
    assert gate.call("POST", "/v1/decisions:dry-run", "rita", gate.request_document()).status_code == 200


def test_a_dead_session_logs_out_quietly(gate: GateUnderTest, browser: Browser) -> None:
    """Twice, or with a session that never was; nothing is recorded a second time."""
    browser.log_in()
    session = dict(browser.cookies)
    browser.open("/logout", "POST")
    for cookies in (session, {}, {SESSION: "x"}, {SESSION: f"lgt_{'x' * 43}"}):
        browser.cookies = dict(cookies)
        assert browser.open("/logout", "POST").status_code == 303
        assert browser.cookies == {}

    assert [record["body"]["change"] for record in gate.records(TOKEN)] == ["created", "revoked"]


def test_who_is_logged_in_is_not_taken_for_a_stranger(gate: GateUnderTest, browser: Browser) -> None:
    """A session that was good lately is let past the limit on its address; a request without any is not."""
    limits = Limits(strangers=RateLimitItemPerMinute(4))
    one = replace(browser, client=create_app(gate.services, limits=limits).test_client(use_cookies=False))
    one.log_in()  # two calls of nobody known
    assert one.open("/v1/me").status_code == 200
    nobody = replace(one, cookies={}, attributes={})
    assert [nobody.open("/v1/me").status_code for _ in range(4)] == [401, 401, 429, 429]

    assert one.open("/v1/me").status_code == 200


def test_on_this_machine_cookies_have_plain_names(tmp_path: Path, engine: WasmEngine, provider: OIDCProvider) -> None:
    """For development over plain HTTP, where browsers take neither `Secure` nor the prefix."""
    url = "http://127.0.0.1:8080"
    browser = new_browser(login_gate(tmp_path, engine, provider, public_url=url), url)
    browser.log_in()

    assert list(browser.cookies) == ["lockgate"]
    assert "Secure" not in browser.attributes["lockgate"]
    assert browser.open("/").status_code == 200


def test_without_a_login_a_cookie_is_nothing(tmp_path: Path, engine: WasmEngine) -> None:
    """A gate whose settings name no issuer for people has no sessions, and says so."""
    gate = make_gate(tmp_path, engine)
    cookie: dict[str, Any] = {"headers": {"Cookie": f"{SESSION}={gate.tokens['leo']}; lockgate={gate.tokens['leo']}"}}
    home = gate.client.get("/", **cookie)

    assert gate.client.get("/v1/me", **cookie).status_code == 401
    assert (home.status_code, "login_issuer" in home.text) == (401, True)
    for method, path in (("GET", "/login"), ("GET", "/login/callback?code=x&state=x"), ("POST", "/logout")):
        page = gate.client.open(path, method=method, **cookie)
        assert (page.status_code, code_of(page)) == (404, "login.not_configured")
    assert gate.client.get("/v1/login").json["code"] == "login.not_configured"
