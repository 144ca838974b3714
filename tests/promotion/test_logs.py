"""Logs of environments: what goes where, that nothing moves later, and that no writer waits for another log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, select, text, update

from lockgate.audit import AuditLog, KindCatalogue, LogForeignError, NoteUnverifiedError, Receipt, verify_receipt
from lockgate.audit.formats.notes import make_signer
from lockgate.clock import EpochNs
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import Gate, GateSettings, Register, open_needs
from lockgate.storage import database, read_transaction, write_transaction
from lockgate.storage.idempotency import IdempotentAnswer, claim_idempotency_key
from lockgate.storage.tables import audit_head, promotion
from lockgate.web.app import create_app
from support.expositions import value
from support.gates import DAY_NS, ORIGIN, GateUnderTest, make_gate
from support.promotions import SwitchedEngine, in_parallel, verdict_of

TO_MOON = {"kind": "promote", "from": "staging", "to": "moon"}  # an environment that nobody knows
TO_STAGING = {"kind": "promote", "from": "dev", "to": "staging"}
STAGING = "staging"
PRODUCTION = "production"
OURS = (STAGING, PRODUCTION)
BUSY_ELSEWHERE = {"idempotency.key_reused", "promotion.contended"}
_WATCH = (
    "CREATE TABLE moved (transaction bigint, log text)",
    (
        "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO moved VALUES (txid_current(), NEW.log); RETURN NEW; END $$"
    ),
    "CREATE TRIGGER note_move AFTER UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION note_move()",
)


@pytest.fixture
def switched(engine: WasmEngine) -> SwitchedEngine:
    """The policy, which a test may switch off."""
    return SwitchedEngine(engine)


@pytest.fixture
def gate(tmp_path: Path, switched: SwitchedEngine, database_url: str) -> GateUnderTest:
    """A gate on either database, with a log of its own for staging and for production."""
    return make_gate(tmp_path, switched, database_url=database_url, environment_logs=OURS)


@pytest.fixture
def on_postgresql(tmp_path: Path, engine: WasmEngine, postgresql_url: str) -> GateUnderTest:
    """The same on PostgreSQL."""
    return make_gate(tmp_path, engine, database_url=postgresql_url, environment_logs=OURS)


def with_logs(gate: GateUnderTest, by_environment: Mapping[str, Any]) -> GateUnderTest:
    """The same gate after its setting was changed."""
    logs = Logs(main=gate.services.log, by_environment=by_environment)
    services = replace(
        gate.services,
        logs=logs,
        gate=Gate(
            database=gate.database,
            logs=logs,
            evaluator=gate.services.gate._decider._evaluator,
            clock=gate.clock,
            settings=GateSettings(default_trust_domain="test", promotion_ttl_ns=7 * DAY_NS, approval_ttl_ns=DAY_NS),
        ),
        register=Register(database=gate.database, logs=logs, clock=gate.clock),
        readiness=replace(gate.services.readiness, logs=logs),
    )
    return replace(gate, services=services, client=create_app(services).test_client())


def kinds(gate: GateUnderTest, log: str) -> list[str]:
    """Return the kinds of a log's records, but for the first."""
    return [record["kind"] for record in gate.records(log=log)][1:]


def another_log(gate: GateUnderTest, origin: str) -> AuditLog:
    """Return a log of another name in the gate's database."""
    return AuditLog(
        engine=gate.database,
        signer=make_signer(origin, bytes(range(32))),
        clock=gate.clock,
        catalogue=KindCatalogue({}),
        instance="test",
    )


def path_of(answer: dict[str, Any]) -> str:
    """Return where a promotion is."""
    return f"/v1/promotions/{answer['promotion']['id']}"


def log_of(answer: dict[str, Any]) -> str:
    """Return the log whose checkpoint an answer's receipt has."""
    proof: str = answer["receipt"]["proof"]
    return proof.split("\n\n")[1].split("\n", maxsplit=1)[0]


def test_all_of_a_promotion_is_in_the_log_of_its_target(gate: GateUnderTest, switched: SwitchedEngine) -> None:
    """Decisions, approvals, withdrawal, expiry and failures; and nothing of it in the main log."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    gate.call("POST", f"{path_of(asked)}/withdraw", "rita", {"schema_version": 1, "reason": "later"})
    gate.request(version="1.4.1")
    gate.clock.advance(8 * DAY_NS)
    gate.call("GET", "/v1/promotions", "rita")
    switched.broken = True
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(version="1.4.2"))
    switched.broken = False
    staged = gate.request(**TO_STAGING)

    assert kinds(gate, PRODUCTION) == [
        "gate.decision",
        "gate.approval",
        "gate.decision",
        "gate.withdrawal",
        "gate.decision",
        "gate.expiry",
        "gate.failure",
    ]
    assert (kinds(gate, STAGING), kinds(gate, MAIN_LOG)) == (["gate.decision"], [])
    assert (log_of(asked), log_of(staged)) == (f"{ORIGIN}/production", f"{ORIGIN}/staging")


def test_what_concerns_no_environment_is_in_the_main_log(gate: GateUnderTest) -> None:
    """Denials are; so is a decision on an environment that nobody knows, and one that has no log of its own."""
    gate.call("POST", "/v1/promotions", "aude", gate.request_document())
    gate.request(**TO_MOON)
    gate.request(**{"kind": "promote", "from": "staging", "to": "dev"})

    assert kinds(gate, MAIN_LOG) == ["identity.denial", "gate.decision", "gate.decision"]


def test_a_receipt_verifies_under_the_key_of_its_log_alone(gate: GateUnderTest) -> None:
    """The main log's key does not vouch for an environment's record."""
    given = gate.request()["receipt"]
    receipt = Receipt(seq=given["seq"], record=given["record"].encode(), proof=given["proof"])

    assert verify_receipt(receipt, [gate.services.logs.named(PRODUCTION).key])["kind"] == "gate.decision"
    with pytest.raises(NoteUnverifiedError):
        verify_receipt(receipt, [gate.key])


def test_what_began_in_one_log_ends_there(gate: GateUnderTest) -> None:
    """An environment that gets a log of its own later, or loses it: what is under way stays where it began."""
    before = with_logs(gate, {})
    old = before.request()
    answer = gate.approve("leo", "ml-lead", old)
    new = gate.request(version="1.4.1")

    assert answer.status_code == 201
    assert log_of(answer.json) == log_of(old) == ORIGIN
    assert log_of(new) == f"{ORIGIN}/production"
    assert gate.approve("maya", "risk", old).json["promotion"]["state"] == "allowed"
    assert kinds(gate, PRODUCTION) == ["gate.decision"]


def test_a_promotion_whose_log_is_gone_is_refused_by_name(gate: GateUnderTest) -> None:
    """Nothing of it goes to another log; the list, and promotions elsewhere, are as before."""
    asked = gate.request()
    without = with_logs(gate, {STAGING: gate.services.logs.named(STAGING)})
    answers = [
        without.call("GET", path_of(asked), "rita"),
        without.approve("leo", "ml-lead", asked),
        without.call("POST", f"{path_of(asked)}/withdraw", "rita", {"schema_version": 1, "reason": ""}),
    ]
    gate.clock.advance(8 * DAY_NS)

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {(503, "promotion.log_not_configured")}
    assert "production" in answers[0].json["detail"]
    assert [item["state"] for item in without.call("GET", "/v1/promotions", "rita").json["items"]] == ["expired"]
    assert verdict_of(without.request(**TO_STAGING)) == "allow"
    assert kinds(gate, MAIN_LOG) == []
    with pytest.raises(LogNotConfiguredError, match="production") as caught:
        without.services.register.get(asked["promotion"]["id"])
    assert caught.value.code == "promotion.log_not_configured"


def test_expiry_is_recorded_in_each_log(gate: GateUnderTest) -> None:
    """A list closes what ran out, log by log; asking about one promotion closes those of its log alone."""
    gate_before = with_logs(gate, {})
    gate_before.request(version="1.4.0")
    asked = gate.request(version="1.4.1")
    gate.clock.advance(8 * DAY_NS)

    assert gate.call("GET", path_of(asked), "rita").json["promotion"]["state"] == "expired"
    assert (kinds(gate, MAIN_LOG)[-1], kinds(gate, PRODUCTION)[-1]) == ("gate.decision", "gate.expiry")
    assert len(gate.call("GET", "/v1/promotions", "rita").json["items"]) == 2
    assert kinds(gate, MAIN_LOG)[-1] == "gate.expiry"


def test_an_idempotency_key_is_one_for_all_logs(gate: GateUnderTest) -> None:
    """The same key for another environment is refused; the same request is answered as before, from its log."""
    document = gate.request_document()
    first = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")
    again = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")
    other = gate.call("POST", "/v1/promotions", "rita", gate.request_document(**TO_STAGING), Idempotency_Key="k")

    assert first.json == again.json
    assert (other.status_code, other.json["code"]) == (422, "idempotency.key_reused")
    assert kinds(gate, STAGING) == []


def test_one_key_at_the_same_moment_in_two_logs_decides_once(on_postgresql: GateUnderTest) -> None:
    """The logs' locks do not order the two; the one that comes second is refused, or told to come back."""
    gate = on_postgresql
    documents = [gate.request_document(), gate.request_document(**TO_STAGING)]

    def ask(document: dict[str, Any], key: str) -> Callable[[], Any]:
        client = gate.client.application.test_client()
        return lambda: replace(gate, client=client).call(
            "POST", "/v1/promotions", "rita", document, Idempotency_Key=key
        )

    for number in range(5):
        answers = in_parallel(*(ask(document, f"k{number}") for document in documents))
        again = [ask(document, f"k{number}")().status_code for document in documents]
        assert sum(answer.status_code in {201, 202} for answer in answers) == 1
        assert sum(answer.json.get("code") in BUSY_ELSEWHERE for answer in answers) == 1
        assert max(again) == 422
    assert len(kinds(gate, STAGING)) + len(kinds(gate, PRODUCTION)) == 5


def test_a_key_that_is_being_used_elsewhere_holds_nobody_up(on_postgresql: GateUnderTest) -> None:
    """Whoever comes second is told to come back, at once; and then what the key stands for."""
    gate = on_postgresql
    taken = gate.request()["promotion"]["id"]
    document = gate.request_document(version="1.4.1")
    with write_transaction(gate.database) as connection:
        assert claim(connection, "k", taken)
        busy = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")
        other = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="another")
    after = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")

    assert (busy.status_code, busy.json["code"], other.status_code) == (503, "promotion.contended", 202)
    assert (after.status_code, after.json["code"]) == (422, "idempotency.key_reused")


def test_crossed_keys_make_no_circle(on_postgresql: GateUnderTest) -> None:
    """Two transactions that each want the key that the other has: neither waits."""
    gate = on_postgresql
    with write_transaction(gate.database) as one, write_transaction(gate.database) as other:
        assert claim(one, "k1", "p")
        assert claim(other, "k2", "p")
        assert not claim(one, "k2", "p")
        assert not claim(other, "k1", "p")
        assert not claim(one, "k1", "p")


def claim(connection: Connection, key: str, promotion_id: str) -> bool:
    """Use a key of Rita's for a promotion."""
    answer = IdempotentAnswer(request_sha256="0" * 64, promotion_id=promotion_id, decision_id=promotion_id)
    return claim_idempotency_key(connection, subject="rita", key=key, answer=answer, now=EpochNs(1))


@contextmanager
def locked(gate: GateUnderTest, log: str) -> Iterator[None]:
    """Hold a log's head row, as another program's session that stands still does."""
    url = gate.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM audit_head WHERE log = %s FOR UPDATE", [gate.services.logs.named(log).origin])
        yield
        connection.rollback()


def test_who_writes_to_one_log_does_not_wait_for_another(
    on_postgresql: GateUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With staging's log held up, production decides, approves, shows and lists; only staging is told to come back."""
    gate = on_postgresql
    before = gate.request(**TO_STAGING, version="1.3.0")
    gate.request(**TO_STAGING, version="1.3.1")
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.3)
    with locked(gate, STAGING):
        asked = gate.request()
        approved = gate.approve("leo", "ml-lead", asked)
        shown = gate.call("GET", path_of(asked), "rita")
        seen = gate.call("GET", path_of(before), "rita")
        refused = gate.call("POST", "/v1/promotions", "rita", gate.request_document(**TO_STAGING))

    assert (approved.status_code, shown.status_code, seen.status_code) == (201, 200, 200)
    assert (refused.status_code, refused.json["code"]) == (503, "storage.busy")
    assert gate.call("POST", "/v1/promotions", "rita", gate.request_document(**TO_STAGING)).status_code == 201


def test_what_ran_out_in_another_log_holds_nobody_up(
    on_postgresql: GateUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its expiry is recorded when its log can be written; approving elsewhere never tries to."""
    gate = on_postgresql
    old = with_logs(gate, {PRODUCTION: gate.services.logs.named(STAGING)}).request()  # pends in staging's log
    with write_transaction(gate.database) as connection:
        connection.execute(update(promotion).where(promotion.c.id == old["promotion"]["id"]).values(log=STAGING))
    gate.clock.advance(8 * DAY_NS)
    asked = gate.request()
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.3)
    with locked(gate, STAGING):
        approved = gate.approve("leo", "ml-lead", asked)
        listed = gate.call("GET", "/v1/promotions", "rita")

    assert approved.status_code == 201
    assert [item["state"] for item in listed.json["items"]] == ["pending", "expired"]
    assert kinds(gate, STAGING)[-1] == "gate.decision"
    gate.call("GET", "/v1/promotions", "rita")
    assert kinds(gate, STAGING)[-1] == "gate.expiry"


def test_no_transaction_writes_to_two_logs(on_postgresql: GateUnderTest) -> None:
    """Whoever locked two could wait for somebody who waits for him. The database itself notes who moves which head."""
    gate = on_postgresql
    with gate.database.begin() as connection:
        for statement in _WATCH:
            connection.execute(text(statement))
    asked = gate.request()
    gate.request(**TO_STAGING)
    gate.request(**TO_MOON)
    gate.approve("leo", "ml-lead", asked)
    gate.call("POST", f"{path_of(asked)}/withdraw", "rita", {"schema_version": 1, "reason": ""})
    gate.call("POST", "/v1/promotions", "aude", gate.request_document())
    with_logs(gate, {}).request(version="1.4.1")
    gate.request(version="1.4.2")
    gate.clock.advance(8 * DAY_NS)
    gate.call("GET", "/v1/promotions", "rita")
    with gate.database.connect() as connection:
        logs = [set(row) for row in connection.scalars(text("SELECT array_agg(log) FROM moved GROUP BY transaction"))]

    assert len(logs) == 11
    assert {len(moved) for moved in logs} == {1}
    assert len(set.union(*logs)) == 3


def test_readiness_looks_at_each_log(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that does not end as it was signed makes the instance not ready, whichever it is."""
    monkeypatch.setattr("lockgate.readiness.FRESH_S", 0.0)
    assert gate.call("GET", "/readyz", None).json["ready"]
    production = gate.services.logs.named(PRODUCTION).origin
    with write_transaction(gate.database) as connection:
        connection.execute(update(audit_head).where(audit_head.c.log == production).values(size=audit_head.c.size + 1))
    checks = {check["name"]: check for check in gate.call("GET", "/readyz", None).json["checks"]}

    assert (checks["audit_log"]["ok"], checks["audit_log"]["detail"]) == (False, "audit.log_inconsistent")


def test_a_damaged_log_stops_its_environment_alone(gate: GateUnderTest) -> None:
    """What is signed wrongly in one log is no reason not to decide for another environment."""
    asked = gate.request()
    staging = gate.services.logs.named(STAGING).origin
    with write_transaction(gate.database) as connection:
        connection.execute(update(audit_head).where(audit_head.c.log == staging).values(size=audit_head.c.size + 1))
    refused = gate.call("POST", "/v1/promotions", "rita", gate.request_document(**TO_STAGING))

    assert gate.approve("leo", "ml-lead", asked).status_code == 201
    assert (refused.status_code, refused.json["code"]) == (503, "audit.log_inconsistent")


def test_each_log_is_measured(gate: GateUnderTest) -> None:
    """Size and newest record carry the log's name, one series for each log."""
    gate.request()
    exposition = gate.call("GET", "/metrics", "otto").text

    assert value(exposition, "lockgate_ledger_records_total", log=f"{ORIGIN}/production") == 2
    assert value(exposition, "lockgate_ledger_records_total", log=f"{ORIGIN}/staging") == 1
    assert value(exposition, "lockgate_ledger_records_total", log=ORIGIN) == 1


def test_a_log_is_asked_for_by_its_environment(gate: GateUnderTest) -> None:
    """Records, receipts, checkpoint, key and proofs of the log that `log` names; reading it is recorded in it."""
    gate.request()
    read = {
        path: gate.call("GET", f"/v1/audit/{path}{'&' if '?' in path else '?'}log=production", "aude")
        for path in ("records?kind=gate.decision", "records/1", "checkpoint", "key", "proofs/inclusion?seq=0&size=2")
    }
    origin = f"{ORIGIN}/production"

    assert {answer.status_code for answer in read.values()} == {200}
    assert f'"log":"{origin}"' in read["records?kind=gate.decision"].json["items"][0]["record"]
    assert f'"log":"{origin}"' in read["records/1"].json["record"]
    assert read["checkpoint"].text.startswith(f"{origin}\n4\n")
    assert read["key"].text == f"{gate.services.logs.named(PRODUCTION).key}\n"
    assert kinds(gate, PRODUCTION) == ["gate.decision", "log.read", "log.read"]
    assert gate.call("GET", "/v1/audit/key", "aude").text == f"{gate.key}\n"


@pytest.mark.parametrize("log", ["moon", "dev"])
@pytest.mark.parametrize("path", ["records", "records/0", "checkpoint", "key", "proofs/consistency?old=1&new=1"])
def test_a_log_that_is_not_there_is_not_found(gate: GateUnderTest, path: str, log: str) -> None:
    """Whatever is asked of it; the main log does not stand in for it."""
    answer = gate.call("GET", f"/v1/audit/{path}{'&' if '?' in path else '?'}log={log}", "aude")
    tiled = gate.call("GET", f"/audit/logs/{log}/checkpoint", "aude")

    assert (answer.status_code, answer.json["code"]) == (404, "audit.record_unknown")
    assert (tiled.status_code, tiled.json["code"]) == (404, "audit.record_unknown")


@pytest.mark.parametrize("log", ["", "..", "Production", "a/b", "log=a&log=b"])
def test_a_log_has_one_spelling(gate: GateUnderTest, log: str) -> None:
    """An empty name is not the main log: a script whose variable is empty must not read another log than it thinks."""
    assert gate.call("GET", f"/v1/audit/checkpoint?log={log}", "aude").status_code == 400


def test_each_log_has_its_own_tiles(tmp_path: Path, engine: WasmEngine) -> None:
    """Below a prefix of its own, which environments named like a part of the main one's cannot take."""
    gate = make_gate(tmp_path, engine, environment_logs=("tile", "checkpoint", "logs"))
    for name in ("tile", "checkpoint", "logs"):
        prefix = f"/audit/logs/{name}"
        assert gate.call("GET", f"{prefix}/checkpoint", "aude").text.startswith(f"{ORIGIN}/{name}\n1\n")
        assert f"/{name}" in gate.call("GET", f"{prefix}/tile/entries/000.p/1", "aude").text
    assert gate.call("GET", "/audit/checkpoint", "aude").text.startswith(f"{ORIGIN}\n")
    assert gate.call("GET", "/audit/tile/0/000.p/1", "aude").status_code == 200
    assert gate.call("GET", "/audit/logs/tile/checkpoint", "rita").status_code == 403


def test_a_strange_log_is_not_begun_beside_ours(gate: GateUnderTest) -> None:
    """A log may begin beside one whose name it continues, and beside no other."""
    for origin in ("test.lockgate.example/auditor", "else.example/audit", "test.lockgate.example"):
        with pytest.raises(LogForeignError) as caught:
            another_log(gate, origin).create()
        assert caught.value.code == "audit.log_foreign"
    another_log(gate, f"{ORIGIN}/canary").create()


def test_rows_name_the_log(gate: GateUnderTest) -> None:
    """The environment's name, or nothing for the main log: what `LOCKGATE_ENVIRONMENT_LOGS` says."""
    gate.request()
    gate.request(**TO_MOON)
    with gate.database.connect() as connection:
        assert list(connection.scalars(select(promotion.c.log).order_by(promotion.c.number))) == [PRODUCTION, ""]


def test_time_goes_on_in_each_log_by_itself(gate: GateUnderTest) -> None:
    """A clock that goes back holds one log's records at its newest time, and no other log's."""
    gate.clock.advance(120_000_000_000)
    gate.request()
    newest = gate.records(log=PRODUCTION)[-1]["ts"]
    gate.clock.now = EpochNs(gate.clock.now - 60_000_000_000)
    gate.request(**TO_STAGING)
    gate.request(version="1.4.1")

    assert gate.records(log=STAGING)[-1]["ts"] < newest
    assert gate.records(log=PRODUCTION)[-1]["ts"] == newest


def test_a_log_is_pruned_whatever_is_open_in_another(gate: GateUnderTest) -> None:
    """An open promotion needs its decision, approvals, bundles and key of its own log, and of no other."""
    asked = gate.request()
    with read_transaction(gate.database) as connection:
        needs = {name: open_needs(connection, gate.clock.now, name) for name in gate.services.logs.names()}

    assert needs[PRODUCTION].records == (asked["decision"]["id"],)
    assert needs[PRODUCTION].attachments != ()
    assert [(needs[name].records, needs[name].attachments) for name in (MAIN_LOG, STAGING)] == [((), ())] * 2
