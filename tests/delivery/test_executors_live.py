"""The whole way with a real MLflow behind the guard, and with a deployer that is called."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
import pytest

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.rollouts import LOOK_S, RETRY_WAITS_S, UNSEEN_S
from lockgate.policy import PolicyEngine
from lockgate.system_clock import SystemClock
from support.deployers import TOKEN, FakeDeployer, running_deployer
from support.gates import make_gate
from support.guarded_mlflow import GuardedMLflow, running_guarded_mlflow
from support.models import register_model
from support.rollout_jobs import CHAMPION, RolloutStand, rollout_stand
from support.rollouts import digest_of

MODEL: Final = "Fraud (EU), 2nd"


@pytest.fixture(scope="module")
def guarded(mlflow_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMLflow]:  # noqa: ARG001 - it must be there
    """MLflow behind the guard."""
    with running_guarded_mlflow(tmp_path_factory.mktemp("guarded")) as server:
        yield server


def test_the_guard_lets_the_job_move_the_alias(guarded: GuardedMLflow, tmp_path: Path, engine: PolicyEngine) -> None:
    """With the gate's permit and nobody else's: refused until it knows the gate's key, moved then."""
    guarded.server.call("POST", "registered-models/create", {"name": MODEL})
    for _ in range(2):
        guarded.server.call("POST", "model-versions/create", {"name": MODEL, "source": "s3://bucket/model"})
    aliases = [{"environment": "production", "alias": "champion"}]
    registry = {"name": "models", "type": "mlflow", "url": guarded.server.url, "aliases": aliases}
    gate = make_gate(tmp_path, engine, registries=[registry])
    register_model(gate, registry="models", registry_model=MODEL)
    # The guard's clock less what passes below: a permit is not valid before its time.
    gate.clock.now = EpochNs(SystemClock().now_ns() - 20 * NS_PER_S)
    stand = rollout_stand(gate)
    first = stand.people.allow("1")
    stand.run()
    refused = stand.code(first), stand.pointer(registry="models", model=MODEL)
    key = gate.services.lifecycle.permit_key
    assert key is not None
    guarded.keys_file.write_bytes(orjson.dumps(key.jwks()))
    stand.run(after_s=RETRY_WAITS_S[0])
    second = stand.people.allow("2")
    stand.run(after_s=1)  # of two promotions within one second the guard would take the first alone
    spent = guarded.set_alias(MODEL, "1")

    assert refused == ("registry.refused", "")
    assert [stand.people.state(one) for one in (first, second)] == ["confirmed", "confirmed"]
    assert stand.pointer(registry="models", model=MODEL) == "2"
    assert stand.pointer("champion-previous", registry="models", model=MODEL) == "1"
    assert spent.status == 403


@pytest.fixture
def deployer(tmp_path: Path, engine: PolicyEngine) -> Iterator[tuple[RolloutStand, FakeDeployer]]:
    """A gate whose promotions into production are called out, and who is called."""
    gate = make_gate(tmp_path, engine)
    (tmp_path / "token").write_text(TOKEN)
    key = gate.services.lifecycle.permit_key
    assert key is not None
    with running_deployer(key) as fake:
        table = {
            "name": "deployer",
            "type": "http",
            "environments": ["production"],
            "url": f"{fake.url}/orders",
            "observe_url": f"{fake.url}/live",
            "token_file": "token",
        }
        yield rollout_stand(gate, [table]), fake


def test_a_deployer_is_called_once_and_asked_what_runs(deployer: tuple[RolloutStand, FakeDeployer]) -> None:
    """Its word that it runs confirms the promotion; its word that it took the order does not."""
    stand, fake = deployer
    promotion = stand.people.allow("1.0.0")
    fake.nonsense = orjson.dumps({"schema_version": 1, "digest": str(digest_of("0.9.0"))})
    stand.run()
    state = stand.people.state(promotion)
    fake.nonsense = b""
    stand.run(after_s=LOOK_S)

    assert (state, stand.people.state(promotion)) == ("executing", "confirmed")
    assert len(fake.done) == 1
    assert fake.taken[0]["digest"] == str(digest_of("1.0.0"))


@pytest.mark.parametrize("nonsense", [b"<html>", b"{}", b'{"schema_version":1,"digest":"latest"}', b"[" * 1000])
def test_nonsense_confirms_nothing(deployer: tuple[RolloutStand, FakeDeployer], nonsense: bytes) -> None:
    """The order was given; what runs is asked again until it is understood."""
    stand, fake = deployer
    fake.nonsense = nonsense
    promotion = stand.people.allow("1.0.0")
    stand.run()
    state, code = stand.people.state(promotion), stand.code(promotion)
    fake.nonsense = b""
    stand.run(after_s=UNSEEN_S)

    assert (state, code) == ("executing", "rollout.answer")
    assert stand.people.state(promotion) == "confirmed"


def test_a_deployer_that_sees_something_else_ends_it(deployer: tuple[RolloutStand, FakeDeployer]) -> None:
    """409: it compared with what the gate knows to be live, and nothing is tried again."""
    stand, fake = deployer
    fake.running = {"version": "0.9.0", "digest": str(digest_of("0.9.0"))}
    promotion = stand.people.allow("1.0.0")
    stand.run()

    assert (stand.people.state(promotion), stand.failure()) == ("failed", "rollout.pointer_moved")
    assert fake.done == []


def test_where_nobody_can_be_asked_an_observation_confirms(tmp_path: Path, engine: PolicyEngine) -> None:
    """Without `observe_url` the deployer says itself what runs, with its own token."""
    gate = make_gate(tmp_path, engine)
    key = gate.services.lifecycle.permit_key
    assert key is not None
    with running_deployer(key) as fake:
        table = {**CHAMPION, "type": "http", "url": f"{fake.url}/orders"}
        stand = rollout_stand(gate, [table])
        promotion = stand.people.allow("1.0.0")
        stand.run()
        stand.run(after_s=UNSEEN_S)
        state = stand.people.state(promotion)
    document = {"schema_version": 1, "digest": str(digest_of("1.0.0"))}
    observed = gate.call("POST", "/v1/live/fraud-detector/production/observations", "dora", document)

    assert (state, observed.status_code) == ("executing", 201)
    assert stand.people.state(promotion) == "confirmed"
