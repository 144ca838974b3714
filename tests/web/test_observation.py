"""What is counted and looked up, what a log line holds, and that neither names a person or a model."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lockgate.errors import LockgateError
from lockgate.identity import parse_principal
from lockgate.policy.wasm import WasmEngine
from lockgate.web import gauges
from lockgate.web.scrapers import SCRAPERS_MAX, Scrapers
from lockgate.web.shared_counters import SharedCounters
from support.databases import PostgreSQLServer
from support.expositions import samples, scrape, seed, value
from support.gates import DAY_NS, GateUnderTest, make_gate
from support.issuers import issuer_table, key_set, rsa_key

PRODUCTION = {"to_env": "production"}


# --- what is counted ---------------------------------------------------------------------------------------------


def test_requests_decisions_and_rules_are_counted(gate: GateUnderTest) -> None:
    """A request, its decisions, each rule and each piece of evidence count once."""
    seed(gate)
    exposition = scrape(gate).text

    def requests(to_env: str, outcome: str) -> float | None:
        return value(exposition, "lockgate_promotion_requests_total", to_env=to_env, kind="promote", outcome=outcome)

    assert requests("production", "pending") == 2
    assert requests("other", "deny") == 1
    assert value(exposition, "lockgate_decisions_total", verdict="pending", **PRODUCTION) == 3
    assert value(exposition, "lockgate_decisions_total", verdict="allow", **PRODUCTION) == 1
    assert value(exposition, "lockgate_decisions_total", verdict="deny", to_env="other") == 1
    modes = {sample.labels["mode"] for sample in samples(exposition) if sample.name == "lockgate_rule_results_total"}
    assert modes == {"enforce", "dry_run"}
    assert value(exposition, "lockgate_signature_verifications_total", result="unsupported_bundle") == 1
    assert (value(exposition, "lockgate_signature_verifications_total", result="verified") or 0) >= 4
    assert value(exposition, "lockgate_problems_total", code="identity.unauthenticated") == 1


def test_an_answer_given_again_is_no_new_decision(gate: GateUnderTest) -> None:
    """An Idempotency-Key that comes again counts as that and nothing else."""
    document = gate.request_document()
    for _ in range(3):
        gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="once")
    exposition = scrape(gate).text

    assert value(exposition, "lockgate_decisions_total", verdict="pending", **PRODUCTION) == 1
    name = "lockgate_promotion_requests_total"
    assert value(exposition, name, kind="promote", outcome="pending", **PRODUCTION) == 1
    assert value(exposition, name, kind="promote", outcome="replayed", **PRODUCTION) == 2


def test_people_s_time_is_measured(gate: GateUnderTest) -> None:
    """From the request to each approval by role, and to the decision that allows."""
    answer = gate.request()
    gate.clock.advance(2 * 3_600_000_000_000)
    gate.approve("leo", "ml-lead", answer)
    gate.clock.advance(DAY_NS)
    gate.approve("maya", "risk", answer)
    exposition = scrape(gate).text

    assert value(exposition, "lockgate_approval_latency_seconds_sum", role="ml-lead", **PRODUCTION) == 7200
    assert value(exposition, "lockgate_approval_latency_seconds_sum", role="risk", **PRODUCTION) == 93600
    assert value(exposition, "lockgate_approval_latency_seconds_bucket", role="risk", le="86400.0", **PRODUCTION) == 0
    assert value(exposition, "lockgate_approval_latency_seconds_bucket", role="risk", le="172800.0", **PRODUCTION) == 1
    assert value(exposition, "lockgate_lead_time_seconds_sum", **PRODUCTION) == 93600
    assert value(exposition, "lockgate_lead_time_seconds_count", **PRODUCTION) == 1


def test_each_step_is_timed(gate: GateUnderTest) -> None:
    """The policy's answer, the evidence and the log each have their own figure; reading uses none of them."""
    gate.request()
    gate.call("GET", "/v1/policy", "rita")
    exposition = scrape(gate).text

    assert value(exposition, "lockgate_opa_request_seconds_count", query="promotion") == 1
    assert value(exposition, "lockgate_evidence_verification_seconds_count") == 1
    assert (value(exposition, "lockgate_ledger_append_seconds_count") or 0) >= 1


def test_a_step_that_fails_is_timed_too(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy engine that answers too late is what the figure is wanted for."""
    monkeypatch.setattr(gate.services.gate._decider._evaluator, "_timeout_s", 0.0)
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document())
    exposition = scrape(gate).text

    assert response.status_code == 503
    assert value(exposition, "lockgate_opa_request_seconds_count", query="promotion") == 1
    assert value(exposition, "lockgate_problems_total", code="policy.unavailable") == 1


def test_what_is_in_flight_returns_to_nothing(gate: GateUnderTest) -> None:
    """Whatever becomes of a request, it is not counted as being answered for ever."""
    gate.request()
    gate.call("GET", "/nowhere", "rita")
    gate.client.get("/metrics")

    assert value(scrape(gate).text, "lockgate_http_requests_in_flight") == 1  # the scrape itself


# --- what is looked up -------------------------------------------------------------------------------------------


def test_what_waits_is_looked_up(gate: GateUnderTest) -> None:
    """Open requests and the oldest one's age by environment; where nothing waits, nothing is said to."""
    gate.request()
    gate.clock.advance(3_600_000_000_000)
    gate.request()
    exposition = scrape(gate).text

    assert value(exposition, "lockgate_scrape_ok") == 1
    assert value(exposition, "lockgate_open_requests", state="pending", **PRODUCTION) == 2
    assert value(exposition, "lockgate_open_requests", state="expired", **PRODUCTION) == 0
    assert value(exposition, "lockgate_open_requests", state="pending", to_env="staging") == 0
    assert value(exposition, "lockgate_oldest_open_request_seconds", **PRODUCTION) == 3600
    assert value(exposition, "lockgate_oldest_open_request_seconds", to_env="staging") is None


def test_what_ran_out_waits_for_nobody(gate: GateUnderTest) -> None:
    """A promotion past its end is no more pending; that it is not recorded yet is shown."""
    gate.request()
    gate.clock.advance(8 * DAY_NS)
    exposition = scrape(gate).text

    assert value(exposition, "lockgate_open_requests", state="pending", **PRODUCTION) == 0
    assert value(exposition, "lockgate_open_requests", state="expired", **PRODUCTION) == 1
    assert value(exposition, "lockgate_oldest_open_request_seconds", **PRODUCTION) is None


def test_the_log_s_ending_is_looked_up_and_checked(gate: GateUnderTest) -> None:
    """Its size, its newest record's time, and that it ends as it was signed."""
    gate.request()
    exposition, size, now_s = scrape(gate).text, len(gate.records()), gate.clock.now / 1e9

    assert value(exposition, "lockgate_ledger_records_total", log=gate.services.log.origin) == size
    assert value(exposition, "lockgate_ledger_newest_record_timestamp_seconds", log=gate.services.log.origin) == now_s
    assert value(exposition, "lockgate_ledger_verify_ok") == 1
    assert value(exposition, "lockgate_ledger_last_verified_timestamp_seconds") == now_s


def test_a_changed_log_is_not_whole(gate: GateUnderTest) -> None:
    """A record changed behind the log's back shows at the next look, and the time of the last good one stays."""
    before = value(scrape(gate).text, "lockgate_ledger_last_verified_timestamp_seconds")
    with gate.database.begin() as connection:
        connection.execute(text("UPDATE audit_head SET size = size + 1"))
    gate.clock.advance(DAY_NS)
    later = look_again(gate)

    assert value(later, "lockgate_ledger_verify_ok") == 0
    assert value(later, "lockgate_ready", part="audit_log") == 0
    assert value(later, "lockgate_ready", part="policy") == 1
    assert value(later, "lockgate_ledger_last_verified_timestamp_seconds") == before


def test_versions_and_ends_of_trust_are_looked_up(gate: GateUnderTest) -> None:
    """The policy revision in force, and until when each trust domain accepts new signatures."""
    exposition = scrape(gate).text
    (build,) = [sample for sample in samples(exposition) if sample.name == "lockgate_build_info"]
    (trust,) = [sample for sample in samples(exposition) if sample.name.startswith("lockgate_trust_domain")]

    assert build.labels["policy_digest"] == gate.services.policy.revision()
    assert trust.labels == {"trust_domain": "test"}
    assert trust.value > gate.clock.now / 1e9


def test_the_age_of_issuers_keys_is_looked_up(tmp_path: Path, engine: WasmEngine) -> None:
    """How long ago each issuer's keys were read; of one whose keys nobody has yet, nothing."""
    (tmp_path / "keys.json").write_bytes(key_set(rsa_key()))
    here = issuer_table(name="here", kind="other", url="https://here.example", jwks_file="keys.json")
    gate = make_gate(tmp_path, engine, issuers=(here,))
    gate.clock.advance(90_000_000_000)

    assert value(scrape(gate).text, "lockgate_issuer_keys_age_seconds", issuer="here") == 90


def look_again(gate: GateUnderTest) -> str:
    """Scrape when what was looked up is too old to be told again."""
    (patch := pytest.MonkeyPatch()).setattr(gauges, "FRESH_S", -1.0)
    with patch.context():
        found: str = scrape(gate).text
    patch.undo()
    return found


def test_scrapers_share_a_look(gate: GateUnderTest) -> None:
    """Two scrapes within seconds cost one look at the database."""
    first = scrape(gate).text
    gate.request()
    second = scrape(gate).text

    assert value(first, "lockgate_open_requests", state="pending", **PRODUCTION) == 0
    assert value(second, "lockgate_open_requests", state="pending", **PRODUCTION) == 0
    assert value(look_again(gate), "lockgate_open_requests", state="pending", **PRODUCTION) == 1


# --- without a database ------------------------------------------------------------------------------------------


def test_a_scrape_needs_no_database(gate: GateUnderTest) -> None:
    """While the database cannot be read, who scraped before still gets the counters, and is told what is missing."""
    gate.request()
    scrape(gate)
    with gate.database.begin() as connection:
        connection.execute(text("ALTER TABLE token RENAME TO gone"))
    response = scrape(gate)

    assert response.status_code == 200
    assert value(response.text, "lockgate_scrape_ok") == 0
    assert value(response.text, "lockgate_open_requests", state="pending", **PRODUCTION) is None
    assert value(response.text, "lockgate_ledger_verify_ok") is None
    assert value(response.text, "lockgate_decisions_total", verdict="pending", **PRODUCTION) == 1
    assert gate.call("GET", "/v1/promotions", "otto").status_code == 503


def test_a_server_that_is_gone_is_told_in_time(
    tmp_path: Path, engine: WasmEngine, postgresql_url: str, postgresql_server: PostgreSQLServer
) -> None:
    """On PostgreSQL, too, figures are looked up; while the server is away a scrape answers, and after it as before."""
    gate = make_gate(tmp_path, engine, database_url=postgresql_url)
    gate.request()
    before = look_again(gate)
    postgresql_server.stop(crash=True)
    started = time.monotonic()
    meanwhile = scrape(gate)
    took_s = time.monotonic() - started
    postgresql_server.start()
    after = look_again(gate)
    gate.database.dispose()

    assert value(before, "lockgate_open_requests", state="pending", **PRODUCTION) == 1
    assert (meanwhile.status_code, value(meanwhile.text, "lockgate_scrape_ok")) == (200, 0)
    assert took_s < 10  # what Prometheus gives a scrape
    assert value(after, "lockgate_scrape_ok") == 1
    assert value(after, "lockgate_open_requests", state="pending", **PRODUCTION) == 1


def test_without_a_database_a_stranger_gets_no_metrics(gate: GateUnderTest) -> None:
    """A token that was not found good for metrics a short while ago is answered as the database is: not at all."""
    scrape(gate)
    with gate.database.begin() as connection:
        connection.execute(text("ALTER TABLE token RENAME TO gone"))

    assert gate.call("GET", "/metrics", "rita").status_code == 503
    assert gate.call("GET", "/metrics", None).status_code == 401


def test_figures_that_cannot_be_read_are_absent(gate: GateUnderTest) -> None:
    """Where only the promotions cannot be read, no number of them is made up."""
    with gate.database.begin() as connection:
        connection.execute(text("ALTER TABLE promotion RENAME TO gone"))
    exposition = look_again(gate)

    assert value(exposition, "lockgate_scrape_ok") == 0
    assert "lockgate_open_requests" not in exposition
    assert value(exposition, "lockgate_ready", part="database") is not None


def test_a_scrape_does_not_hang(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too long to look up is left out, and looked up once, however many scrape meanwhile."""
    looks = []

    def slow() -> tuple[()]:
        looks.append(1)
        time.sleep(1.0)
        return ()

    monkeypatch.setattr(gauges, "WAIT_S_MAX", 0.05)
    monkeypatch.setattr(gauges, "FRESH_S", -1.0)
    monkeypatch.setattr(gate.services.register, "waiting", slow)
    started = time.monotonic()
    texts = [scrape(gate).text for _ in range(3)]

    assert time.monotonic() - started < 0.9
    assert [value(exposition, "lockgate_scrape_ok") for exposition in texts] == [0, 0, 0]
    assert looks == [1]


def test_credentials_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest few, by their hash, for an hour."""
    from lockgate.web import scrapers as module  # noqa: PLC0415 - this test alone

    scrapers = Scrapers()
    for number in range(SCRAPERS_MAX + 1):
        scrapers.remember(f"Bearer {number}")

    assert not scrapers.knows("Bearer 0")
    assert scrapers.knows("Bearer 1")
    assert "Bearer" not in repr(scrapers._seen_s)
    monkeypatch.setattr(module, "REMEMBERED_S", 0.0)
    assert not scrapers.knows("Bearer 1")


# --- labels ------------------------------------------------------------------------------------------------------

HOSTILE = st.text(min_size=1, max_size=24).filter(lambda text_: text_.strip() != "")
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)


@pytest.fixture(scope="module")
def shared_gate(tmp_path_factory: pytest.TempPathFactory, engine: WasmEngine) -> GateUnderTest:
    """One gate for all hostile requests, warmed up with everything that is usual."""
    gate = make_gate(tmp_path_factory.mktemp("gate"), engine)
    seed(gate)
    for path in ("/v1/policy", "/readyz", "/livez"):
        gate.call("GET", path, "rita")
    return gate


# What strangers may add to the series of the warm gate: outcomes that had not come yet, each with a few samples.
SERIES_MORE_MAX = 120


@given(
    to=NAME,
    model=NAME,
    method=st.sampled_from(["GET", "POST", "PUT", "BREW", "X" * 30]),
    path=st.text("abc/%.:<>\"'{}\n", min_size=1, max_size=20),
    trace=HOSTILE,
    who=st.sampled_from(["rita", "leo", "otto", None]),
    role=NAME,
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_makes_the_number_of_series_grow(  # noqa: PLR0913 - each argument is one thing that a caller chooses
    shared_gate: GateUnderTest,
    *,
    to: str,
    model: str,
    method: str,
    path: str,
    trace: str,
    who: str | None,
    role: str,
) -> None:
    """Whatever callers write, labels hold our own words, and there are only so many."""
    gate = shared_gate
    before = _BASE.setdefault(id(gate), {sample_key(sample) for sample in samples(scrape(gate).text)})
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(to=f"{to}-canary", model=f"{model}-canary"))
    gate.call(
        method, "/x" + path.replace("\n", "%0A") + "canary", who, X_Request_Id=repr(trace), traceparent=repr(trace)
    )
    pending = gate.call("GET", "/v1/promotions?state=pending", "rita").json["items"]
    if pending:
        gate.approve("leo", f"{role}-canary", {"promotion": pending[0]})
    exposition = scrape(gate).text
    after = {sample_key(sample) for sample in samples(exposition)}

    assert "canary" not in exposition
    assert len(after - before) <= SERIES_MORE_MAX


_BASE: dict[int, set[tuple[str, tuple[tuple[str, str], ...]]]] = {}


def sample_key(sample: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what makes a series."""
    return sample.name, tuple(sorted(sample.labels.items()))


def test_codes_are_those_of_our_errors(gate: GateUnderTest) -> None:
    """Every code in a label is an error's, so their number is bounded by the source."""
    seed(gate)
    gate.call("GET", "/nowhere", "rita")
    gate.call("POST", "/v1/promotions", "rita", {"schema_version": 1})

    def codes(kind: type[LockgateError]) -> set[str]:
        return {kind.code}.union(*(codes(each) for each in kind.__subclasses__()))

    seen = {sample.labels["code"] for sample in samples(scrape(gate).text) if sample.name == "lockgate_problems_total"}
    assert seen <= codes(LockgateError) | {"http.not_found", "http.method_not_allowed"}
    assert {"http.not_found", "schema.invalid"} <= seen


# --- the log line ------------------------------------------------------------------------------------------------


def test_a_user_is_not_named_in_the_log(gate: GateUnderTest) -> None:
    """A line says that a user called; who it was is in the audit log, under the same trace."""
    with structlog.testing.capture_logs() as lines:
        answer = gate.request()
    (line,) = [line for line in lines if line["event"] == "http_request"]
    (record,) = gate.records("gate.decision")

    assert answer["decision"]["verdict"] == line["verdict"] == "pending"
    assert line["principal"] == "user"
    assert record["trace"] == line["trace"]
    assert record["actor"]["id"] == "rita"
    assert "rita" not in repr(lines)


def test_a_machine_is_named_in_the_log(gate: GateUnderTest) -> None:
    """A pipeline is no person, and whoever operates the gate must tell them apart."""
    gate.identities.put_principal(
        parse_principal(subject="ci-fraud", type="machine", roles=["requester"], identities=[])
    )
    secret = gate.identities.create_token("ci-fraud", DAY_NS).secret
    with structlog.testing.capture_logs() as lines:
        gate.client.get("/v1/policy", headers={"Authorization": f"Bearer {secret}"})

    assert [line["principal"] for line in lines if line["event"] == "http_request"] == ["machine:ci-fraud"]


def test_a_path_that_nobody_serves_is_not_in_the_log(gate: GateUnderTest) -> None:
    """A line has the route as it is written in the source, or that there was none, and no method of a stranger's."""
    with structlog.testing.capture_logs() as lines:
        gate.call("BREW", "/canary?canary=1", "rita")
        gate.call("GET", "/v1/promotions/0199c0de-0000-7000-8000-00000000e001?canary=1", "rita")

    routes = [(line["method"], line["route"]) for line in lines if line["event"] == "http_request"]
    assert routes == [("other", "unmatched"), ("GET", "/v1/promotions/<uuid:promotion_id>")]
    assert "canary" not in repr(lines)


# --- the folder of counters --------------------------------------------------------------------------------------

_HOLD = """
import sys, time
from pathlib import Path
from lockgate.web.shared_counters import SharedCounters
held = SharedCounters(Path(sys.argv[1]))
print("made", flush=True)
time.sleep(60)
"""


def test_a_killed_instance_s_counters_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody holds any more goes at the next start; what a living instance holds stays."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    (tmp_path / "metrics-notes.txt").write_text("not a folder of counters")
    living, killed = (
        (subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE)) for _ in "12"
    )
    try:
        for process in (living, killed):
            assert process.stdout is not None
            assert process.stdout.readline() == b"made\n"
        killed.kill()
        killed.wait()
        both = sorted(folder.name for folder in tmp_path.glob("metrics-*/"))
        mine = SharedCounters(tmp_path)
        after = sorted(folder.name for folder in tmp_path.glob("metrics-*/"))
        mine.remove()
        left = sorted(folder.name for folder in tmp_path.glob("metrics-*/"))
    finally:
        for process in (living, killed):
            process.kill()
            process.communicate()

    assert len(both) == 2
    assert len(after) == 2
    assert len(left) == 1
    assert set(left) < set(both)
    assert (tmp_path / "metrics-notes.txt").exists()
