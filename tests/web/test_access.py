"""Nothing but health is open; each role may do what the policy says, and no more; denials are recorded."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from sqlalchemy import event

from lockgate.audit.kinds import RESERVED_WORDS
from lockgate.authorization import ANSWERS_MAX, DENIAL, LISTED_MAX, REPEAT_NS
from lockgate.cli.role_matrix import MatrixRow, matrix_markdown, role_matrix
from lockgate.identity import ROLE_EXAMPLES, NotPermittedError, Principal, parse_principal
from lockgate.policy import (
    AuthzInput,
    AuthzResult,
    PolicyCatalogue,
    PolicyInput,
    PolicyResult,
    PolicyRevision,
    PolicyUnavailableError,
)
from lockgate.policy.wasm import WasmEngine
from lockgate.schemas import check_schema
from lockgate.storage import StorageError
from lockgate.web.api.openapi import OPERATIONS
from lockgate.web.authentication import is_open
from lockgate.web.authorization import operation, operation_of
from support.gates import DAY_NS, PEOPLE, GateUnderTest, make_gate

ANY_ID = "01a1ee56-5e00-7cf9-af7f-e207b52d6636"
ROLES_PAGE = Path(__file__).parents[2] / "docs" / "roles.md"
TRACE = "01a1ee56-5e00-7cf9-af7f-e207b52d0001"
PARAMETERS = {
    "{promotion_id}": ANY_ID,
    "{delivery_id}": ANY_ID,
    "{finding_id}": ANY_ID,
    "{name}": "fraud-detector",
    "{version}": "1.4.0",
    "{digest}": "sha256:" + "a" * 64,
    "{source}": "main",
    "{seq}": "0",
    "{tile}": "0/000.p/1",
    "{environment}": "production",
}
QUERIES = {"/v1/audit/proofs/inclusion": "?seq=0&size=1", "/v1/audit/proofs/consistency": "?old=1&new=1"}


def concrete(path: str) -> str:
    """Return a path that can be called."""
    path = path.replace("/v1/holds/{name}/{environment}", "/v1/holds/{name}/dev")  # where the matrix names nobody
    for name, value in PARAMETERS.items():
        path = path.replace(name, value)
    return path + QUERIES.get(path, "")


EVERYTHING = [(route.method.upper(), concrete(route.path)) for route in OPERATIONS if not route.open]
READING = [path for method, path in EVERYTHING if method == "GET"]


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A gate with every kind of route, also those of an environment's log."""
    return make_gate(tmp_path, engine, environment_logs=("production",))


class WatchedEngine:
    """Passes everything on; counts the calls about which it is asked, and gives no answer when it is broken."""

    name = "opa-wasm"

    def __init__(self, engine: WasmEngine) -> None:
        self.engine = engine
        self.asked = 0
        self.broken = False

    def catalogue(self) -> PolicyCatalogue:
        """Return the engine's catalogue."""
        return self.engine.catalogue()

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate."""
        return self.engine.evaluate(document, timeout_s=timeout_s)

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Authorise, unless broken."""
        self.asked += 1
        if self.broken:
            raise PolicyUnavailableError("switched off")
        return self.engine.authorize(document, timeout_s=timeout_s)


class OtherEngine(WatchedEngine):
    """Another policy revision, which permits nothing."""

    revision = PolicyRevision("sha256:" + "0" * 64)

    def catalogue(self) -> PolicyCatalogue:
        """Return the catalogue of the other revision."""
        return replace(self.engine.catalogue(), revision=self.revision)

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Deny, whatever the engine says."""
        asked = AuthzInput({**document, "policy_revision": self.engine.catalogue().revision})
        answer = self.engine.authorize(asked, timeout_s=timeout_s)
        return replace(answer, allow=False, reason="closed", revision=self.revision)


class OpenEngine(WatchedEngine):
    """A policy that permits everything to everybody."""

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Permit, whatever the engine says."""
        return replace(self.engine.authorize(document, timeout_s=timeout_s), allow=True, reason="granted")


def everybody(gate: GateUnderTest) -> GateUnderTest:
    """Add a principal for each role alone, of the role's name, and one without any."""
    tokens = dict(gate.tokens)
    for heading, role in {**ROLE_EXAMPLES, "nobody": ""}.items():
        roles = [role] if role else []
        principal = parse_principal(subject=role or "nobody", type="user", roles=roles, identities=())
        gate.identities.put_principal(principal)
        tokens[heading] = gate.identities.create_token(principal.subject, DAY_NS).secret
    return replace(gate, tokens=tokens)


def test_every_route_has_one_operation(gate: GateUnderTest) -> None:
    """Each route of the application is open to all, or marked with the operation that the API's description names."""
    marked = {}
    views = gate.client.application.view_functions
    for rule in gate.client.application.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule)
        for method in rule.methods - {"HEAD"}:
            view = views[rule.endpoint]
            assert is_open(view) == (operation_of(view) is None), path
            marked[method, path] = operation_of(view) or ""

    assert marked == {(route.method.upper(), route.path): route.operation for route in OPERATIONS}


def test_the_policy_knows_every_operation(gate: GateUnderTest) -> None:
    """A route that the policy does not know would be denied to everybody."""
    engine = gate.services.policy.engine
    unknown = [row.operation for row in role_matrix(engine) if set(row.cells.values()) == {"no"}]

    assert unknown == []


def test_the_page_of_roles_is_what_the_policy_says(engine: WasmEngine) -> None:
    """docs/roles.md is what `lockgate policy roles` prints."""
    assert ROLES_PAGE.read_text() == matrix_markdown(role_matrix(engine))


def test_each_role_meets_the_matrix_over_http(gate: GateUnderTest) -> None:
    """For every role and every route: 403 where the matrix is empty, and no 403 where it is not."""
    gate = everybody(gate)
    rows = role_matrix(gate.services.policy.engine)
    differing = []
    for row in rows:
        for heading, cell in {**row.cells, "nobody": "no"}.items():
            response = gate.call(row.method, concrete(row.path), heading, {} if row.method == "POST" else None)
            assert response.status_code < 500, (row, heading, response.text)
            if (response.status_code == 403) != (cell == "no"):
                differing.append((row.operation, heading, cell, response.status_code))

    assert differing == []
    assert len(rows) == len(EVERYTHING)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer lgt_guess",
        "bearer lgt_guess",
        "Basic cml0YTpyaXRh",
        "Bearer " + "x" * 5000,
        "Bearer lgt_\u00e9",
    ],
)
def test_without_a_known_token_everything_is_closed(gate: GateUnderTest, authorization: str | None) -> None:
    """No token, a guess, another scheme: 401 with a problem, before anything else is looked at; and unrecorded."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in EVERYTHING:
        response = gate.client.open(path, method=method, headers=headers, data=b"{" if method == "POST" else None)

        assert response.status_code == 401, path
        # The page for people says in words how to log in; everything else is a problem.
        assert path == "/" or response.json["code"] == "identity.unauthenticated", path
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="lockgate"'
    assert gate.records(DENIAL) == []


def test_an_expired_token_is_nobody(gate: GateUnderTest) -> None:
    """A token's end is its end, also over HTTP."""
    gate.clock.advance(365 * DAY_NS)

    assert gate.call("GET", "/v1/policy", "rita").status_code == 401


def test_an_unknown_path_tells_nothing_to_strangers(gate: GateUnderTest) -> None:
    """Strangers get 401 for whatever they ask; our own people get 404."""
    assert gate.client.get("/v1/nothing").status_code == 401
    assert gate.call("GET", "/v1/nothing", "rita").json["code"] == "http.not_found"
    assert gate.call("DELETE", "/v1/promotions", "rita").json["code"] == "http.method_not_allowed"
    assert gate.call("OPTIONS", "/v1/promotions", "rita").json["code"] == "http.method_not_allowed"


@pytest.mark.parametrize("path", [path for path in READING if ANY_ID not in path and "/fraud-detector" not in path])
def test_an_auditor_reads_everything(gate: GateUnderTest, path: str) -> None:
    """The auditor's role opens every reading route."""
    assert gate.call("GET", path, "aude").status_code == 200


def test_a_head_request_is_permitted_as_the_get_request(gate: GateUnderTest) -> None:
    """What may not be read may not be asked for its size either."""
    assert gate.call("HEAD", "/v1/policy", "rita").status_code == 200
    assert gate.call("HEAD", "/v1/audit/key", "rita").status_code == 403


def test_a_promotion_that_is_not_there_is_404(gate: GateUnderTest) -> None:
    """Reading, approving and withdrawing an unknown id answer alike."""
    shown = gate.call("GET", f"/v1/promotions/{ANY_ID}", "rita")
    withdrawn = gate.call("POST", f"/v1/promotions/{ANY_ID}/withdraw", "rita", {"schema_version": 1})

    assert (shown.status_code, shown.json["code"]) == (404, "promotion.unknown")
    assert (withdrawn.status_code, withdrawn.json["code"]) == (404, "promotion.unknown")


def test_a_denial_is_recorded(gate: GateUnderTest) -> None:
    """Who was denied what, why and by which policy stands in the log, with the request's id."""
    response = gate.call("POST", "/v1/promotions", "adam", {})
    (record,) = gate.records(DENIAL)
    check_schema("v1/api/denial", record["body"])

    assert (response.status_code, response.json["code"]) == (403, "identity.not_permitted")
    assert response.json["detail"] == (
        "want the role requester for promotions.create (see 'lockgate whoami'), got the answer role_missing"
    )
    assert record["actor"] == {"type": "user", "id": "adam", "roles": ["admin"]}
    assert (record["subject"], record["trace"]) == ("principal:adam", response.headers["X-Request-Id"])
    assert record["body"] == {
        "schema_version": 1,
        "operation": "promotions.create",
        "object": {},
        "reason": "role_missing",
        "policy_revision": gate.services.policy.revision(),
        "repeated": 0,
        "unlisted": 0,
        "denied_at": record["ts"],
    }


def withdraw_anothers(gate: GateUnderTest) -> Any:
    """Take back what somebody else asked for."""
    path = f"/v1/promotions/{gate.request('rita')['promotion']['id']}/withdraw"
    return gate.call("POST", path, "ravi", {"schema_version": 1})


def approve_beyond(gate: GateUnderTest) -> Any:
    """Approve in a role that is not one's own."""
    return gate.approve("leo", "risk", gate.request("rita"))


def record_beyond(gate: GateUnderTest) -> Any:
    """Record a kind that the role does not cover."""
    document = {"schema_version": 1, "kind": "vault.opened", "body": {}}
    return everybody(gate).call("POST", "/v1/audit/records", "recorder:<words>", document)


@pytest.mark.parametrize(
    ("attempt", "facts", "reason", "wanted"),
    [
        (withdraw_anothers, {"requester": "rita"}, "not_the_requester", "promotions.withdraw permitted"),
        (
            approve_beyond,
            {"role": "risk"},
            "role_not_held",
            "the role approver:risk for promotions.approve (see 'lockgate whoami')",
        ),
        (record_beyond, {"kind": "vault.opened"}, "kind_not_covered", "audit.record permitted"),
    ],
)
def test_an_object_of_somebody_else_is_denied(
    gate: GateUnderTest, attempt: Callable[[GateUnderTest], Any], facts: dict[str, str], reason: str, wanted: str
) -> None:
    """The right role is not enough: the object decides, and the record tells which it was."""
    response = attempt(gate)
    (record,) = gate.records(DENIAL)

    assert (response.status_code, response.json["code"]) == (403, "identity.not_permitted")
    assert (record["body"]["object"], record["body"]["reason"]) == (facts, reason)
    assert response.json["detail"] == f"want {wanted}, got the answer {reason}"


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS))
def test_a_role_named_after_lockgate_records_nothing(gate: GateUnderTest, word: str) -> None:
    """Whoever is given a recorder's role for Lockgate's own kinds is denied, and that is recorded."""
    principal = parse_principal(subject="forger", type="machine", roles=[f"recorder:{word}"], identities=())
    gate.identities.put_principal(principal)
    secret = gate.identities.create_token("forger", DAY_NS).secret
    document = {"schema_version": 1, "kind": f"{word}.decision", "body": {}}
    forger = replace(gate, tokens={"forger": secret})

    assert forger.call("POST", "/v1/audit/records", "forger", document).status_code == 403
    assert [record["body"]["reason"] for record in gate.records(DENIAL)] == ["kind_not_covered"]


def test_repeated_denials_are_counted(gate: GateUnderTest) -> None:
    """The same denial again within a minute is counted, not recorded; another one is recorded at once."""
    for _ in range(3):
        assert gate.call("GET", "/metrics", "rita").status_code == 403
    gate.call("GET", "/v1/audit/key", "rita")
    gate.call("GET", "/metrics", "ravi")
    gate.clock.advance(REPEAT_NS)
    gate.call("GET", "/metrics", "rita")
    gate.clock.advance(REPEAT_NS)
    gate.call("GET", "/metrics", "rita")

    assert [
        (record["actor"]["id"], record["body"]["operation"], record["body"]["repeated"])
        for record in gate.records(DENIAL)
    ] == [
        ("rita", "metrics.read", 0),
        ("rita", "audit.key", 0),
        ("ravi", "metrics.read", 0),
        ("rita", "metrics.read", 2),
        ("rita", "metrics.read", 0),
    ]


def probe(gate: GateUnderTest, *facts: str) -> None:
    """Let ann, who may withdraw her own promotions, try those of others."""
    ann = Principal(subject="ann", type="user", roles=("requester",), identities=())
    for requester in facts:
        with pytest.raises(NotPermittedError):
            gate.services.authorizer.check(ann, "promotions.withdraw", {"requester": requester}, trace=TRACE)


def told(gate: GateUnderTest) -> list[tuple[str, int, int]]:
    """Return the denials recorded of ann: whose object, how often repeated, how many unlisted."""
    records = [record for record in gate.records(DENIAL) if record["actor"]["id"] == "ann"]
    for record in records:
        check_schema("v1/api/denial", record["body"])
    return [(one["object"]["requester"], one["repeated"], one["unlisted"]) for one in (r["body"] for r in records)]


def test_denials_of_different_objects_are_recorded_each(gate: GateUnderTest) -> None:
    """Within a minute too: whoever tries one object after the other is seen to."""
    probe(gate, "bob", "eve", "bob", "eve", "bob")
    gate.clock.advance(REPEAT_NS)
    probe(gate, "bob", "eve")

    assert told(gate) == [("bob", 0, 0), ("eve", 0, 0), ("bob", 2, 0), ("eve", 1, 0)]


def test_what_one_caller_is_denied_beyond_the_limit_is_told_by_number(gate: GateUnderTest) -> None:
    """Nobody fills the log; anybody's next call after the minute tells how many there were, once, with the last."""
    listed = [f"p{number}" for number in range(LISTED_MAX)]
    probe(gate, *listed, "q1", "q2", "q1", "last")
    probe(gate, "p0")
    assert gate.call("GET", "/metrics", "ravi").status_code == 403
    assert told(gate) == [(name, 0, 0) for name in listed]
    gate.clock.advance(REPEAT_NS)
    for _ in range(2):
        assert gate.call("GET", "/v1/policy", "rita").status_code == 200

    assert told(gate)[LISTED_MAX:] == [("last", 0, 3)]
    probe(gate, "p0", "q1")
    assert told(gate)[LISTED_MAX + 1 :] == [("p0", 1, 0), ("q1", 0, 0)]


def test_what_cannot_be_told_now_is_told_later(gate: GateUnderTest) -> None:
    """A call that needs no log goes on without it; the number is kept."""

    def only_read(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    probe(gate, *(f"p{number}" for number in range(LISTED_MAX + 5)))
    gate.clock.advance(REPEAT_NS)
    gate.database.dispose()
    event.listen(gate.database, "connect", only_read)
    response = gate.call("GET", "/v1/policy", "rita")
    event.remove(gate.database, "connect", only_read)
    gate.database.dispose()
    gate.clock.advance(REPEAT_NS)
    gate.call("GET", "/v1/policy", "rita")

    assert response.status_code == 200
    assert told(gate)[LISTED_MAX:] == [(f"p{LISTED_MAX + 4}", 0, 4)]


def test_a_denial_that_could_not_be_recorded_uses_up_no_room(gate: GateUnderTest) -> None:
    """However many fail while the log is away, each fails; none is merely counted."""
    with gate.database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    ann = Principal(subject="ann", type="user", roles=("requester",), identities=())
    for number in range(LISTED_MAX + 1):
        with pytest.raises(StorageError):
            gate.services.authorizer.check(ann, "promotions.withdraw", {"requester": f"p{number}"}, trace=TRACE)


def test_what_is_forgotten_for_want_of_room_is_told_by_number(
    gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repetitions of a denial that makes room for others are not lost; and the room is bounded."""
    monkeypatch.setattr("lockgate.authorization.DENIALS_MAX", 2)
    probe(gate, "bob", "bob", "bob", "eve", "joe", "tom")
    assert len(gate.services.authorizer._denials._known) == 2
    gate.clock.advance(REPEAT_NS)
    gate.call("GET", "/v1/policy", "rita")

    assert told(gate) == [("bob", 0, 0), ("eve", 0, 0), ("joe", 0, 0), ("tom", 0, 0), ("bob", 0, 1)]
    assert gate.services.authorizer._denials._callers == {}


def test_a_denial_that_cannot_be_recorded_stays_one(gate: GateUnderTest) -> None:
    """Without the log a denial is 503, not 403 and never the answer; the next record counts it."""

    def only_read(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    gate.database.dispose()
    event.listen(gate.database, "connect", only_read)
    refused = [gate.call("GET", "/metrics", "rita") for _ in range(2)]
    read = gate.call("GET", "/v1/policy", "rita")
    event.remove(gate.database, "connect", only_read)
    gate.database.dispose()
    gate.call("GET", "/metrics", "rita")

    assert [(response.status_code, response.json["code"]) for response in refused] == [(503, "storage.unavailable")] * 2
    assert read.status_code == 200
    assert [record["body"]["repeated"] for record in gate.records(DENIAL)] == [2]


def test_without_an_answer_nothing_is_permitted(tmp_path: Path, engine: WasmEngine) -> None:
    """When the policy cannot be asked, a call is 503; only what it answered before goes on."""
    watched = WatchedEngine(engine)
    gate = make_gate(tmp_path, watched)
    gate.call("GET", "/v1/policy", "rita")
    watched.broken = True
    asked_before = gate.call("GET", "/v1/policy", "rita")
    asked_now = gate.call("GET", "/v1/promotions", "rita")
    nobody = gate.client.get("/v1/promotions")

    assert asked_before.status_code == 200
    assert (asked_now.status_code, asked_now.json["code"]) == (503, "policy.unavailable")
    assert nobody.status_code == 401
    assert gate.client.get("/livez").status_code == 200
    assert gate.records(DENIAL) == []


def test_an_answer_is_asked_for_once(tmp_path: Path, engine: WasmEngine) -> None:
    """The same caller, roles, operation and object are asked about once; any other is asked about."""
    watched = WatchedEngine(engine)
    gate = make_gate(tmp_path, watched)
    authorizer = gate.services.authorizer
    ann = Principal(subject="ann", type="user", roles=("requester",), identities=())

    def asked(principal: Principal, name: str, **facts: str) -> bool:
        before = watched.asked
        authorizer.check(principal, name, facts, trace=TRACE)
        return watched.asked > before

    assert asked(ann, "promotions.create")
    assert not asked(ann, "promotions.create")
    assert asked(ann, "promotions.list")
    assert asked(replace(ann, subject="bob"), "promotions.list")
    assert asked(replace(ann, type="machine"), "promotions.list")
    assert asked(replace(ann, roles=("operator", "requester")), "promotions.list")
    assert asked(ann, "promotions.withdraw", requester="ann")
    with pytest.raises(NotPermittedError):
        asked(ann, "promotions.withdraw", requester="bob")


def test_answers_do_not_fill_the_memory(tmp_path: Path, engine: WasmEngine) -> None:
    """Whoever asks about ever other objects makes the gate forget, not grow."""
    gate = make_gate(tmp_path, engine)
    authorizer = gate.services.authorizer
    authorizer._answers = {object(): object() for _ in range(ANSWERS_MAX)}  # type: ignore[misc]
    gate.call("GET", "/v1/policy", "rita")

    assert len(authorizer._answers) == 1


def test_another_policy_is_asked_anew(tmp_path: Path, engine: WasmEngine) -> None:
    """What one revision permitted says nothing about the next."""
    gate = make_gate(tmp_path, engine)
    before = gate.call("GET", "/v1/policy", "rita").status_code
    gate.services.policy.replace(OtherEngine(engine))
    after = gate.call("GET", "/v1/policy", "rita")

    assert (before, after.status_code) == (200, 403)
    assert gate.records(DENIAL)[0]["body"]["policy_revision"] == OtherEngine.revision


def test_an_engine_that_lets_anybody_in_is_not_ready(tmp_path: Path, engine: WasmEngine) -> None:
    """Readiness asks for somebody without a role; a policy that permits them is no gate."""
    open_to_anybody = make_gate(tmp_path, OpenEngine(engine)).client.get("/readyz")
    (check,) = [check for check in open_to_anybody.json["checks"] if check["name"] == "policy"]

    assert (open_to_anybody.status_code, check["detail"]) == (503, "readiness.policy_open")


def test_a_role_that_is_lost_counts_at_once(gate: GateUnderTest) -> None:
    """Kept answers are kept by the roles that they were given for."""
    assert gate.call("GET", "/v1/promotions", "rita").status_code == 200
    gate.identities.put_principal(parse_principal(subject="rita", type="user", roles=(), identities=()))

    assert gate.call("GET", "/v1/promotions", "rita").status_code == 403


def test_a_view_that_forgets_its_object_answers_nothing(gate: GateUnderTest) -> None:
    """A view of an object that does not ask about it is a defect: 500, whatever it would have said."""

    @operation("promotions.withdraw", by_object=True)
    def forgetful() -> Response:
        return Response("secret")

    gate.client.application.add_url_rule("/probe", view_func=forgetful)
    response = gate.call("GET", "/probe", "rita")

    assert (response.status_code, response.json["code"]) == (500, "internal.unforeseen")
    assert "secret" not in response.text


def test_a_view_that_does_not_say_that_it_has_an_object_is_denied(gate: GateUnderTest) -> None:
    """Where the policy wants an object and the view knows of none, nobody gets in."""

    @operation("promotions.withdraw")
    def careless() -> Response:
        return Response("secret")

    gate.client.application.add_url_rule("/probe", view_func=careless)

    assert gate.call("GET", "/probe", "rita").status_code == 403
    assert [record["body"]["reason"] for record in gate.records(DENIAL)] == ["object_missing"]


def test_a_view_without_an_operation_is_refused_to_all(gate: GateUnderTest) -> None:
    """A route that somebody forgot to mark is nobody's."""
    gate.client.application.add_url_rule("/probe", view_func=lambda: Response("secret"))
    for who in PEOPLE:
        response = gate.call("GET", "/probe", who)

        assert (response.status_code, response.json["code"]) == (403, "identity.not_permitted")


def test_an_operation_that_the_policy_does_not_know_is_refused_to_all(gate: GateUnderTest) -> None:
    """A route that nobody wrote a grant for is nobody's."""

    @operation("promotions.destroy")
    def new() -> Response:
        return Response("secret")

    gate.client.application.add_url_rule("/probe", view_func=new)

    assert {gate.call("GET", "/probe", who).status_code for who in PEOPLE} == {403}
    assert {record["body"]["reason"] for record in gate.records(DENIAL)} == {"operation_unknown"}


def test_the_matrix_shows_what_the_security_team_decided() -> None:
    """The page that is generated shows a cell for each answer, and nothing where the answer is no."""
    cells = dict.fromkeys(ROLE_EXAMPLES, "no") | {"requester": "yes", "admin": "by requester"}
    row = MatrixRow(method="GET", path="/x", operation="x.read", cells=cells)  # type: ignore[arg-type]

    assert "| `GET /x` | `x.read` | yes |  |  |  |  |  | by requester |  |\n" in matrix_markdown((row,))


def test_denials_are_told_apart_by_whoever_reads_the_log(gate: GateUnderTest) -> None:
    """An auditor finds the denials of one principal by kind and subject."""
    gate.call("GET", "/metrics", "rita")
    gate.call("GET", "/metrics", "ravi")
    page = gate.call("GET", f"/v1/audit/records?kind={DENIAL}&subject=principal:rita", "aude").json

    assert len(page["items"]) == 1
