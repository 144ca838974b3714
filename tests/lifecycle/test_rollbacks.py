"""Rolling back: what is found good, what is held, and what gives way."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from lockgate.audit.formats.disclosures import open_disclosure
from lockgate.audit.keeping.erasing import erase
from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S
from lockgate.demo.virtual_sigstore import VirtualSigstore
from lockgate.errors import LockgateError
from lockgate.evidence import load_trust_domains
from lockgate.identity import parse_principal
from lockgate.lifecycle.errors import HoldUnknownError, NoGoodVersionError, RolloutUnderWayError
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import EvidenceErasedError
from lockgate.storage.tables import live_interval, model_version
from support.gates import DAY_NS, ROLLBACK, make_gate
from support.models import register_model, register_version
from support.promotions import violated
from support.rollouts import (
    DEPLOYER,
    MODEL,
    PERSON,
    PRODUCTION,
    Deployer,
    digest_of,
    kinds_of,
    rebuilt_intervals,
    stored_intervals,
)


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine) -> Deployer:
    """Somebody who carries promotions out."""
    return Deployer(gate=make_gate(tmp_path, engine))


@pytest.fixture
def on_either(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """The same, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url))


def version_of(deployer: Deployer, promotion_id: str) -> str:
    """Return the version that a promotion is for."""
    version: str = deployer.gate.services.register.get(promotion_id).promotion.request.version
    return version


def lift(deployer: Deployer, **document: Any) -> dict[str, Any]:
    """Lift the hold and return the record's body."""
    body = canonicalize({"schema_version": 1, **document})
    deployer.gate.services.lifecycle.holds.lift(PERSON, MODEL, PRODUCTION, body, trace="0" * 36)
    record: dict[str, Any] = deployer.gate.records("gate.hold")[-1]["body"]
    return record


def finish(deployer: Deployer, promotion_id: str) -> str:
    """Carry a rollback out and return what came of it."""
    deployer.execute(promotion_id)
    return deployer.observe(version_of(deployer, promotion_id)).result


def test_a_rollback_brings_the_last_good_version_back(on_either: Deployer) -> None:
    """The newest one before that was confirmed, with its own evidence; the time it took is in the record."""
    deployer = on_either
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    promotion_id = deployer.roll_back(reason="error rate")
    deployer.gate.clock.advance(42 * NS_PER_S)
    result = finish(deployer, promotion_id)
    body = deployer.gate.records("gate.confirmation")[-1]["body"]
    promotion = deployer.gate.services.register.get(promotion_id).promotion

    assert (version_of(deployer, promotion_id), result) == ("2", "confirmed")
    assert (body["kind"], body["seconds"]) == ("rollback", 42)
    assert promotion.request.reason == "error rate"
    assert (promotion.requester, promotion.request.transition.from_environment) == ("rita", PRODUCTION)
    assert rebuilt_intervals(deployer.gate) == stored_intervals(deployer.gate)


def test_a_rollback_has_the_smaller_matrix(deployer: Deployer) -> None:
    """One approval where a promotion wants two."""
    deployer.deploy("1")
    deployer.deploy("2")
    promotion_id = deployer.roll_back()

    assert kinds_of(deployer.gate, promotion_id).count("gate.approval") == 1
    assert deployer.state(promotion_id) == "allowed"


def test_what_was_rolled_back_is_not_good_again(deployer: Deployer) -> None:
    """The second rollback goes further back, not to what the first one left; a person may name it all the same."""
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    finish(deployer, deployer.roll_back())  # to 2
    second = deployer.roll_back()

    assert version_of(deployer, second) == "1"
    assert version_of(deployer, deployer.roll_back(version="3")) == "3"


def test_out_of_band_is_left_and_never_returned_to(deployer: Deployer) -> None:
    """From what nobody promoted the way back is to what was; and never the other way round."""
    deployer.deploy("1")
    deployer.observe("stranger")
    promotion_id = deployer.roll_back()
    finish(deployer, promotion_id)

    assert version_of(deployer, promotion_id) == "1"
    with pytest.raises(NoGoodVersionError):
        deployer.roll_back()


@pytest.mark.parametrize("document", [{}, {"version": "9"}, {"environment": "staging"}, {"model": "other"}])
def test_no_good_version_is_said_by_name(deployer: Deployer, document: dict[str, str]) -> None:
    """Where nothing was confirmed before, or not that version, there is nothing to go back to, and no promotion."""
    deployer.deploy("1")
    with pytest.raises(NoGoodVersionError) as caught:
        deployer.roll_back(**document)

    assert caught.value.code == "rollback.no_good_version"
    assert len(deployer.gate.call("GET", "/v1/promotions", "rita").json["items"]) == 1


def test_a_rollback_during_a_rollout_takes_its_place(on_either: Deployer) -> None:
    """What was moved and not seen yet is left: what is live comes back, and the rollout failed, with a record."""
    deployer = on_either
    deployer.deploy("1")
    moved = deployer.allow("2")
    deployer.execute(moved, percent=5)
    rollback = deployer.roll_back()
    deployer.permit(rollback)

    assert version_of(deployer, rollback) == "1"
    assert (deployer.state(moved), deployer.state(rollback)) == ("failed", "permitted")
    deployer.gate.clock.advance(60 * NS_PER_S)
    body = deployer.gate.records("gate.rollout_failure")[0]["body"]
    assert (body["promotion_id"], body["code"]) == (moved, "rollout.rolled_back")
    assert finish(deployer, rollback) == "confirmed"
    assert [interval.version for interval in stored_intervals(deployer.gate)] == ["1", "1"]


def test_a_promotion_does_not_take_the_place_of_a_rollback(deployer: Deployer) -> None:
    """Only a rollback goes first."""
    deployer.deploy("1")
    deployer.deploy("2")
    promotion_id = deployer.allow("3")
    deployer.permit(deployer.roll_back())

    with pytest.raises((RolloutUnderWayError, LockgateError)) as caught:
        deployer.permit(promotion_id)
    assert caught.value.code == "rollout.under_way"


def test_a_permitted_rollback_places_a_hold(deployer: Deployer) -> None:
    """While it is in force no promotion is allowed and none gets a permit; a rollback may. A person lifts it."""
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    waiting = deployer.allow("4")
    finish(deployer, deployer.roll_back())
    held = deployer.gate.services.lifecycle.holds.list()
    denied = deployer.ask("5")

    assert [(hold.model, hold.environment) for hold in held] == [(MODEL, PRODUCTION)]
    assert deployer.gate.services.lifecycle.live.now(MODEL, PRODUCTION).held
    assert deployer.state(waiting) == "superseded"
    assert denied["decision"]["verdict"] == "deny"
    assert "LG-041" in violated(denied)
    assert deployer.state(deployer.roll_back()) == "allowed"
    lift(deployer)
    assert deployer.gate.services.lifecycle.holds.list() == ()
    assert deployer.state(deployer.allow("6")) == "allowed"


def test_a_rollback_places_its_hold_once(deployer: Deployer) -> None:
    """A second permit of it changes nothing; another rollback makes the hold its own, and says what it leaves."""
    promotions = {deployer.deploy(version): version for version in ("1", "2", "3")}
    first = deployer.roll_back()
    deployer.permit(first)
    deployer.gate.clock.advance(60 * NS_PER_S)
    finish(deployer, first)
    deployer.gate.clock.advance(NS_PER_S)
    second = deployer.roll_back()
    finish(deployer, second)
    bodies = [record["body"] for record in deployer.gate.records("gate.hold")]
    left = [[promotions.get(one["promotion_id"], "") or one["version"] for one in body["left"]] for body in bodies]

    assert [(body["change"], body["promotion_id"]) for body in bodies] == [("placed", first), ("placed", second)]
    assert left == [["3"], ["2"]]
    assert deployer.gate.services.lifecycle.holds.list()[0].promotion_id == second


def test_a_hold_is_lifted_once_and_says_why(deployer: Deployer) -> None:
    """The reason is a commitment whose words can be erased; without a hold there is nothing to lift."""
    deployer.deploy("1")
    deployer.deploy("2")
    finish(deployer, deployer.roll_back())
    body = lift(deployer, reason="fixed in 3")
    kept = deployer.gate.services.log.attachment(body["reason"].removeprefix("sha256:"))

    assert (body["change"], open_disclosure(kept, body["reason"]).value) == ("lifted", "fixed in 3")
    with pytest.raises(HoldUnknownError) as caught:
        lift(deployer)
    assert caught.value.code == "hold.unknown"


def test_a_hold_comes_back_with_the_next_rollback(on_either: Deployer) -> None:
    """Lifted, it is placed anew, by the rollback that did it."""
    deployer = on_either
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    finish(deployer, deployer.roll_back())
    lift(deployer)
    second = deployer.roll_back()
    deployer.permit(second)

    assert deployer.gate.services.lifecycle.holds.list()[0].promotion_id == second
    changes = [record["body"]["change"] for record in deployer.gate.records("gate.hold")]
    assert changes == ["placed", "lifted", "placed"]


def test_a_version_whose_evidence_was_erased_cannot_come_back(deployer: Deployer) -> None:
    """Nothing is verified without evidence; the refusal has a name, and no promotion is made."""
    first = deployer.deploy("1")
    deployer.deploy("2")
    services = deployer.gate.services
    bundles = [item.bundle_sha256 for item in services.register.get(first).promotion.request.evidence]
    erase(deployer.gate.database, services.log, bundles, reason="asked to", actor=DEPLOYER)

    with pytest.raises(EvidenceErasedError) as caught:
        deployer.roll_back()
    assert caught.value.code == "promotion.evidence_erased"


def test_a_rollback_asked_twice_with_one_key_is_one(deployer: Deployer) -> None:
    """The same key gives the same answer, also when another version would be found by now."""
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    rita = parse_principal(subject="rita", type="user", roles=["requester"], identities=["rita@example.com"])
    body = canonicalize({"schema_version": 1, "model": MODEL, "environment": PRODUCTION})

    def ask() -> str:
        answer = deployer.gate.services.lifecycle.rollbacks.request(
            rita, body, idempotency_key="page-17", trace="0" * 36
        )
        return answer.promotion.id

    first = ask()
    deployer.approve(deployer.gate.call("GET", f"/v1/promotions/{first}", "rita").json)
    finish(deployer, first)

    assert ask() == first


def test_a_signer_who_is_trusted_no_more_does_not_come_back(deployer: Deployer) -> None:
    """The evidence is verified afresh: under a root that was replaced, the old version is denied."""
    deployer.deploy("1")
    deployer.deploy("2")
    gate = deployer.gate
    VirtualSigstore(name="test", clock=gate.clock).write_trust_domain(gate.folder / "trust")
    gate.services.trust.verifier.replace_domains(load_trust_domains(gate.folder / "trust"))
    promotion_id = deployer.roll_back()

    assert deployer.state(promotion_id) == "denied"


def test_what_was_allowed_and_expired_still_counts_as_allowed(deployer: Deployer) -> None:
    """A rollback by hand may go to it, observed or not; to what was never allowed, or was denied later, it may not."""
    deployer.allow("1")
    deployer.ask("2")
    deployer.gate.clock.advance(8 * DAY_NS)
    rollback = {"kind": "rollback", "from": PRODUCTION, "to": PRODUCTION}
    allowed, never = deployer.ask("1", **rollback), deployer.ask("2", **rollback)

    assert "LG-013" not in violated(allowed)
    assert "LG-013" in violated(never)


MACHINE = "ci"


@pytest.fixture
def held(tmp_path: Path, engine: WasmEngine) -> Deployer:
    """Version 2 was rolled back to 1, whose hold is in force; and there is a machine that may request."""
    deployer = add_machine(Deployer(gate=make_gate(tmp_path, engine)))
    for version in ("1", "2"):
        deployer.deploy(version)
    finish(deployer, deployer.roll_back())
    return deployer


def add(deployer: Deployer, subject: str, kind: str, *roles: str, identity: str) -> Deployer:
    """Add somebody who can call."""
    gate = deployer.gate
    gate.identities.put_principal(parse_principal(subject=subject, type=kind, roles=roles, identities=[identity]))
    token = gate.identities.create_token(subject, DAY_NS).secret
    return Deployer(gate=replace(gate, tokens={**gate.tokens, subject: token}))


def add_machine(deployer: Deployer) -> Deployer:
    """Add a machine that may request."""
    return add(deployer, MACHINE, "machine", "requester", identity="ci@example.com")


def ask_back(deployer: Deployer, who: str, version: str, way: str, **changes: Any) -> dict[str, Any]:
    """Ask for a version back by one of the two ways there are."""
    if way == "/v1/rollbacks":
        wanted = {"schema_version": 1, "model": MODEL, "environment": PRODUCTION, "version": version}
        answer = deployer.gate.call("POST", way, who, wanted)
    else:
        digest = digest_of(version)
        bundle = deployer.gate.bundle(digest=digest)
        document = deployer.gate.request_document(
            bundle, version=version, digest=str(digest), **{**ROLLBACK, **changes}
        )
        answer = deployer.gate.call("POST", way, who, document)
    assert answer.status_code in {201, 202}, answer.text
    said: dict[str, Any] = answer.json
    return said


@pytest.mark.parametrize("way", ["/v1/rollbacks", "/v1/promotions"])
def test_no_machine_brings_back_what_was_rolled_back(held: Deployer, way: str) -> None:
    """While the hold is in force it is denied, by name or as a promotion of kind rollback; after that it may ask."""
    denied = ask_back(held, MACHINE, "2", way)
    lift(held)
    asked = ask_back(held, MACHINE, "2", way)

    assert (denied["decision"]["verdict"], violated(denied)) == ("deny", {"LG-020", "LG-041"})
    assert asked["decision"]["verdict"] == "pending"


@pytest.mark.parametrize("way", ["/v1/rollbacks", "/v1/promotions"])
def test_a_person_brings_it_back_as_a_promotion(held: Deployer, way: str) -> None:
    """With the approvals that its promotion wants, not with the fewer of a rollback."""
    asked = ask_back(held, "rita", "2", way)
    promotion_id = asked["promotion"]["id"]
    held.gate.approve("leo", "ml-lead", asked)
    by_one = held.state(promotion_id)
    held.gate.approve("maya", "risk", asked)

    assert {owed["role"] for owed in asked["decision"]["missing_approvals"]} == {"ml-lead", "risk"}
    assert (by_one, held.state(promotion_id)) == ("pending", "allowed")


def test_what_a_rollback_leaves_stays_away_from_its_permit_on(deployer: Deployer) -> None:
    """Also while the version that comes back was not seen to run, and the one that leaves still does."""
    deployer = add_machine(deployer)
    for version in ("1", "2"):
        deployer.deploy(version)
    deployer.execute(deployer.roll_back())
    denied = ask_back(deployer, MACHINE, "2", "/v1/rollbacks")

    assert (denied["decision"]["verdict"], violated(denied)) == ("deny", {"LG-020", "LG-041"})


def test_a_machine_goes_further_back(held: Deployer) -> None:
    """To what no rollback left since a hold was lifted: an alert must not be kept from mending what runs."""
    gate = held.gate
    lift(held)
    held.deploy("3")
    held.deploy("4")
    finish(held, held.roll_back())
    asked = [ask_back(held, MACHINE, version, "/v1/rollbacks") for version in ("1", "2", "4")]

    assert gate.services.lifecycle.live.now(MODEL, PRODUCTION).held
    assert [one["decision"]["verdict"] for one in asked] == ["pending", "pending", "deny"]


def test_contributors_are_those_of_before(deployer: Deployer) -> None:
    """Whoever asks for a rollback by hand cannot leave out who made the artifact, so that they cannot approve it."""
    first = deployer.ask("1", contributors=[{"subject": "leo", "role": "trainer"}])
    for who, role in (("lena", "ml-lead"), ("maya", "risk")):
        deployer.gate.approve(who, role, first)
    deployer.execute(first["promotion"]["id"])
    deployer.observe("1")
    deployer.deploy("2")
    invented = [{"subject": "nobody-in-particular", "role": "author"}]
    asked = ask_back(deployer, "rita", "1", "/v1/promotions", contributors=invented)
    named = deployer.gate.services.register.get(asked["promotion"]["id"]).promotion.request.contributors
    deployer.gate.approve("leo", "ml-lead", asked)

    assert [made.subject for made in named] == ["leo", "nobody-in-particular"]
    assert deployer.state(asked["promotion"]["id"]) == "pending"


def test_a_stranger_makes_nothing_good_again(deployer: Deployer) -> None:
    """Seen between a bad version and the rollback from it, it is not all that the rollback leaves."""
    for version in ("1", "2", "3"):
        deployer.deploy(version)
        deployer.gate.clock.advance(NS_PER_S)
    deployer.observe("stranger")
    finish(deployer, deployer.roll_back(version="2"))
    deployer.gate.clock.advance(NS_PER_S)

    assert version_of(deployer, deployer.roll_back()) == "1"


def test_an_emptied_cell_makes_nothing_good_again(on_either: Deployer) -> None:
    """Which versions are bad the log says: a table that forgot which rollback came changes nothing."""
    deployer = on_either
    for version in ("1", "2", "3"):
        deployer.deploy(version)
    rollback = deployer.roll_back()
    finish(deployer, rollback)
    with deployer.gate.database.begin() as connection:
        connection.execute(
            update(live_interval).where(live_interval.c.promotion_id == rollback).values(promotion_id="")
        )

    assert version_of(deployer, deployer.roll_back()) == "1"


def test_what_was_live_when_it_was_asked_for_is_bad(deployer: Deployer) -> None:
    """Also where a stranger was seen before it, and something else brought before the permit, which it leaves too."""
    for version in ("1", "2", "3"):
        deployer.deploy(version)
        deployer.gate.clock.advance(NS_PER_S)
    deployer.observe("stranger")
    deployer.gate.clock.advance(NS_PER_S)
    asked = ask_back(deployer, "rita", "2", "/v1/rollbacks")
    deployer.gate.clock.advance(NS_PER_S)
    deployer.deploy("4")
    deployer.approve(asked)
    finish(deployer, asked["promotion"]["id"])
    deployer.gate.clock.advance(NS_PER_S)
    (hold,) = deployer.gate.records("gate.hold")

    assert {one["version"] for one in hold["body"]["left"]} == {"3", "", "4"}
    assert version_of(deployer, deployer.roll_back()) == "1"


def test_what_was_promoted_again_after_its_hold_is_good_again(deployer: Deployer) -> None:
    """A person let it in once more, and it was seen to run: it may be gone back to."""
    for version in ("1", "2"):
        deployer.deploy(version)
        deployer.gate.clock.advance(NS_PER_S)
    finish(deployer, deployer.roll_back())
    lift(deployer)
    for version in ("2", "3"):
        deployer.gate.clock.advance(NS_PER_S)
        deployer.deploy(version)

    assert version_of(deployer, deployer.roll_back()) == "2"


def test_who_asked_for_it_does_not_lift_its_hold(held: Deployer) -> None:
    """Four eyes: not the requester of what was rolled back, under no other name of theirs; nor a role of elsewhere."""
    held = add(held, "rita-too", "user", "approver:risk", identity="RITA@example.com")
    gate = add(held, "nina", "user", "approver:lunch-menu", identity="nina@example.com").gate
    path = f"/v1/holds/{MODEL}/{PRODUCTION}:lift"
    answers = [gate.call("POST", path, who, {"schema_version": 1}) for who in ("rita", "rita-too", "nina", "maya")]
    denials = [record["body"]["reason"] for record in gate.records("identity.denial")]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 200]
    assert denials == ["own_request", "own_request", "role_not_named"]


def test_a_version_is_what_was_registered_as_it(deployer: Deployer) -> None:
    """A request that names another digest for it is denied; a table that was changed to fit does not help."""
    register_model(deployer.gate)
    for version in ("1", "2"):
        register_version(deployer.gate, version=version, digest=str(digest_of(version)))
    digest = digest_of("3")
    document = deployer.gate.request_document(deployer.gate.bundle(digest=digest), version="2", digest=str(digest))
    as_registered = deployer.ask("1")
    other = deployer.gate.call("POST", "/v1/promotions", "rita", document).json
    with deployer.gate.database.begin() as connection:
        connection.execute(
            update(model_version).where(model_version.c.version == "2").values(digest=str(digest_of("3")))
        )
    after = deployer.gate.call("POST", "/v1/promotions", "rita", document).json

    assert "LG-016" not in violated(as_registered)
    assert [violated(answer) for answer in (other, after)] == [{"LG-016", "LG-020"}] * 2


def test_what_is_registered_after_the_allow_counts_at_the_permit(deployer: Deployer) -> None:
    """The permit's decision looks again: what a version is may have been said meanwhile."""
    promotion_id = deployer.allow("1")
    register_model(deployer.gate)
    register_version(deployer.gate, version="1", digest=str(digest_of("another")))

    assert deployer.permit(promotion_id).permit == ""
    assert deployer.state(promotion_id) == "denied"
