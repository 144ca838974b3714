"""From a bearer token to a principal, through HTTP: who is made, who is refused, and what is recorded."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from lockgate import observing
from lockgate.administration import PRINCIPAL, Administration
from lockgate.authentication import VERIFIED_MAX, Authenticator
from lockgate.clock import NS_PER_S
from lockgate.identity import (
    IssuerUnavailableError,
    JWKSSource,
    Principal,
    TokenRefusal,
    parse_issuers,
    parse_principal,
)
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import StorageError, write_transaction
from support.clocks import START
from support.gate_server import Reply
from support.gates import DAY_NS, GateUnderTest, make_gate
from support.issuers import GITHUB, github_claims, issuer_table, key_set, rsa_key, rule_table, serve_issuer

KEY = rsa_key()
TAG = rule_table(claims={"repository_id": "4711", "ref_type": "tag"}, roles=["recorder:ci"])
PEOPLE_RULES = [
    {"claims": {"groups": group}, "principal": "{email}", "type": "user", "roles": [role], "identities": ["{email}"]}
    for group, role in [("leads", "approver:ml-lead"), ("risk", "approver:risk")]
]
LOGIN = {"name": "login", "kind": "other", "url": "https://login.example", "rule": PEOPLE_RULES}


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A gate that takes tokens of GitHub, and of the people's login, whose keys lie in a file."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    tables = [
        issuer_table(jwks_file="keys.json", rule=[rule_table(), TAG]),
        issuer_table(**LOGIN, jwks_file="keys.json"),
    ]
    return make_gate(tmp_path, engine, issuers=tables)


def github(gate: GateUnderTest, **claims: Any) -> str:
    """Get a token as a workflow does."""
    return KEY.sign(github_claims(gate.clock.now, **claims))


def ann(gate: GateUnderTest, *groups: str, **claims: Any) -> str:
    """Get a token as a person does."""
    own = {"iss": "https://login.example", "sub": "ann-7", "email": "ann@example.com", "groups": list(groups)}
    return KEY.sign(github_claims(gate.clock.now, **{**own, **claims}))


def who(gate: GateUnderTest, token: str) -> Principal | TokenRefusal:
    """Ask the gate whom a token stands for."""
    return gate.services.authenticator.authenticate(token)


def principal(gate: GateUnderTest, token: str) -> Principal:
    """Return whom a token stands for."""
    got = who(gate, token)
    assert isinstance(got, Principal), got
    return got


def code(gate: GateUnderTest, token: str) -> str:
    """Return why a token stands for nobody."""
    got = who(gate, token)
    assert isinstance(got, TokenRefusal), got
    return got.code


def call(gate: GateUnderTest, token: str, method: str = "GET", path: str = "/v1/policy", body: object = None) -> Any:
    """Call the API with a token."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return gate.client.open(path, method=method, headers=headers, data=None if body is None else orjson.dumps(body))


def administration(gate: GateUnderTest) -> Administration:
    """Change things as the command line does."""
    return Administration(gate.services.log, gate.clock)


def bodies(gate: GateUnderTest) -> list[dict[str, Any]]:
    """Return what was recorded of principals."""
    return [record["body"] for record in gate.records(PRINCIPAL)]


def test_a_workflow_requests_without_an_api_token(gate: GateUnderTest) -> None:
    """CI's own token, and nothing else, asks for a promotion; the record names the principal of the rule."""
    response = call(gate, github(gate), "POST", "/v1/promotions", gate.request_document())

    assert response.status_code == 202, response.text
    assert response.json["promotion"]["requester"] == "github/4711"
    (decision,) = gate.records("gate.decision")
    assert decision["actor"] == {"id": "github/4711", "type": "machine", "roles": ["requester"]}


def test_a_new_principal_is_recorded_once(gate: GateUnderTest) -> None:
    """The first token of a principal makes it, by its issuer's word; what does not change is not written again."""
    token = github(gate)
    assert [principal(gate, token).roles for _ in range(3)] == [("requester",)] * 3
    gate.clock.advance(60 * NS_PER_S)
    principal(gate, github(gate))
    (record,) = gate.records(PRINCIPAL)

    assert (record["actor"]["type"], record["actor"]["id"]) == ("system", "issuer:github")
    assert record["subject"] == "principal:github/4711"
    assert record["body"] == {
        "schema_version": 1,
        "change": "put",
        "subject": "github/4711",
        "issuer": "github",
        "type": "machine",
        "roles": ["recorder:ci", "requester"],
        "identities": [],
        "tokens_ended": 0,
        "changed_at": record["body"]["changed_at"],
    }


def test_tokens_that_come_together_make_one_principal(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """Eight jobs that begin at once are one principal with one record, on both databases."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    gate = make_gate(tmp_path, engine, issuers=[issuer_table(jwks_file="keys.json")], database_url=database_url)
    tokens = [github(gate, jti=str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda token: principal(gate, token), tokens))
    administration(gate).disable_principal("github/4711")

    assert {one.roles for one in got} == {("requester",)}
    assert [body["change"] for body in bodies(gate)] == ["put", "disabled"]
    assert code(gate, tokens[0]) == "identity.principal_disabled"


def test_a_token_carries_the_roles_of_its_own_rules(gate: GateUnderTest) -> None:
    """Two jobs of one pipeline, one principal: each token may do what it claims, and neither undoes the other."""
    main, tag = github(gate), github(gate, ref="refs/tags/v1", ref_type="tag")

    assert [principal(gate, token).roles for token in (main, tag, main)] == [
        ("requester",),
        ("recorder:ci",),
        ("requester",),
    ]
    assert len(bodies(gate)) == 1
    assert call(gate, tag, "POST", "/v1/promotions", gate.request_document()).status_code == 403


def test_a_person_who_left_a_group_lost_its_role(gate: GateUnderTest) -> None:
    """Roles follow the newest token; an older one, though it still counts, brings none back."""
    old = ann(gate, "leads", "risk")
    assert principal(gate, old).roles == ("approver:ml-lead", "approver:risk")
    gate.clock.advance(NS_PER_S)
    new = ann(gate, "risk")
    assert principal(gate, new).roles == ("approver:risk",)

    assert principal(gate, old).roles == ("approver:risk",)
    assert principal(gate, new).roles == ("approver:risk",)
    assert [body["roles"] for body in bodies(gate)] == [["approver:ml-lead", "approver:risk"], ["approver:risk"]]


def test_a_token_that_says_nothing_new_still_says_that_it_is_so(gate: GateUnderTest) -> None:
    """An older token brings no role back after a newer one that said the same as what was known; one record in all."""
    first = ann(gate, "risk")
    gate.clock.advance(NS_PER_S)
    older = ann(gate, "risk", "leads")
    gate.clock.advance(NS_PER_S)
    newer = ann(gate, "risk")

    assert [principal(gate, token).roles for token in (first, newer, older, newer)] == [("approver:risk",)] * 4
    assert [body["roles"] for body in bodies(gate)] == [["approver:risk"]]


def test_what_is_known_of_a_disabled_principal_stays_as_it_is(gate: GateUnderTest) -> None:
    """Nothing is noted of somebody whose tokens are refused, nor of what somebody else says."""
    principal(gate, ann(gate, "risk"))
    administration(gate).disable_principal("ann@example.com")
    before = gate.services.identities.find_principal("ann@example.com")
    gate.clock.advance(NS_PER_S)
    code(gate, ann(gate, "risk"))

    assert before is not None
    assert gate.services.identities.find_principal("ann@example.com") == before
    gate.services.identities.note_issued(before.principal, "github", gate.clock.now)
    gate.services.identities.note_issued(replace(before.principal, roles=()), "login", gate.clock.now)
    assert gate.services.identities.find_principal("ann@example.com") == before


@pytest.mark.parametrize("order", [0, 1], ids=["fewer roles first", "more roles first"])
def test_of_two_tokens_of_one_second_the_one_that_permits_less_counts(gate: GateUnderTest, order: int) -> None:
    """Two that contradict each other end in one and the same way, whichever comes first, and write no record a call."""
    tokens = [ann(gate, "risk"), ann(gate, "risk", "leads")]
    for _ in range(5):
        for token in tokens[order:] + tokens[:order]:
            principal(gate, token)
    info = gate.services.identities.find_principal("ann@example.com")

    assert info is not None
    assert info.principal.roles == ("approver:risk",)
    assert len(bodies(gate)) == 1 + order


def test_two_jobs_of_one_second_that_sign_otherwise_settle(tmp_path: Path, engine: WasmEngine) -> None:
    """A machine's identities follow its newest token; two of one second do not take each other's away at every call."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    rule = rule_table(claims={"repository_id": "4711"}, identities=["{ref}"])
    gate = make_gate(tmp_path, engine, issuers=[issuer_table(jwks_file="keys.json", rule=[rule])])
    tokens = [github(gate, ref=ref) for ref in ("a", "b", "c")]
    for token in tokens * 4 + tokens[::-1] * 4:
        principal(gate, token)

    assert len(bodies(gate)) == 1
    info = gate.services.identities.find_principal("github/4711")
    assert info is not None
    assert info.principal.identities == ("a",)


def test_an_issuers_person_approves(gate: GateUnderTest) -> None:
    """A person by an issuer's word counts in the matrix as any other."""
    asked = call(gate, github(gate), "POST", "/v1/promotions", gate.request_document()).json
    path = f"/v1/promotions/{asked['promotion']['id']}/approvals"
    response = call(gate, ann(gate, "leads"), "POST", path, gate.approval_document(asked, "ml-lead"))

    assert response.status_code == 201, response.text
    assert gate.approve("maya", "risk", asked).json["decision"]["verdict"] == "allow"


@pytest.mark.parametrize(
    ("claims", "refusal", "detail"),
    [
        ({"repository_id": "4712"}, "identity.token_unmatched", "no rule of its issuer"),
        ({"ref": "refs/heads/main2"}, "identity.token_unmatched", "no rule of its issuer"),
        ({"aud": "https://somewhere.example"}, "identity.token_audience", "want a token for this audience"),
        ({"exp": 1}, "identity.token_expired", "the token has expired"),
        ({"iss": "https://evil.example"}, "identity.token_issuer", "the token is not verified"),
    ],
)
def test_a_refused_token_is_nobody(gate: GateUnderTest, claims: dict[str, Any], refusal: str, detail: str) -> None:
    """The caller reads one code and what an honest one needs; we count the exact one. Nobody is made of it."""
    outcomes: list[str] = []
    token = github(gate, **claims)
    with observing.observed_by(Outcomes(outcomes)):
        assert code(gate, token) == refusal
    response = call(gate, token)

    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")
    assert detail in response.json["detail"]
    assert outcomes == [refusal]
    assert bodies(gate) == []
    assert token not in response.text


class Outcomes:
    """Listens to how authentications end."""

    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    def step(self, _name: observing.Step) -> contextlib.AbstractContextManager[None]:
        """Hear of a step, which matters to others."""
        return contextlib.nullcontext()

    def authentication(self, outcome: str) -> None:
        """Hear of an outcome."""
        self.heard.append(outcome)


def test_what_counts_is_told_too(gate: GateUnderTest) -> None:
    """Whoever listens hears of the good ones as `ok`, of both kinds of token."""
    outcomes: list[str] = []
    with observing.observed_by(Outcomes(outcomes)):
        principal(gate, github(gate))
        principal(gate, gate.tokens["rita"])
        assert code(gate, "lgt_guess") == "identity.token_unknown"

    assert outcomes == ["ok", "ok", "identity.token_unknown"]


@pytest.mark.parametrize("taken", ["rita", "github/4711"])
def test_a_principal_of_the_command_line_is_not_taken_over(tmp_path: Path, engine: WasmEngine, taken: str) -> None:
    """An issuer cannot say who somebody is that the operator made, whatever its rules name."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    table = issuer_table(jwks_file="keys.json", rule=[rule_table(principal=taken, roles=["admin"])])
    gate = make_gate(tmp_path, engine, issuers=[table])
    mine = parse_principal(subject=taken, type="user", roles=["auditor"], identities=[])
    administration(gate).put_principal(mine)

    assert code(gate, github(gate)) == "identity.principal_taken"
    info = gate.services.identities.find_principal(taken)
    assert info is not None
    assert (info.principal, info.issuer) == (mine, "")


def test_a_principal_of_another_issuer_is_not_taken_over(tmp_path: Path, engine: WasmEngine) -> None:
    """Each issuer speaks for its own."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    common = {"jwks_file": "keys.json", "rule": [rule_table(principal="ci")]}
    tables = [issuer_table(**common), issuer_table(**common, name="second", audience="second")]
    gate = make_gate(tmp_path, engine, issuers=tables)
    principal(gate, github(gate))

    assert code(gate, github(gate, aud="second")) == "identity.principal_taken"
    assert len(bodies(gate)) == 1


def test_a_principal_is_handed_over_on_purpose(gate: GateUnderTest) -> None:
    """An operator says that an issuer speaks for somebody from now on; and takes that back in the same way."""
    made = parse_principal(subject="ann@example.com", type="user", roles=["auditor"], identities=[])
    admin = administration(gate)
    admin.put_principal(made)
    assert code(gate, ann(gate, "risk")) == "identity.principal_taken"
    admin.put_principal(made, issuer="login")
    assert principal(gate, ann(gate, "risk")).roles == ("approver:risk",)
    admin.put_principal(made, issuer="")

    assert code(gate, ann(gate, "risk")) == "identity.principal_taken"
    assert [body["issuer"] for body in bodies(gate)] == ["", "login", "login", ""]


@pytest.mark.parametrize(("before", "after"), [("", "login"), ("login", ""), ("gone", "login")])
def test_a_hand_over_ends_every_token(gate: GateUnderTest, before: str, after: str) -> None:
    """Whoever held a token of the principal holds nothing of it once another issuer says who that is; recorded."""
    admin = administration(gate)
    made = parse_principal(subject="ann@example.com", type="user", roles=["auditor"], identities=[])
    admin.put_principal(made, issuer=before)
    ended = admin.create_token("ann@example.com", NS_PER_S)
    gate.clock.advance(NS_PER_S)
    revoked = admin.create_token("ann@example.com", DAY_NS)
    admin.revoke_token(revoked.token_id)
    live = [admin.create_token("ann@example.com", DAY_NS, scope=scope) for scope in (None, ["auditor"])]
    gate.clock.advance(NS_PER_S)
    admin.put_principal(made, issuer=before)
    admin.put_principal(made, issuer=after)

    assert [body["tokens_ended"] for body in bodies(gate)] == [0, 0, 2]
    assert {code(gate, token.secret) for token in (ended, revoked, *live)} == {"identity.token_unknown"}
    known = {info.token_id: info.revoked_ns for info in gate.services.identities.list_tokens()}
    assert [known[token.token_id] for token in live] == [gate.clock.now] * 2
    assert known[ended.token_id] is None
    assert known[revoked.token_id] == gate.clock.now - NS_PER_S
    assert principal(gate, gate.tokens["rita"]).subject == "rita"


def test_a_hand_over_that_cannot_be_recorded_ends_nothing(gate: GateUnderTest) -> None:
    """The change, the end of the tokens and the record are one."""
    admin = administration(gate)
    made = parse_principal(subject="ann@example.com", type="user", roles=["auditor"], identities=[])
    admin.put_principal(made)
    token = admin.create_token("ann@example.com", DAY_NS)
    with write_transaction(gate.database) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    with pytest.raises(StorageError):
        admin.put_principal(made, issuer="login")

    assert principal(gate, token.secret) == made


def test_an_api_token_counts_no_more_than_its_principals_issuer(gate: GateUnderTest) -> None:
    """A token of ours is refused while the issuer that made its principal is not in force; others go on."""
    principal(gate, ann(gate, "risk"))
    token = administration(gate).create_token("ann@example.com", DAY_NS).secret
    assert principal(gate, token).roles == ("approver:risk",)
    trusted = gate.services.authenticator._trusted
    gate.services.authenticator.replace(trusted.issuers[:1], JWKSSource(trusted.issuers[:1], gate.clock))
    response = call(gate, token)

    assert code(gate, token) == "identity.issuer_unknown"
    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")
    assert principal(gate, gate.tokens["rita"]).subject == "rita"
    gate.services.authenticator.replace(trusted.issuers, JWKSSource(trusted.issuers, gate.clock))
    assert principal(gate, token).roles == ("approver:risk",)


def test_a_disabled_principal_is_nobody_at_once(gate: GateUnderTest) -> None:
    """Disabling ends what every token of it can do, remembered or not; enabling gives the same roles back."""
    token = github(gate)
    assert principal(gate, token).roles == ("requester",)
    administration(gate).disable_principal("github/4711")
    assert code(gate, token) == "identity.principal_disabled"
    gate.clock.advance(NS_PER_S)
    assert code(gate, github(gate)) == "identity.principal_disabled"
    administration(gate).enable_principal("github/4711")

    assert principal(gate, token).roles == ("requester",)
    assert [body["change"] for body in bodies(gate)] == ["put", "disabled", "enabled"]


def test_a_remembered_token_is_not_verified_again_but_its_principal_is_read(gate: GateUnderTest) -> None:
    """What can change between two calls is read at each; the signature cannot."""
    token = github(gate)
    principal(gate, token)
    with write_transaction(gate.database) as connection:
        connection.execute(text("UPDATE principal SET roles = '[]', issued_ns = issued_ns + 1000000000000"))

    assert principal(gate, token).roles == ()


def test_a_remembered_token_still_expires(gate: GateUnderTest) -> None:
    """Nothing is remembered beyond what the token itself says."""
    token = github(gate)
    principal(gate, token)
    gate.clock.advance(330 * NS_PER_S)

    assert code(gate, token) == "identity.token_expired"


def test_a_remembered_token_ends_with_its_key(gate: GateUnderTest) -> None:
    """A key that its issuer took back takes its tokens along, also those that were verified before."""
    with serve_issuer(KEY) as issuer:
        trusted = parse_issuers([issuer.table()])
        keys = JWKSSource(trusted, gate.clock)
        keys.refresh_due()
        keys.stop()
        authenticator = Authenticator(
            store=gate.services.identities,
            administration=administration(gate),
            issuers=trusted,
            keys=keys,
            clock=gate.clock,
        )
        token = KEY.sign(github_claims(gate.clock.now, issuer.url, exp=gate.clock.now // NS_PER_S + 3600))
        assert isinstance(authenticator.authenticate(token), Principal)
        issuer.keys = (rsa_key("key-2"),)
        gate.clock.advance(300 * NS_PER_S)
        keys.refresh_due()
        after = authenticator.authenticate(token)
        assert isinstance(after, TokenRefusal)
        assert after.code == "identity.token_key"

        gate.clock.advance(DAY_NS)
        with pytest.raises(IssuerUnavailableError):
            authenticator.authenticate(token)


def test_as_many_tokens_are_remembered_as_the_limit_says(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that was not used goes first; it only costs a verification."""
    assert VERIFIED_MAX > 1000
    monkeypatch.setattr("lockgate.authentication.VERIFIED_MAX", 2)
    tokens = [github(gate, jti=str(number)) for number in range(4)]

    assert [principal(gate, token).subject for token in (*tokens, *tokens)] == ["github/4711"] * 8
    assert len(gate.services.authenticator._trusted._known) == 2


@pytest.fixture
def unreachable(tmp_path: Path, engine: WasmEngine) -> Iterator[GateUnderTest]:
    """A gate whose issuer has not answered yet."""
    with serve_issuer(KEY) as issuer:
        issuer.replies["/.well-known/openid-configuration"] = Reply(status=503)
        gate = make_gate(tmp_path, engine, issuers=[issuer.table(url=issuer.url)])
        yield gate
        gate.services.authenticator._trusted.keys.stop()


def test_an_issuer_whose_keys_are_not_known_is_a_503(unreachable: GateUnderTest) -> None:
    """Neither good nor bad: come back. Our own tokens go on."""
    url = unreachable.services.authenticator._trusted.issuers[0].url
    response = call(unreachable, KEY.sign(github_claims(unreachable.clock.now, url)))

    assert (response.status_code, response.json["code"]) == (503, "identity.issuer_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert call(unreachable, unreachable.tokens["rita"]).status_code == 200


def test_without_issuers_no_token_of_theirs_counts(tmp_path: Path, engine: WasmEngine) -> None:
    """A gate that trusts nobody takes its own tokens alone."""
    gate = make_gate(tmp_path, engine)

    assert code(gate, github(gate)) == "identity.token_unknown"


def test_other_issuers_come_into_force_at_once(gate: GateUnderTest) -> None:
    """After a reload a token is judged by the issuers of now, also one that was verified before."""
    token = github(gate)
    principal(gate, token)
    trusted = parse_issuers([issuer_table(jwks_file="keys.json", audience="another")], gate.folder)
    gate.services.authenticator.replace(trusted, JWKSSource(trusted, gate.clock))

    assert code(gate, token) == "identity.token_audience"
    assert isinstance(who(gate, github(gate, aud="another")), Principal)


HOSTILE = {
    "another scheme": "Basic {}",
    "no scheme": "{}",
    "lower case": "bearer {}",
    "two spaces": "Bearer  {}",
    "a second token": "Bearer {} {}",
    "a comma": "Bearer {}, Bearer {}",
    "a query": "Bearer {}?",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bearer_token_stands_alone(gate: GateUnderTest, name: str) -> None:
    """The header has one form."""
    value = HOSTILE[name].replace("{}", github(gate))
    response = gate.client.get("/v1/policy", headers={"Authorization": value})

    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")


ATTACKS = {
    "alg none": KEY.sign(github_claims(START)).rpartition(".")[0] + ".",
    "too long": "A" * 8_001,
    "as long as may be": "A" * 8_000,
    "dots": "...",
    "not base64": "a.b.c",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_over_http_is_a_plain_401(gate: GateUnderTest, name: str) -> None:
    """Whatever is sent as a token, the answer is a problem that repeats nothing of it."""
    response = call(gate, ATTACKS[name])

    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="lockgate"'
    assert ATTACKS[name] not in response.text
    assert GITHUB not in response.text
