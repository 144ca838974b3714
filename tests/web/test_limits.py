"""How much one caller may ask, what they are told when it was too much, and the headers on every answer."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from sqlalchemy import event

from lockgate.schemas import check_schema
from lockgate.serving import HEALTH_PATHS, PROBE, WAITED_S
from lockgate.web.api.openapi import OPERATIONS
from lockgate.web.app import create_app
from lockgate.web.authentication import open_to_all
from lockgate.web.limits import KNOWN_MAX, WAIT_S_MAX, Limits
from support.gates import GateUnderTest

BAD = {"Authorization": "Bearer lgt_" + "x" * 43}


@pytest.fixture
def limited(gate: GateUnderTest) -> Callable[..., Any]:
    """Make another front to the same gate, with limits of a test's own."""

    def make(**limits: Any) -> Any:
        return create_app(gate.services, limits=Limits(**limits)).test_client()

    return make


def as_(gate: GateUnderTest, who: str) -> dict[str, str]:
    """Return somebody's header."""
    return {"Authorization": f"Bearer {gate.tokens[who]}"}


def refused_counts(gate: GateUnderTest, client: Any) -> dict[str, float]:
    """Return what the counter of refusals says, by reason; asked from an address of its own."""
    response = client.get("/metrics", headers=as_(gate, "aude"), environ_overrides={"REMOTE_ADDR": "192.0.2.8"})
    lines = response.text.splitlines()
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith("lockgate_limited_total{")}


def test_who_asks_too_often_is_429_and_others_are_not(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """The limit is each principal's own; the answer says when to come back, and nothing was done."""
    client = limited(requests=RateLimitItemPerMinute(3))
    first = [client.get("/v1/promotions", headers=as_(gate, "rita")) for _ in range(3)]
    over = client.post("/v1/promotions", headers=as_(gate, "rita"), json=gate.request_document())
    other = client.get("/v1/promotions", headers=as_(gate, "ravi"))

    assert [answer.status_code for answer in first] == [200, 200, 200]
    assert (over.status_code, over.json["code"]) == (429, "http.rate_limited")
    check_schema("v1/api/problem", over.json)
    assert 1 <= int(over.headers["Retry-After"]) <= 60
    assert other.status_code == 200
    assert len(gate.records("gate.decision")) == 0
    assert refused_counts(gate, client) == {"rate": 1}


def test_answers_tell_what_is_left(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """The fields are those of draft-ietf-httpapi-ratelimit-headers."""
    client = limited(requests=RateLimitItemPerMinute(2))
    answers = [client.get("/v1/promotions", headers=as_(gate, "rita")) for _ in range(3)]

    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"principal";q=2;w=60'}
    assert [answer.headers["RateLimit"].rpartition(";")[0] for answer in answers] == [
        '"principal";r=1',
        '"principal";r=0',
        '"principal";r=0',
    ]
    assert "RateLimit" not in client.get("/livez").headers


def test_who_was_refused_may_ask_again(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """The window moves on."""
    client = limited(requests=RateLimitItemPerSecond(1))
    statuses = []
    for _ in range(4000):
        statuses.append(client.get("/v1/promotions", headers=as_(gate, "rita")).status_code)
        if statuses[-1] == 200 and 429 in statuses:
            break

    assert statuses[0] == 200
    assert set(statuses) == {200, 429}


@pytest.mark.parametrize("path", HEALTH_PATHS)
def test_probes_are_never_limited(limited: Callable[..., Any], path: str) -> None:
    """Whoever probes keeps probing, and takes nothing from who else comes from there."""
    client = limited(requests=RateLimitItemPerMinute(1), strangers=RateLimitItemPerMinute(1))
    probe = {WAITED_S: 99.0, PROBE: True}

    assert {client.get(path, environ_overrides=probe).status_code for _ in range(5)} == {200}
    assert client.get("/v1/promotions", headers=BAD).status_code == 401


@pytest.mark.parametrize("path", HEALTH_PATHS)
def test_who_takes_everybodys_threads_for_health_is_limited(limited: Callable[..., Any], path: str) -> None:
    """Outside of the threads of its own, health is a page as others that are open to strangers."""
    client = limited(strangers=RateLimitItemPerMinute(2))
    statuses = [client.get(f"{path}?x", environ_overrides={PROBE: False}).status_code for _ in range(4)]
    waited = client.get(path, environ_overrides={PROBE: False, WAITED_S: 99.0})

    assert statuses == [200, 200, 429, 429]
    assert (waited.status_code, waited.json["code"]) == (503, "http.busy")


def test_liveness_waits_for_nothing(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk and no database is asked whether the process lives: neither can make its keeper end it."""
    asked: list[str] = []
    monkeypatch.setattr(type(gate.services.trust), "refresh", lambda _: asked.append("disk"))
    gate.services.reloader.begin()
    event.listen(gate.database, "before_cursor_execute", lambda *_: asked.append("database"))
    gate.services.reloader._to_record = True
    alive = gate.client.get("/livez").status_code
    asked_by_liveness = list(asked)
    gate.client.get("/readyz")

    assert (alive, asked_by_liveness) == (200, [])
    assert {"disk", "database"} <= set(asked)


def test_nobody_has_every_thread(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """A principal's requests in flight are limited; when they end, more are let in; others are served meanwhile."""
    client = limited(at_once=2)
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        arrived.release()
        go_on.wait(10)

    client.application.before_request(hold)

    def ask(who: str, statuses: list[int]) -> None:
        response = client.application.test_client().get("/v1/promotions", headers=as_(gate, who))
        statuses.append(response.status_code)

    ritas: list[int] = []
    ravis: list[int] = []
    threads = [threading.Thread(target=ask, args=("rita", ritas)) for _ in range(2)]
    threads.append(threading.Thread(target=ask, args=("ravi", ravis)))
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)
    over = client.get("/v1/promotions", headers=as_(gate, "rita"))
    go_on.set()
    for thread in threads:
        thread.join()
    after = client.get("/v1/promotions", headers=as_(gate, "rita"))

    assert (over.status_code, over.json["code"], over.headers["Retry-After"]) == (429, "http.too_many_at_once", "1")
    assert (ritas, ravis, after.status_code) == ([200, 200], [200], 200)


def test_a_request_that_fails_is_counted_out(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """Problems and failures give their place back too."""
    client = limited(at_once=1)
    for path in ("/v1/nothing", "/v1/promotions?limit=0", "/metrics", "/v1/promotions"):
        last = client.get(path, headers=as_(gate, "rita")).status_code

    assert last == 200


def test_strangers_are_limited_by_address(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """Guessing is 401 until the limit, then 429 without a look at the token; another address is not affected."""
    client = limited(strangers=RateLimitItemPerMinute(3))
    statuses = [client.get("/v1/promotions", headers=BAD).status_code for _ in range(5)]
    unknown = client.get("/v1/promotions", headers=as_(gate, "rita"))
    elsewhere = client.get("/v1/promotions", headers=BAD, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})

    assert statuses == [401, 401, 401, 429, 429]
    assert (unknown.status_code, unknown.json["code"]) == (429, "http.rate_limited")
    assert elsewhere.status_code == 401
    assert refused_counts(gate, client) == {"strangers": 3}


def test_pages_that_are_open_to_strangers_are_limited_too(limited: Callable[..., Any]) -> None:
    """What asks for no proof of identity, a login say, counts against the address as well."""
    client = limited(strangers=RateLimitItemPerMinute(2))
    client.application.add_url_rule("/open", view_func=open_to_all(lambda: "come in"))

    assert [client.get("/open").status_code for _ in range(4)] == [200, 200, 429, 429]


def test_a_known_caller_is_let_in_beside_strangers(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """Behind a proxy all come from one address: who was good lately is not locked out by who guesses there."""
    client = limited(strangers=RateLimitItemPerMinute(2))
    before = client.get("/v1/promotions", headers=as_(gate, "rita")).status_code
    guesses = [client.get("/v1/promotions", headers=BAD).status_code for _ in range(4)]
    after = client.get("/v1/promotions", headers=as_(gate, "rita")).status_code
    gate.clock.advance(366 * 86_400 * 10**9)
    expired = client.get("/v1/promotions", headers=as_(gate, "rita")).status_code

    assert (before, guesses, after) == (200, [401, 401, 429, 429], 200)
    assert expired == 401  # being known opens no door


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_one_subscribers_addresses_count_as_one(
    limited: Callable[..., Any],
    first: str,
    second: str,
    same: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """An IPv6 subscriber has 2^64 addresses, one of IPv4 has one, however a socket shows it; a Unix socket has none."""
    client = limited(strangers=RateLimitItemPerMinute(1))
    client.get("/v1/promotions", headers=BAD, environ_overrides={"REMOTE_ADDR": first})
    again = client.get("/v1/promotions", headers=BAD, environ_overrides={"REMOTE_ADDR": second})

    assert again.status_code == (429 if same else 401)


def test_a_database_that_is_away_locks_nobody_out(gate: GateUnderTest, limited: Callable[..., Any]) -> None:
    """503 is our failure and not a guess: it does not count against the address."""
    client = limited(strangers=RateLimitItemPerMinute(1))
    gate.database.dispose()
    hidden = gate.folder / "hidden"
    hidden.mkdir()
    for file in gate.folder.glob("lockgate.db*"):
        file.rename(hidden / file.name)
    (gate.folder / "lockgate.db").mkdir()
    away = [client.get("/v1/promotions", headers=as_(gate, "rita")).status_code for _ in range(3)]
    (gate.folder / "lockgate.db").rmdir()
    for file in hidden.iterdir():
        file.rename(gate.folder / file.name)
    gate.database.dispose()

    assert away == [503, 503, 503]
    assert client.get("/v1/promotions", headers=as_(gate, "rita")).status_code == 200


def test_who_waited_too_long_for_a_thread_is_told_that_we_are_busy(
    gate: GateUnderTest, limited: Callable[..., Any]
) -> None:
    """503 with Retry-After, before anything was done for them."""
    client = limited()
    document = gate.request_document()
    statuses = {}
    for waited_s in (WAIT_S_MAX - 0.1, WAIT_S_MAX + 0.1):
        response = client.post(
            "/v1/promotions", headers=as_(gate, "rita"), json=document, environ_overrides={WAITED_S: waited_s}
        )
        statuses[response.status_code] = response

    assert set(statuses) == {202, 503}
    assert statuses[503].json["code"] == "http.busy"
    assert statuses[503].headers["Retry-After"] == "2"
    assert len(gate.records("gate.decision")) == 1


def test_what_is_kept_of_callers_is_bounded(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of known callers only the newest are kept."""
    monkeypatch.setattr("lockgate.web.limits.KNOWN_MAX", 2)
    client = create_app(gate.services, limits=Limits(strangers=RateLimitItemPerMinute(1))).test_client()
    for who in ("rita", "ravi", "leo"):
        client.get("/v1/promotions", headers=as_(gate, who))
    client.get("/v1/promotions", headers=BAD)
    statuses = {
        who: client.get("/v1/promotions", headers=as_(gate, who)).status_code for who in ("rita", "ravi", "leo")
    }

    assert KNOWN_MAX > 1000
    assert statuses == {"rita": 429, "ravi": 200, "leo": 200}


# Headers.

EVERYWHERE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def test_every_answer_carries_the_headers_and_no_other_origin_may_read_it(gate: GateUnderTest) -> None:
    """On every route, for friend and stranger, for success and problem; a page may load what is ours, no more."""
    for operation in OPERATIONS:
        path = operation.path.replace("{promotion_id}", "x").replace("{seq}", "0").replace("{tile}", "0/000")
        for who in ("aude", None):
            answer = gate.call(operation.method.upper(), path, who, None, Origin="https://evil.example")

            if answer.mimetype in {"text/html", "text/css"}:
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; "), path
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            else:
                assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE, path
                assert "Set-Cookie" not in answer.headers
            assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]
            assert "Server" not in answer.headers
            if answer.status_code != 200 or not ("/tile/" in path or path.endswith(".css")):
                assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("who", ["rita", None])
def test_a_preflight_is_refused(gate: GateUnderTest, who: str | None) -> None:
    """A page of another origin gets no leave to send anything."""
    answer = gate.call(
        "OPTIONS",
        "/v1/promotions",
        who,
        Origin="https://evil.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization",
    )

    assert answer.status_code in {401, 405}
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def test_https_is_insisted_on_only_where_it_is_served(gate: GateUnderTest) -> None:
    """Strict-Transport-Security goes with a public URL of https."""
    secure = create_app(gate.services, https=True).test_client().get("/livez")

    assert secure.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Strict-Transport-Security" not in gate.client.get("/livez").headers


def test_no_answer_is_made_of_the_host_header(gate: GateUnderTest) -> None:
    """Where a new promotion is, is a path: whatever host the caller says that we are."""
    answer = gate.call("POST", "/v1/promotions", "rita", gate.request_document(), Host="evil.example")

    assert answer.headers["Location"] == f"/v1/promotions/{answer.json['promotion']['id']}"
    assert "evil.example" not in answer.text + str(answer.headers)


# No field of a request leads to a call.

HOSTILE = ("http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "//evil.example/x", "ldap://127.0.0.1:1/")


@pytest.fixture
def calls_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """Record whoever looks up a name or connects anywhere, while the test runs."""
    seen: list[tuple[str, Any]] = []
    listening = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}:
            seen.append((event, arguments[1:]))

    sys.addaudithook(hear)  # it cannot be taken out again, only told to be deaf
    yield seen
    listening = False
    monkeypatch.undo()


def with_every_string(document: Any, hostile: str) -> Iterator[Any]:
    """Yield the document once for each string in it, with that one replaced."""
    if isinstance(document, dict):
        for name, value in document.items():
            for changed in [hostile] if isinstance(value, str) else with_every_string(value, hostile):
                yield {**document, name: changed}
    elif isinstance(document, list):
        for index, value in enumerate(document):
            for changed in [hostile] if isinstance(value, str) else with_every_string(value, hostile):
                yield [*document[:index], changed, *document[index + 1 :]]


def test_no_string_of_a_request_leads_to_a_call(gate: GateUnderTest, calls_out: list[tuple[str, Any]]) -> None:
    """A URL in any field of any body, parameter or header is text: nothing is looked up and nobody is connected to."""
    client = create_app(gate.services, limits=Limits(requests=RateLimitItemPerMinute(100_000))).test_client()
    answer = gate.request()
    path = f"/v1/promotions/{answer['promotion']['id']}"
    bodies = [
        ("/v1/promotions", gate.request_document(reason="why")),
        ("/v1/decisions:dry-run", gate.request_document()),
        (f"{path}/approvals", gate.approval_document(answer, "ml-lead", comment="why")),
        (f"{path}/withdraw", {"schema_version": 1, "reason": "why"}),
        ("/v1/audit/records", {"schema_version": 1, "id": "x", "kind": "access.review", "body": {"url": "x"}}),
    ]
    names = ("Idempotency-Key", "X-Request-Id", "traceparent", "Host", "Forwarded", "X-Forwarded-Host", "Referer")
    statuses = set()
    for hostile in HOSTILE:
        for target, document in bodies:
            for changed in with_every_string(document, hostile):
                statuses.add(client.post(target, headers=as_(gate, "rita"), json=changed).status_code)
        for operation in OPERATIONS:
            for name in operation.query:
                query = {name: hostile}
                shown = client.get(operation.path, query_string=query, headers=as_(gate, "aude"))
                statuses.add(shown.status_code)
        for name in names:
            headers = {**as_(gate, "rita"), name: hostile}
            asked = client.post("/v1/promotions", headers=headers, json=gate.request_document())
            statuses.add(asked.status_code)

    assert calls_out == []
    assert statuses <= {200, 201, 202, 302, 303, 400, 403, 404, 409, 413, 422}
    assert statuses >= {202, 400, 422}


def test_the_recorder_of_calls_hears(calls_out: list[tuple[str, Any]]) -> None:
    """The test above would notice a call."""
    with socket.socket() as connection, pytest.raises(OSError, match="refused"):
        connection.connect(("127.0.0.1", 1))

    assert calls_out == [("socket.connect", (("127.0.0.1", 1),))]
