"""Alerts over HTTP: who may send them, what they ask for, and how a storm becomes one request."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.administration import Administration
from lockgate.alerts import parse_alert_sources
from lockgate.alerts.payloads import ALERTS_MAX, PAYLOAD_BYTES_MAX, TARGETS_MAX, parse_notification
from lockgate.alerts.receiving import INCIDENT_NS, SKEW_NS
from lockgate.alerts.settings import TOKEN_CHARS_MIN
from lockgate.audit import Outcome
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.errors import LockgateError
from lockgate.gate_logs import Occasion
from lockgate.lifecycle import freeze as freeze_model
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion.hold_store import lift_hold, put_hold
from support.alerts import PATH, SOURCE, TOKEN, AlertedGate, alert, automatic_engine, make_alerted_gate, notification
from support.gates import DAY_NS, ROLLBACK
from support.promotions import SwitchedEngine, freeze, in_parallel
from support.rollouts import MODEL, PERSON, PRODUCTION, digest_of

HOUR_NS = DAY_NS // 24
FINDING = "0199c0de-0000-7000-8000-000000000001"


@pytest.fixture(scope="session")
def automatic(tmp_path_factory: pytest.TempPathFactory) -> WasmEngine:
    """A policy that wants nobody's approval of a rollback."""
    return automatic_engine(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, automatic: WasmEngine) -> AlertedGate:
    """A gate where nothing was ever live, for what must not get so far; tests share it."""
    return make_alerted_gate(tmp_path_factory.mktemp("quiet"), automatic)


@pytest.fixture
def alerted(tmp_path: Path, automatic: WasmEngine) -> AlertedGate:
    """A gate that rolls back without people; 1.0 was live, 2.0 is."""
    alerted = make_alerted_gate(tmp_path, automatic)
    alerted.deploy("1.0", "2.0")
    return alerted


def outcome(response: Any) -> dict[str, Any]:
    """Return what became of the one model and environment of a notification."""
    assert response.status_code == 202, response.text
    (result,) = response.json["results"]
    found: dict[str, Any] = result
    return found


def test_an_alert_rolls_back_where_the_policy_wants_nobody(alerted: AlertedGate) -> None:
    """The request is the source's principal's, to the version before, with the alert as its reason; it is allowed."""
    result = outcome(alerted.send(alerted.firing(), alertname="FraudScoresDrift"))
    promotion = alerted.gate.call("GET", f"/v1/promotions/{result['promotion_id']}", "leo").json["promotion"]

    assert (result["outcome"], result["verdict"], result["code"]) == ("requested", "allow", "")
    assert (promotion["kind"], promotion["version"], promotion["state"]) == ("rollback", "1.0", "allowed")
    assert promotion["requester"] == "alertmanager"
    assert promotion["reason"] == "alert of main: alertname=FraudScoresDrift"


def test_people_approve_where_the_policy_wants_them(tmp_path: Path, engine: WasmEngine) -> None:
    """An alert only asks: with a role in the matrix the rollback is pending until somebody speaks."""
    alerted = make_alerted_gate(tmp_path, engine)
    alerted.deploy("1.0", "2.0")
    result = outcome(alerted.send(alerted.firing()))

    assert (result["outcome"], result["verdict"]) == ("requested", "pending")
    assert alerted.deployer.state(result["promotion_id"]) == "pending"


def test_a_freeze_holds_for_alerts_too(alerted: AlertedGate, tmp_path: Path) -> None:
    """The policy's freeze denies the rollback; the answer says so, and the storm behind it asks for nothing more."""
    frozen = {**freeze(from_ns=10**18, until_ns=2**62), "kinds": ["rollback"]}
    alerted.gate.services.policy.replace(automatic_engine(tmp_path, frozen))
    first = outcome(alerted.send(alerted.firing()))
    alerted.gate.clock.advance(INCIDENT_NS)
    second = outcome(alerted.send(alerted.firing(alertname="Other"), alertname="Other"))

    assert (first["outcome"], first["verdict"]) == ("requested", "deny")
    assert (second["outcome"], second["promotion_id"]) == ("collapsed", first["promotion_id"])
    assert alerted.rollbacks() == [first["promotion_id"]]


def test_an_incident_after_that_one_asks_again(alerted: AlertedGate, tmp_path: Path) -> None:
    """What began well after the last request was asked for is another incident, if that request is over."""
    frozen = {**freeze(from_ns=10**18, until_ns=2**62), "kinds": ["rollback"]}
    alerted.gate.services.policy.replace(automatic_engine(tmp_path, frozen))
    outcome(alerted.send(alerted.firing()))
    alerted.gate.clock.advance(INCIDENT_NS + 1_000)  # times of alerts have microseconds
    result = outcome(alerted.send(alerted.firing()))

    assert (result["outcome"], result["verdict"]) == ("requested", "deny")
    assert len(alerted.rollbacks()) == 2


def test_a_storm_is_one_request(alerted: AlertedGate) -> None:
    """While the rollback is open, whatever fires about the model there only hears of it; each is 202."""
    first = outcome(alerted.send(alerted.firing()))
    alerted.gate.clock.advance(2 * INCIDENT_NS)
    storm = [alerted.send(alerted.firing(alertname=f"A{number}"), alertname=f"A{number}") for number in range(5)]

    assert [outcome(response)["promotion_id"] for response in storm] == [first["promotion_id"]] * 5
    assert {response.json["collapsed"] for response in storm} == {True}
    assert alerted.rollbacks() == [first["promotion_id"]]


def test_a_hold_ends_the_storm(alerted: AlertedGate) -> None:
    """After the rollback a hold is in force: alerts ask for nothing until a person lifts it."""
    rollback = outcome(alerted.send(alerted.firing()))["promotion_id"]
    alerted.deployer.execute(rollback)
    alerted.deployer.observe("1.0")
    alerted.gate.clock.advance(2 * INCIDENT_NS)
    held = outcome(alerted.send(alerted.firing()))

    assert alerted.deployer.state(rollback) == "confirmed"
    assert (held["outcome"], held["promotion_id"]) == ("collapsed", rollback)
    assert alerted.rollbacks() == [rollback]


def test_what_a_finding_froze_is_rolled_back_on_an_alert(alerted: AlertedGate) -> None:
    """A finding's hold answers no alert: a rollback is asked for. With its permit the hold becomes the rollback's."""
    occasion = Occasion(actor=PERSON, model=MODEL, now=alerted.gate.clock.now_ns(), trace=None)
    alerted.gate.services.log.transact(
        lambda connection: Outcome(value=None, events=freeze_model(connection, occasion, PRODUCTION, FINDING, None))
    )
    result = outcome(alerted.send(alerted.firing()))
    alerted.deployer.execute(result["promotion_id"])
    (hold,) = alerted.gate.services.lifecycle.holds.list()
    alerted.gate.clock.advance(2 * INCIDENT_NS)
    storm = outcome(alerted.send(alerted.firing()))

    assert (result["outcome"], storm["outcome"]) == ("requested", "collapsed")
    assert hold.promotion_id == result["promotion_id"]


def test_an_alert_that_goes_on_does_not_roll_back_what_came_after(alerted: AlertedGate) -> None:
    """Nor one that is sent again: it began before what runs now arrived. A new one is about what runs now."""
    old = alerted.firing()
    rollback = outcome(alerted.send(old))["promotion_id"]
    alerted.deployer.execute(rollback)
    alerted.deployer.observe("1.0")
    alerted.gate.services.lifecycle.holds.lift(PERSON, MODEL, PRODUCTION, b'{"schema_version":1}', trace="0" * 36)
    alerted.deploy("3.0")
    still = outcome(alerted.send(old))
    late = outcome(alerted.send(alert(alerted.gate.clock.now - HOUR_NS - SKEW_NS - 1_000)))
    fresh = outcome(alerted.send(alerted.firing()))

    assert (still["outcome"], still["promotion_id"]) == ("collapsed", rollback)
    assert (late["outcome"], late["promotion_id"], late["verdict"]) == ("stale", "", "")
    assert fresh["outcome"] == "requested"


def test_an_alert_between_the_move_and_the_observation_counts(alerted: AlertedGate) -> None:
    """What arrives is to blame from the moment when the pointer was moved, also while nobody saw it run yet."""
    promotion_id = alerted.deployer.allow("3.0")
    alerted.deployer.execute(promotion_id)
    alerted.gate.clock.advance(HOUR_NS)
    began = alerted.firing()
    alerted.gate.clock.advance(HOUR_NS)
    alerted.deployer.observe("3.0")
    result = outcome(alerted.send(began))
    promotion = alerted.gate.call("GET", f"/v1/promotions/{result['promotion_id']}", "leo").json["promotion"]

    assert (result["outcome"], promotion["version"]) == ("requested", "2.0")


def test_an_alert_from_before_the_move_is_not_about_what_arrives(alerted: AlertedGate) -> None:
    """It began under what is replaced at this moment: rolling back what replaces it would bring it back."""
    promotion_id = alerted.deployer.allow("3.0")
    began = alerted.firing()
    alerted.gate.clock.advance(HOUR_NS)
    alerted.deployer.execute(promotion_id)

    assert outcome(alerted.send(began))["outcome"] == "stale"
    assert outcome(alerted.send(alerted.firing()))["outcome"] == "requested"


def test_the_newest_alert_of_a_group_counts(alerted: AlertedGate) -> None:
    """One that has been firing for days does not hide what began now, in whatever order they come."""
    old = alert(alerted.gate.clock.now - DAY_NS)
    result = outcome(alerted.send(old, alerted.firing(), old))

    assert result["outcome"] == "requested"


def test_alerts_at_the_same_moment_are_one_request(tmp_path: Path, automatic: WasmEngine, database_url: str) -> None:
    """Threads with different groups of alerts: one asks, the others hear that it was asked; on both databases."""
    alerted = make_alerted_gate(tmp_path, automatic, database_url=database_url)
    alerted.deploy("1.0", "2.0")
    receiver = alerted.gate.services.alerts
    source = receiver.authenticate("main", TOKEN)
    began = alerted.gate.clock.now

    def send(number: int) -> str:
        body = orjson.dumps(notification(alert(began + number * 1_000), alertname=f"A{number}"))
        (result,) = receiver.receive(source, body, trace="0" * 36).results
        return result.outcome

    outcomes = in_parallel(*(functools.partial(send, number) for number in range(8)))

    assert sorted(outcomes) == ["collapsed"] * 7 + ["requested"]
    assert len(alerted.rollbacks()) == 1


def test_no_good_version_is_said_and_recorded_once(tmp_path: Path, automatic: WasmEngine) -> None:
    """A first version cannot be rolled back: a stable code, a record, no promotion; a storm makes no second record."""
    alerted = make_alerted_gate(tmp_path, automatic)
    alerted.deploy("1.0")
    results = [outcome(alerted.send(alerted.firing(alertname=name), alertname=name)) for name in ("A", "B", "A")]
    records = alerted.gate.records("gate.failure")

    assert {(one["outcome"], one["code"]) for one in results} == {("failed", "rollback.no_good_version")}
    assert [(one["body"]["operation"], one["body"]["code"]) for one in records] == [
        ("rollback", "rollback.no_good_version")
    ]
    assert records[0]["actor"]["id"] == "alertmanager"
    assert records[0]["body"]["detail"].startswith("production: ")
    assert alerted.rollbacks() == []


def test_a_failure_is_recorded_where_its_environment_is(tmp_path: Path, automatic: WasmEngine) -> None:
    """In the environment's own log, if it has one; also about a model that never ran there."""
    alerted = make_alerted_gate(tmp_path, automatic, environment_logs=("production",))
    outcome(alerted.send(alerted.firing(model="unheard-of")))

    assert len(alerted.gate.records("gate.failure", log="production")) == 1
    assert alerted.gate.records("gate.failure") == []


def test_what_asks_for_nothing_is_ignored(quiet: AlertedGate) -> None:
    """Resolved alerts, mild ones, and those whose labels name no model and environment of ours."""
    now = quiet.gate.clock.now
    response = quiet.send(
        {**alert(now), "status": "resolved"},
        alert(now, severity="warning"),
        alert(now, severity=None),
        alert(now, severity="CRITICAL"),
        alert(now, model=None),
        alert(now, environment=None),
        alert(now, model="../../etc/passwd"),
        alert(now, environment="Production"),
    )

    assert (response.status_code, response.json["results"], response.json["ignored"]) == (202, [], 8)
    assert response.json["collapsed"] is False
    assert quiet.rollbacks() == []


def test_an_exact_table_stands_before_the_labels(tmp_path: Path, automatic: WasmEngine) -> None:
    """All of its labels must be there with their values; others may be there too; the first that fits counts."""
    mappings = [
        {"labels": {"service": "scoring", "cluster": "eu-1"}, "model": MODEL, "environment": PRODUCTION},
        {"labels": {"service": "scoring"}, "model": "another", "environment": "staging"},
    ]
    alerted = make_alerted_gate(tmp_path, automatic, mappings=mappings, severity_label="priority")
    alerted.deploy("1.0", "2.0")
    labels = {"service": "scoring", "severity": None, "priority": "page"}
    first = outcome(alerted.send(alerted.firing(cluster="eu-1", model="x", environment="dev", **labels)))
    second = outcome(alerted.send(alerted.firing(cluster="us-1", **labels)))

    assert (first["model"], first["environment"], first["outcome"]) == (MODEL, PRODUCTION, "requested")
    assert (second["model"], second["environment"], second["outcome"]) == ("another", "staging", "failed")


@pytest.mark.parametrize(
    ("token", "path"),
    [
        (None, PATH),
        ("", PATH),
        ("another-token-of-that-length", PATH),
        (TOKEN + "x", PATH),
        (TOKEN, "/v1/hooks/alertmanager/other"),
        ("", "/v1/hooks/alertmanager/other"),
    ],
)
def test_only_the_sources_own_token_lets_in(quiet: AlertedGate, token: str | None, path: str) -> None:
    """Whoever has no token, or another, or another source's name, learns nothing and asks for nothing."""
    refused = quiet.send(quiet.firing(), token=token, path=path)

    assert (refused.status_code, refused.json["code"]) == (401, "alert.unauthenticated")
    assert quiet.rollbacks() == []


def test_a_principals_token_is_no_alertmanagers(quiet: AlertedGate) -> None:
    """Not even the operator's: a hook is for what the settings name."""
    refused = quiet.send(quiet.firing(), token=quiet.gate.tokens["otto"])

    assert refused.json["code"] == "alert.unauthenticated"


def test_a_token_that_cannot_be_used_lets_nobody_in(tmp_path: Path, automatic: WasmEngine) -> None:
    """Too short, empty, or not there: the source is said to be unusable, and its token is in no answer."""
    alerted = make_alerted_gate(tmp_path, automatic)
    path = alerted.gate.folder / "alertmanager.token"
    for content in ("x" * (TOKEN_CHARS_MIN - 1), "", "two-lines-of-a-token\nand-more-of-it", None):
        path.unlink()
        if content is not None:
            path.write_text(content)
        refused = alerted.send(alerted.firing(), token=content.split("\n")[0] if content else "")
        path.touch()

        assert (refused.status_code, refused.json["code"]) == (503, "alert.source_unusable")
        assert not content or content not in refused.text
    assert alerted.gate.records("gate.failure") == []


def test_a_token_is_exchanged_in_its_file(alerted: AlertedGate) -> None:
    """From the next notification on the new one counts, and the old one does not."""
    (alerted.gate.folder / "alertmanager.token").write_text("the-token-of-tomorrow")

    assert alerted.send(alerted.firing()).status_code == 401
    assert outcome(alerted.send(alerted.firing(), token="the-token-of-tomorrow"))["outcome"] == "requested"


@pytest.mark.parametrize(
    ("roles", "kind"), [((), "machine"), (("deployer",), "machine"), (("requester",), "user")], ids=str
)
def test_a_principal_that_may_not_ask_asks_for_nothing(
    tmp_path: Path, automatic: WasmEngine, roles: tuple[str, ...], kind: str
) -> None:
    """Without the role, or a person, in whose name nothing happens behind their back; the denial is recorded."""
    alerted = make_alerted_gate(tmp_path, automatic, roles=roles, kind=kind)
    refused = alerted.send(alerted.firing())

    assert (refused.status_code, refused.json["code"]) == (403, "identity.not_permitted")
    assert [record["body"]["operation"] for record in alerted.gate.records("identity.denial")] == ["rollbacks.create"]
    assert alerted.rollbacks() == []


def test_a_disabled_principal_asks_for_nothing(alerted: AlertedGate) -> None:
    """Who disables it switches automatic rollbacks of the source off, at once."""
    Administration(alerted.gate.services.log, alerted.gate.clock).disable_principal("alertmanager")

    assert alerted.send(alerted.firing()).status_code == 403
    assert alerted.rollbacks() == []


GOOD = alert(1_795_000_000_000_000_000)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"version": "3"}, 422, "alert.payload_invalid"),
        ({"version": 4}, 422, "alert.payload_invalid"),
        ({"groupLabels": None}, 422, "alert.payload_invalid"),
        ({"groupLabels": {"a": 1}}, 422, "alert.payload_invalid"),
        ({"alerts": None}, 422, "alert.payload_invalid"),
        ({"alerts": {}}, 422, "alert.payload_invalid"),
        ({"alerts": ["firing"]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "status": "unknown"}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "labels": []}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "labels": {"severity": 1}}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "startsAt": "yesterday"}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "startsAt": "2026-11-23T09:00:00"}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "startsAt": "0001-01-01T00:00:00Z"}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "startsAt": 1}]}, 422, "alert.payload_invalid"),
        ({"alerts": [{**GOOD, "startsAt": None}]}, 422, "alert.payload_invalid"),
        ({"alerts": [GOOD] * (ALERTS_MAX + 1)}, 422, "alert.payload_invalid"),
        ({"commonAnnotations": {"x": "x" * PAYLOAD_BYTES_MAX}}, 413, "json.too_large"),
        ({"commonAnnotations": [[[[[[[[[]]]]]]]]]}, 413, "json.too_large"),
        ({"commonAnnotations": {"x": "\0"}}, 400, "json.malformed"),
    ],
)
def test_what_is_no_notification_is_refused(quiet: AlertedGate, change: Any, status: int, code: str) -> None:
    """By a stable code, with the place where it is wrong; nothing is asked for."""
    body = {**notification(GOOD), **change}
    refused = quiet.gate.client.post(PATH, json=body, headers={"Authorization": f"Bearer {TOKEN}"})

    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert len(refused.json["detail"]) < 400
    assert quiet.rollbacks() == []


@pytest.mark.parametrize("body", [b" ", b"{", b"[]", b"null", b'{"version":"4","version":"4"}', b"\xff"])
def test_what_is_no_json_object_is_refused(quiet: AlertedGate, body: bytes) -> None:
    """As everywhere else."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    refused = quiet.gate.client.post(PATH, data=body, headers=headers)

    assert refused.status_code in {400, 422}
    assert refused.json["code"] in {"json.malformed", "alert.payload_invalid"}


def test_ten_thousand_alerts_are_one_request(alerted: AlertedGate) -> None:
    """The most that one notification may hold, all about one model: one rollback."""
    small = {"status": "firing", "startsAt": alerted.firing()["startsAt"], "labels": alerted.firing()["labels"]}
    response = alerted.send(*[small] * ALERTS_MAX)

    assert outcome(response)["outcome"] == "requested"
    assert len(alerted.rollbacks()) == 1


def test_too_many_models_at_once_are_for_people(quiet: AlertedGate) -> None:
    """A group that is about more models than that asks for nothing at all; the problem says what to group by."""
    at_most = [quiet.firing(model=f"m{number}") for number in range(TARGETS_MAX)]
    refused = quiet.send(*at_most, quiet.firing())
    taken = quiet.send(*at_most)

    assert (refused.status_code, refused.json["code"]) == (422, "alert.too_many_targets")
    assert "group by both" in refused.json["detail"]
    assert [result["outcome"] for result in taken.json["results"]] == ["failed"] * TARGETS_MAX
    assert quiet.rollbacks() == []


def test_times_are_read_as_go_writes_them(quiet: AlertedGate) -> None:
    """With nanoseconds, without a fraction, or in another zone."""
    for text in ("2026-11-17T09:00:00.123456789Z", "2026-11-17T09:00:00Z", "2026-11-17T10:00:00.5+01:00"):
        response = quiet.send({**quiet.firing(model="unheard-of"), "startsAt": text})
        assert outcome(response)["outcome"] == "failed"


def test_a_gate_that_cannot_decide_says_come_back(alerted: AlertedGate, automatic: WasmEngine) -> None:
    """503, so that Alertmanager sends the notification again; then it is asked for."""
    switched = SwitchedEngine(automatic)
    switched.broken = True
    alerted.gate.services.policy.replace(switched)
    broken = alerted.send(alerted.firing())
    switched.broken = False

    assert broken.status_code == 503
    assert outcome(alerted.send(alerted.firing()))["outcome"] == "requested"


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text("a4.é\n", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
PLACES: dict[str, Callable[[Any], Any]] = {
    "all": lambda hostile: hostile,
    "version": lambda hostile: {**notification(GOOD), "version": hostile},
    "group": lambda hostile: {**notification(GOOD), "groupLabels": hostile},
    "alerts": lambda hostile: {**notification(GOOD), "alerts": hostile},
    "alert": lambda hostile: notification(GOOD, hostile),
    "labels": lambda hostile: notification({**GOOD, "labels": hostile}),
    "label": lambda hostile: notification({**GOOD, "labels": {**GOOD["labels"], "model": hostile}}),
    "time": lambda hostile: notification({**GOOD, "startsAt": hostile}),
}


@given(HOSTILE, st.sampled_from(sorted(PLACES)))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_refused_by_name(hostile: object, place: str) -> None:
    """Any JSON in any place is a notification, or an error of ours."""
    (source,) = parse_alert_sources([SOURCE])
    code = ""
    try:
        parse_notification(orjson.dumps(PLACES[place](hostile)), source, EpochNs(2**62))
    except LockgateError as exc:
        code = exc.code

    assert code in {"", "alert.payload_invalid", "json.too_large"}


def request_rollback(alerted: AlertedGate, version: str) -> dict[str, Any]:
    """Ask for a rollback by hand, as somebody who is no alert source, to whatever version."""
    digest = digest_of(version)
    document = alerted.gate.request_document(
        alerted.gate.bundle(digest=digest), version=version, digest=str(digest), **ROLLBACK
    )
    answer: dict[str, Any] = alerted.gate.call("POST", "/v1/promotions", "ravi", document).json
    return answer


@pytest.mark.parametrize(("version", "state"), [("9.9", "denied"), ("1.0", "allowed")])
def test_what_others_only_asked_for_answers_nothing(alerted: AlertedGate, version: str, state: str) -> None:
    """A rollback of a requester, denied or allowed, moves nothing: the alert asks for its own."""
    began = alerted.firing()
    others = request_rollback(alerted, version)
    result = outcome(alerted.send(began))

    assert others["promotion"]["state"] == state
    assert (result["outcome"], result["verdict"]) == ("requested", "allow")
    assert result["promotion_id"] != others["promotion"]["id"]


def test_what_others_carry_out_answers(alerted: AlertedGate) -> None:
    """With its permit a rollback is on its way, whoever asked for it: nothing more is asked for."""
    others = request_rollback(alerted, "1.0")["promotion"]["id"]
    began = alerted.firing()
    alerted.deployer.permit(others)
    on_its_way = outcome(alerted.send(began))
    alerted.gate.clock.advance(60 * NS_PER_S)  # until that permit has ended
    alerted.deployer.execute(others)
    alerted.deployer.observe("1.0")
    alerted.gate.services.lifecycle.holds.lift(PERSON, MODEL, PRODUCTION, b'{"schema_version":1}', trace="0" * 36)
    after = outcome(alerted.send(began))

    assert [(one["outcome"], one["promotion_id"]) for one in (on_its_way, after)] == [("collapsed", others)] * 2


def test_an_alert_that_goes_on_asks_again_after_a_denial(
    alerted: AlertedGate, automatic: WasmEngine, tmp_path: Path
) -> None:
    """Alertmanager sends it again with the time at which it began; when the freeze is over, that is asked for."""
    frozen = {**freeze(from_ns=10**18, until_ns=2**62), "kinds": ["rollback"]}
    alerted.gate.services.policy.replace(automatic_engine(tmp_path, frozen))
    began = alerted.firing()
    denied = outcome(alerted.send(began))
    alerted.gate.services.policy.replace(automatic)
    soon = outcome(alerted.send(began))
    alerted.gate.clock.advance(INCIDENT_NS + 1_000)
    later = outcome(alerted.send(began))

    assert [one["verdict"] for one in (denied, soon, later)] == ["deny", "", "allow"]
    assert [one["outcome"] for one in (denied, soon, later)] == ["requested", "collapsed", "requested"]


def test_a_stranger_makes_no_alert_stale(alerted: AlertedGate) -> None:
    """What is seen out of band while the alert waits is no answer; nor is what ran when it began gone back to."""
    alerted.deploy("3.0")
    began = alerted.firing()
    alerted.gate.clock.advance(HOUR_NS)
    alerted.deployer.observe("stranger")
    result = outcome(alerted.send(began))
    promotion = alerted.gate.call("GET", f"/v1/promotions/{result['promotion_id']}", "leo").json["promotion"]

    assert (result["outcome"], promotion["version"]) == ("requested", "2.0")


def test_a_hold_that_only_its_row_has_answers_nothing(alerted: AlertedGate) -> None:
    """Nor does one end that only its row has lost: the log says which rollback holds."""
    with alerted.gate.database.begin() as connection:
        put_hold(connection, MODEL, PRODUCTION, promotion_id=FINDING, now=alerted.gate.clock.now)
    first = outcome(alerted.send(alerted.firing()))
    alerted.deployer.execute(first["promotion_id"])
    alerted.deployer.observe("1.0")
    with alerted.gate.database.begin() as connection:
        lift_hold(connection, MODEL, PRODUCTION, now=alerted.gate.clock.now)
    alerted.gate.clock.advance(2 * INCIDENT_NS)
    held = outcome(alerted.send(alerted.firing()))

    assert [one["outcome"] for one in (first, held)] == ["requested", "collapsed"]


def test_an_alert_from_the_future_is_refused(alerted: AlertedGate) -> None:
    """It would be of no incident that was answered before, and ask each time it is sent; what is ahead a little may."""
    ahead = alert(alerted.gate.clock.now + SKEW_NS)
    beyond = alert(alerted.gate.clock.now + SKEW_NS + 1_000)
    refused = [alerted.send(beyond), alerted.send({**beyond, "status": "resolved"}, ahead)]

    assert [(one.status_code, one.json["code"]) for one in refused] == [(422, "alert.payload_invalid")] * 2
    assert alerted.rollbacks() == []
    assert outcome(alerted.send(ahead))["outcome"] == "requested"
