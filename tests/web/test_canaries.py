"""Nothing that a caller says, and no secret, reaches a log line, a metric, a span or somebody else's eyes.

Canaries are words that occur nowhere else. A whole day at a gate is lived with them in every place that a caller fills,
then everything that the gate let out beside its answers is searched for them.
"""

import base64
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from lockgate.clock import NS_PER_S
from lockgate.logs import configure_logs
from lockgate.policy.wasm import WasmEngine
from lockgate.web.app import create_app
from lockgate.web.otlp import OpenTelemetry
from support.expositions import scrape
from support.gates import GateUnderTest, make_gate
from support.issuers import AUDIENCE, issuer_table, key_set, rsa_key

PERSON: Final = "canary-person@example.com"
ISSUER: Final = "https://login.example"
WORDS: Final = {
    "reason": "canary-reason",
    "comment": "canary-comment",
    "contributor": "canary-contributor",
    "version": "1.0.0-canary-version",
    "name": "Canary Person-Name",
    "key": "canary-idempotency-key",
    "path": "canary-path",
    "query": "canary-query",
    "agent": "canary-agent",
    "bundle": "canary-bundle",
    "error": "canary-error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a gate let out on a day full of canaries."""

    canaries: Mapping[str, str]
    written: str  # standard output and standard error
    exposition: str
    spans: str
    problems: tuple[str, ...]


@pytest.fixture
def configured(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Logs as the service writes them, with every library as talkative as it gets."""
    del capsys  # only that it catches what is written from here on
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug")
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "urllib3", "gunicorn.error", "opentelemetry"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "urllib3", "gunicorn.error", "opentelemetry"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def token_of_a_person(now_ns: int) -> str:
    """Return an issuer's token, full of what is nobody's business."""
    now_s = now_ns // NS_PER_S
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "canary-subject", "iat": now_s, "exp": now_s + 300}
    return rsa_key().sign({**claims, "email": PERSON, "name": WORDS["name"], "group": "ml"})


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A gate that people log in to with an issuer's tokens."""
    (tmp_path / "keys.json").write_bytes(key_set(rsa_key()))
    rule = {
        "claims": {"group": "ml"},
        "principal": "{email}",
        "type": "user",
        "roles": ["requester", "approver:ml-lead"],
        "identities": ["{email}"],
    }
    table = issuer_table(name="people", kind="other", url=ISSUER, jwks_file="keys.json", rule=[rule])
    return make_gate(tmp_path, engine, issuers=(table,))


@pytest.fixture
def day(
    gate: GateUnderTest, configured: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Day:
    """Live it."""
    del configured  # only that it is so
    exporter = InMemorySpanExporter()
    tracing = OpenTelemetry(SimpleSpanProcessor(exporter), "test")
    client = create_app(gate.services, tracing=tracing).test_client()
    person = token_of_a_person(gate.clock.now)
    watched = replace(gate, client=client, tokens={**gate.tokens, "person": person})
    problems: list[str] = []

    def call(method: str, path: str, who: str | None, document: object = None, **headers: str) -> Any:
        given = {"User_Agent": WORDS["agent"], "tracestate": f"v={WORDS['agent']}", **headers}
        response = watched.call(method, path, who, document, **given)
        if response.mimetype == "application/problem+json":
            problems.append(response.text)
        return response

    document = watched.request_document(
        reason=WORDS["reason"],
        version=WORDS["version"],
        contributors=[{"subject": WORDS["contributor"], "role": "trainer"}],
    )
    # A promotion with everything in it, asked for twice, approved, and withdrawn by somebody who may not.
    answer = call("POST", "/v1/promotions", "person", document, Idempotency_Key=WORDS["key"])
    assert answer.status_code == 202, answer.text
    call("POST", "/v1/promotions", "person", {**document, "reason": "other"}, Idempotency_Key=WORDS["key"])
    path = f"/v1/promotions/{answer.json['promotion']['id']}"
    approval = watched.approval_document(answer.json, "ml-lead", comment=WORDS["comment"])
    assert call("POST", f"{path}/approvals", "leo", approval).status_code == 201
    call("POST", f"{path}/approvals", "leo", approval)
    call("POST", f"{path}/approvals", "person", {**approval, "role": "risk"})
    call("POST", f"{path}/withdraw", "rita", {"schema_version": 1, "reason": WORDS["reason"]})
    # Bundles that are none, requests that are none, addresses that are none.
    bundle = base64.b64encode(orjson.dumps({"mediaType": WORDS["bundle"]})).decode()
    call("POST", "/v1/decisions:dry-run", "person", {**document, "evidence": [{"bundle": bundle}]})
    call("POST", "/v1/promotions", "person", {**document, "surplus": WORDS["comment"]})
    call("GET", f"/{WORDS['path']}?q={WORDS['query']}", "person")
    call("GET", f"/v1/promotions?state={WORDS['query']}", "person")
    call(WORDS["path"].upper(), "/v1/policy", "person")
    # Who may not, who is nobody, whose token was changed.
    call("GET", "/v1/audit/records", "person")
    for credential in (f"{person[:-8]}AAAAAAAA", f"lgt_{WORDS['key']}", person + "."):
        response = client.get("/v1/policy", headers={"Authorization": f"Bearer {credential}"})
        problems.append(response.text)
    # What nobody foresaw, with a canary in its text and in a row that the database refuses.
    with monkeypatch.context() as broken:
        broken.setattr(watched.services.register, "list", lambda _wanted: fail())
        assert call("GET", "/v1/promotions", "person").status_code == 500
        broken.setattr(watched.services.register, "list", lambda _wanted: refuse_row(watched))
        assert call("GET", "/v1/promotions", "person").status_code == 500
    exposition = scrape(watched).text
    captured = capsys.readouterr()
    return Day(
        canaries={
            **WORDS,
            "person": PERSON,
            "subject": "canary-subject",
            "token of ours": gate.tokens["leo"],
            "token of an issuer": person,
            "its signature": person.rsplit(".", 1)[1][:-8],
            "its claims": person.split(".")[1],
        },
        written=captured.out + captured.err,
        exposition=exposition,
        spans="".join(span.to_json() for span in exporter.get_finished_spans()),
        problems=tuple(problems),
    )


def fail() -> None:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(WORDS["error"])


def refuse_row(gate: GateUnderTest) -> None:
    """Have the database refuse a row with a canary in it."""
    with gate.database.begin() as connection:
        row = {"subject": WORDS["name"]}
        connection.execute(text("CREATE TABLE canaries (subject TEXT PRIMARY KEY)"))
        for _ in range(2):
            connection.execute(text("INSERT INTO canaries VALUES (:subject)"), row)


def test_no_canary_gets_out(day: Day) -> None:
    """Logs, metrics and spans hold none; and they do tell of that day."""
    lines = [orjson.loads(line) for line in day.written.splitlines()]

    assert len([line for line in lines if line["event"] == "http_request"]) >= 15
    assert [line["raised"][0]["type"] for line in lines if line["event"] == "unforeseen_error"] == [
        "RuntimeError",
        "IntegrityError",
    ]
    for place, text_ in (("log", day.written), ("metrics", day.exposition), ("spans", day.spans)):
        assert len(text_) > 2000
        for name, canary in day.canaries.items():
            assert canary not in text_, f"{name} in the {place}"


def test_a_problem_repeats_no_secret(day: Day) -> None:
    """Whoever asked knows what they said; a problem is passed on to colleagues, so it holds none of it."""
    assert len(day.problems) >= 12
    for problem in day.problems:
        for name, canary in day.canaries.items():
            if name != "path":  # the path that nobody serves is named
                assert canary not in problem, f"{name} in {problem}"
