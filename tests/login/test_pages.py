"""The pages: who sees what, and that nothing in them runs, loads or leads elsewhere."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lockgate.identity import Principal
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion.types import Transition
from lockgate.web.app import create_app
from lockgate.web.pages import html
from lockgate.web.pages.home import LOOKED_AT_MAX, Waiting
from support.browsers import Browser, code_of
from support.gates import DAY_NS, GateUnderTest, compile_config, policy_config
from support.logins import PUBLIC_URL, login_gate, new_browser
from support.oidc_provider import OIDCProvider

HOSTILE = "<script>alert(1)</script>\"'&\u202e"


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one."""
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


def check_page(page: Any) -> Elements:
    """Make sure that a page is one for everybody, and holds nothing that runs or is loaded from elsewhere."""
    assert page.mimetype == "text/html"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not {"script-src", "img-src", "connect-src"} & policy.keys()
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    elements = Elements(page.text)
    for tag, attributes in elements.found:
        assert tag not in {"script", "style", "img", "iframe", "object", "base", "svg"}
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
    for name in ("href", "src", "action"):
        for _, attributes in elements.found:
            address = attributes.get(name) or "/"
            assert address.startswith("/"), address
            assert not address.startswith("//"), address
    (html,), (title,), (heading,) = elements.of("html"), elements.of("title"), elements.of("h1")
    assert (html["lang"], title, heading) == ("en", {}, {})
    assert elements.of("main")
    assert elements.of("meta")[1]["name"] == "viewport"
    return elements


def test_every_page_is_safe_and_accessible(gate: GateUnderTest, browser: Browser) -> None:
    """Logged out, on the way, in, with something that waits, and when something went wrong."""
    gate.request("rita")
    outside = browser.open("/")
    check_page(outside)
    assert (outside.status_code, 'href="/login"' in outside.text) == (401, True)
    welcome = browser.log_in()
    elements = check_page(welcome)
    assert {"http-equiv": "refresh", "content": "0; url=/"} in elements.of("meta")
    home = check_page(browser.open("/"))
    assert len(home.of("table")) == len(home.of("caption")) == 1
    assert {scope["scope"] for scope in home.of("th")} == {"col", "row"}
    assert home.of("form") == [{"method": "post", "action": "/logout"}]
    for wrong in ("/login/callback?code=x&state=x", "/login?next=https://evil.example", "/?a=1"):
        check_page(browser.open(wrong))


def test_the_stylesheet_is_the_only_thing_loaded(browser: Browser) -> None:
    """From this gate, by everybody, and kept."""
    response = browser.open("/style.css")

    assert (response.status_code, response.mimetype) == (200, "text/css")
    assert response.headers["Cache-Control"] == "public, max-age=3600"
    assert "url(" not in response.text
    assert "@import" not in response.text


@pytest.mark.parametrize("query", ["?next=https://evil.example", "?next=//evil.example", "?next=/", "?redirect_uri=x"])
def test_nobody_is_sent_elsewhere_from_the_login(browser: Browser, query: str) -> None:
    """No parameter says where to go on."""
    page = browser.open(f"/login{query}")

    assert (page.status_code, code_of(page)) == (400, "http.parameter")
    assert "Location" not in page.headers


def test_the_callers_host_moves_nothing(browser: Browser, provider: OIDCProvider) -> None:
    """Where the browser comes back to is the setting's, whatever the request says of itself."""
    response = browser.open("/login", Host="evil.example", X_Forwarded_Host="evil.example", X_Forwarded_Proto="http")

    location = response.headers["Location"]
    assert location.startswith(f"{provider.url}/authorize?")
    assert "redirect_uri=https%3A%2F%2Fgate.example.org%2Flogin%2Fcallback&" in location
    assert "evil" not in location


def test_what_waits_is_what_one_may_do(gate: GateUnderTest, browser: Browser, provider: OIDCProvider) -> None:
    """An approver sees what lacks their approval, a requester their own requests, and nobody what is done."""
    answer = gate.request("ravi")
    number = answer["promotion"]["id"]
    provider.person = {"groups": ["risk"]}
    browser.log_in()
    assert f"lockgate approve {number} --role risk" in browser.open("/").text
    assert f"lockgate approve {number} --role ml-lead" not in browser.open("/").text
    assert f"lockgate withdraw {number}" not in browser.open("/").text
    assert "ml-lead (0 of 1), risk (0 of 1)" in browser.open("/").text

    provider.person = {"sub": "rob-1", "email": "rob@example.org", "groups": ["trainers", "leads"]}
    rob = new_browser(gate)
    rob.log_in()
    own = rob.open("/v1/promotions", "POST", json=gate.request_document(version="2.0.0")).json["promotion"]["id"]
    page = rob.open("/").text
    assert f"lockgate withdraw {own}" in page
    assert f"lockgate approve {own}" not in page
    assert f"lockgate approve {number} --role ml-lead" in page

    browser.open(f"/v1/promotions/{number}/approvals", "POST", json=gate.approval_document(answer, "risk"))
    assert f"approve {number}" not in browser.open("/").text


def test_who_has_had_a_say_is_not_asked_again(tmp_path: Path, provider: OIDCProvider) -> None:
    """Where two of one role must approve, the first of them has done their part."""
    gate = login_gate(tmp_path, _two_leads(tmp_path), provider)
    answer = gate.request("rita")
    browser = new_browser(gate)
    browser.log_in()
    number = answer["promotion"]["id"]
    assert f"approve {number} --role ml-lead" in browser.open("/").text
    path = f"/v1/promotions/{number}/approvals"
    assert browser.open(path, "POST", json=gate.approval_document(answer, "ml-lead")).status_code == 201

    assert number not in browser.open("/").text
    assert "ml-lead (1 of 2)" in gate.call("GET", "/", "leo").text


def test_who_must_approve_again_is_asked_again(gate: GateUnderTest) -> None:
    """An approval that ran out is missing, although no decision was made since, and waits for its approver, too."""
    answer = gate.request("rita")
    number = answer["promotion"]["id"]
    assert gate.approve("leo", "ml-lead", answer).status_code == 201
    assert number not in gate.call("GET", "/", "leo").text
    gate.clock.advance(3 * DAY_NS)
    page = gate.call("GET", "/", "leo").text

    assert f"lockgate approve {number} --role ml-lead" in page
    assert "ml-lead (1 ended), risk (0 of 1)" in page
    assert gate.approve("leo", "ml-lead", answer).status_code == 201
    assert number not in gate.call("GET", "/", "leo").text


def test_an_ended_approval_of_several_is_taken_off(tmp_path: Path, provider: OIDCProvider) -> None:
    """Where two of a role must approve and one did, none has once that one ran out."""
    gate = login_gate(tmp_path, _two_leads(tmp_path), provider)
    answer = gate.request("rita")
    assert gate.approve("leo", "ml-lead", answer).status_code == 201
    gate.clock.advance(3 * DAY_NS)

    assert "ml-lead (0 of 2)" in gate.call("GET", "/", "leo").text


def test_who_approved_and_does_not_count_is_not_asked_again(gate: GateUnderTest) -> None:
    """Whoever helped to make the model may say so again and again; it counts no more than the first time."""
    answer = gate.request("ravi", contributors=[{"subject": "leo@example.com", "role": "trainer"}])
    approved = gate.approve("leo", "ml-lead", answer).json

    assert [one["counted"] for one in approved["decision"]["approvals"]] == [False]
    assert answer["promotion"]["id"] not in gate.call("GET", "/", "leo").text


def test_approvals_under_another_policy_are_missing(tmp_path: Path, engine: WasmEngine, provider: OIDCProvider) -> None:
    """A policy that was replaced takes its approvals with it, before anybody looks at the promotion."""
    gate = login_gate(tmp_path, engine, provider)
    answer = gate.request("rita")
    assert gate.approve("leo", "ml-lead", answer).status_code == 201
    gate.services.policy.replace(_two_leads(tmp_path))
    page = gate.call("GET", "/", "leo").text

    assert f"lockgate approve {answer['promotion']['id']} --role ml-lead" in page


def _two_leads(folder: Path) -> WasmEngine:
    documents = policy_config()
    rows = documents["matrix"]["rows"]
    matrix = {**documents["matrix"], "rows": [{**row, "approvals": [{"role": "ml-lead", "count": 2}]} for row in rows]}
    (folder / "config").mkdir()
    return WasmEngine(compile_config(folder / "config", {**documents, "matrix": matrix}))


def test_what_has_run_out_waits_for_nobody(gate: GateUnderTest) -> None:
    """Seven days after it was asked for."""
    number = gate.request("rita")["promotion"]["id"]
    assert number in gate.call("GET", "/", "leo").text
    gate.clock.advance(7 * DAY_NS)
    page = gate.call("GET", "/", "leo").text

    assert number not in page
    assert "No pending promotion waits" in page


@pytest.mark.parametrize("who", ["aude", "adam"])
def test_a_page_for_a_token(gate: GateUnderTest, who: str) -> None:
    """Whoever may call may read the page, also with a bearer token; what they may not do is not on it."""
    gate.request("rita")
    page = gate.call("GET", "/", who)

    assert (page.status_code, "No pending promotion waits" in page.text) == (200, True)


def test_a_reader_of_nothing_sees_nothing(gate: GateUnderTest, browser: Browser) -> None:
    """Where the policy lets somebody list no promotions, the page has none."""
    number = gate.request("rita")["promotion"]["id"]
    browser.log_in()
    closed: Any = _Closed(gate.services.authorizer)
    client = create_app(replace(gate.services, authorizer=closed)).test_client(use_cookies=False)
    page = replace(browser, client=client).open("/")

    assert (page.status_code, number in page.text) == (200, False)
    assert "do not let you see promotions" in page.text


class _Closed:
    """Permits nobody to list promotions; passes everything else on."""

    def __init__(self, authorizer: Any) -> None:
        self._authorizer = authorizer

    def permits(self, principal: Any, operation: str, facts: Any) -> bool:
        """Tell."""
        return operation != "promotions.list" and bool(self._authorizer.permits(principal, operation, facts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authorizer, name)


def test_values_are_text(gate: GateUnderTest) -> None:
    """Whatever a value holds, and it should not, it is shown and does nothing."""
    principal = Principal(subject=HOSTILE, type="user", roles=(HOSTILE,), identities=())
    transition = Transition(kind="promote", from_environment=HOSTILE, to_environment=HOSTILE)
    answer = gate.services.register.get(gate.request("rita")["promotion"]["id"])
    request = replace(answer.promotion.request, model=HOSTILE, version=HOSTILE, transition=transition)
    promotion = replace(answer.promotion, request=request, requester=HOSTILE)
    waiting = Waiting(promotion=promotion, expires_at="2026", missing=(HOSTILE,), roles=(HOSTILE,), may_withdraw=True)
    problem = {"code": HOSTILE, "title": HOSTILE, "detail": HOSTILE, "instance": HOSTILE}
    with gate.client.application.test_request_context("/"):
        pages = [
            html.page("home.html", principal=principal, waiting=[waiting], may_look=True, all_seen=False, url=HOSTILE),
            html.page("welcome.html", subject=HOSTILE),
            html.page("problem.html", problem=problem, login=True),
        ]
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;\\u{202e}"
    for one, times in zip(pages, (10, 1, 5), strict=True):
        text = one.get_data(as_text=True)
        assert "<script" not in text
        assert "\u202e" not in text
        assert text.count(shown) == times


def test_a_long_queue_is_cut(tmp_path: Path, engine: WasmEngine, provider: OIDCProvider) -> None:
    """The page looks at so many and says so; the API has them all."""
    gate = login_gate(tmp_path, engine, provider)
    browser = new_browser(gate)
    browser.log_in()
    for number in range(LOOKED_AT_MAX):
        gate.request("rita", version=f"1.0.{number}")
    page = browser.open("/").text

    assert page.count("<tr>") == LOOKED_AT_MAX + 1
    assert 'href="/v1/promotions?state=pending"' in page


def test_when_the_database_is_away_a_page_says_so(gate: GateUnderTest, browser: Browser) -> None:
    """503, with when to come back; not "nobody"."""
    browser.log_in()
    gate.database.dispose()
    (gate.folder / "lockgate.db").rename(gate.folder / "away.db")
    page = browser.open("/")
    (gate.folder / "away.db").rename(gate.folder / "lockgate.db")

    check_page(page)
    assert page.status_code == 503
    assert "Retry-After" in page.headers
    assert browser.open("/").status_code == 200


def test_the_page_of_a_gate_elsewhere_names_it(browser: Browser) -> None:
    """What people copy to their shell is this gate's own address."""
    browser.log_in()

    assert f"export LOCKGATE_URL={PUBLIC_URL}" in browser.open("/").text
