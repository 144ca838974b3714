"""Nothing but health is open; each role may do what the table says, and no more."""

import pytest

from support.gates import DAY_NS, GateUnderTest

ANY_ID = "01a1ee56-5e00-7cf9-af7f-e207b52d6636"
READING = [
    "/v1/promotions",
    f"/v1/promotions/{ANY_ID}",
    "/v1/audit/records",
    "/v1/audit/records/0",
    "/v1/audit/checkpoint",
    "/v1/audit/key",
    "/v1/audit/proofs/inclusion?seq=0&size=1",
    "/v1/audit/proofs/consistency?old=1&new=1",
    "/audit/checkpoint",
    "/audit/tile/0/000.p/1",
    "/v1/policy",
    "/v1/policy/rules",
    "/metrics",
    "/openapi.json",
]
WRITING = [
    "/v1/promotions",
    f"/v1/promotions/{ANY_ID}/approvals",
    f"/v1/promotions/{ANY_ID}/withdraw",
    "/v1/decisions:dry-run",
    "/v1/audit/records",
]
EVERYTHING = [("GET", path) for path in READING] + [("POST", path) for path in WRITING]


def test_every_route_of_the_application_is_in_these_tests(gate: GateUnderTest) -> None:
    """A new route must be given a place here."""
    known = {path.partition("?")[0].replace(ANY_ID, "*") for _, path in EVERYTHING} | {"/livez", "/readyz"}
    routes = {
        rule.rule.replace("<uuid:promotion_id>", "*")
        .replace("<int(max=999999999999999999):seq>", "0")
        .replace("<path:tile>", "0/000.p/1")
        for rule in gate.client.application.url_map.iter_rules()
    }

    assert routes == known


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
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
def test_without_a_known_token_everything_is_closed(
    gate: GateUnderTest, method: str, path: str, authorization: str | None
) -> None:
    """No token, a guess, another scheme: 401 with a problem, before anything else is looked at."""
    headers = {} if authorization is None else {"Authorization": authorization}
    response = gate.client.open(path, method=method, headers=headers, data=b"{" if method == "POST" else None)

    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="lockgate"'


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


FORBIDDEN = {
    "rita": {
        ("GET", "/v1/audit/records"),
        ("GET", "/v1/audit/key"),
        ("GET", "/audit/checkpoint"),
        ("GET", "/audit/tile/entries/000.p/1"),
        ("GET", "/metrics"),
    },
    "ravi": {("POST", f"/v1/promotions/{ANY_ID}/approvals"), ("GET", "/v1/audit/checkpoint")},
    "leo": {("POST", "/v1/promotions"), ("POST", f"/v1/promotions/{ANY_ID}/withdraw"), ("GET", "/metrics")},
    "aude": {("POST", "/v1/audit/records"), ("POST", "/v1/promotions"), ("POST", f"/v1/promotions/{ANY_ID}/approvals")},
    "otto": {("POST", "/v1/promotions"), ("POST", f"/v1/promotions/{ANY_ID}/approvals")},
    "adam": {
        ("POST", "/v1/audit/records"),
        ("POST", "/v1/promotions"),
        ("POST", f"/v1/promotions/{ANY_ID}/approvals"),
        ("POST", f"/v1/promotions/{ANY_ID}/withdraw"),
        ("GET", "/v1/audit/records"),
        ("GET", "/metrics"),
    },
}


@pytest.mark.parametrize(("who", "what"), [(who, what) for who, all_of in FORBIDDEN.items() for what in sorted(all_of)])
def test_a_role_without_the_permission_is_forbidden(gate: GateUnderTest, who: str, what: tuple[str, str]) -> None:
    """The wrong role gets 403; in particular an admin neither requests nor approves, and nobody edits the log."""
    method, path = what
    response = gate.call(method, path, who, {} if method == "POST" else None)

    assert (response.status_code, response.json["code"]) == (403, "identity.not_permitted")


@pytest.mark.parametrize("path", [path for path in READING if ANY_ID not in path])
def test_an_auditor_reads_everything(gate: GateUnderTest, path: str) -> None:
    """The auditor's role opens every reading route."""
    assert gate.call("GET", path, "aude").status_code == 200


def test_a_promotion_that_is_not_there_is_404(gate: GateUnderTest) -> None:
    """Reading, approving and withdrawing an unknown id answer alike."""
    shown = gate.call("GET", f"/v1/promotions/{ANY_ID}", "rita")
    withdrawn = gate.call("POST", f"/v1/promotions/{ANY_ID}/withdraw", "rita", {"schema_version": 1})

    assert (shown.status_code, shown.json["code"]) == (404, "promotion.unknown")
    assert (withdrawn.status_code, withdrawn.json["code"]) == (404, "promotion.unknown")
