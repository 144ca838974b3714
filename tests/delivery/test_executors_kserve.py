"""Shares of traffic with KServe, step by step, and what may go wrong there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockgate.delivery.rollouts import LOOK_S, RETRY_WAITS_S
from lockgate.policy.wasm import WasmEngine
from support.gates import compile_config, make_gate, policy_config
from support.kubernetes_api import TOKEN, FakeKubernetes, running_kubernetes
from support.models import register_model, register_version
from support.promotions import SwitchedEngine, freeze
from support.rollout_jobs import RolloutStand, rollout_stand
from support.rollouts import digest_of

INTERVAL_S = 300


def source_of(version: str) -> str:
    """Return where a version's files are."""
    return f"oci://models.example/fraud@{digest_of(version)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A gate, the job, and the cluster before them, in which version 1 is live."""

    stand: RolloutStand
    kubernetes: FakeKubernetes
    engine: SwitchedEngine

    def share(self) -> tuple[str, int | None]:
        """Return what the service is told: the version and the share of traffic, None for all."""
        predictor = self.kubernetes.document["spec"]["predictor"]
        version = next(one for one in "1234" if source_of(one) == predictor["model"]["storageUri"])
        return version, predictor.get("canaryTrafficPercent")

    def go_on(self) -> None:
        """Let KServe do its part, and take the next step when it is time."""
        self.kubernetes.settle()
        self.stand.run(after_s=INTERVAL_S)


@pytest.fixture
def cluster(tmp_path: Path, engine: WasmEngine) -> Iterator[Cluster]:
    """Version 1 is live; versions 2 and 3 wait, and 4, whose source anybody may change."""
    switched = SwitchedEngine(engine)
    gate = make_gate(tmp_path, switched)
    register_model(gate)
    for version in "1234":
        source = source_of(version) if version != "4" else "models:/fraud@champion"
        register_version(gate, version=version, digest=str(digest_of(version)), source=source)
    (tmp_path / "token").write_text(TOKEN)
    with running_kubernetes() as kubernetes:
        kubernetes.put(source_of("1"))
        service = {"model": "fraud-detector", "inference_service": "fraud", "namespace": "serving"}
        table = {
            "name": "serving",
            "type": "kserve",
            "environments": ["production"],
            "url": kubernetes.url,
            "token_file": "token",
            "services": [service],
            "sources": ["oci://models.example/"],
            "steps": [10, 50, 100],
            "step_interval_s": INTERVAL_S,
        }
        stand = rollout_stand(gate, [table])
        stand.people.deploy("1")
        yield Cluster(stand=stand, kubernetes=kubernetes, engine=switched)


def test_each_share_is_a_decision(cluster: Cluster) -> None:
    """10, 50, 100 percent, each decided anew and recorded; seen to run, it is confirmed."""
    promotion = cluster.stand.people.allow("2")
    cluster.stand.run()
    shares = [cluster.share()]
    for _ in range(2):
        cluster.go_on()
        shares.append(cluster.share())
    before = cluster.stand.people.state(promotion)
    cluster.go_on()

    assert shares == [("2", 10), ("2", 50), ("2", None)]
    assert (before, cluster.stand.people.state(promotion)) == ("executing", "confirmed")
    assert [record["body"]["percent"] for record in cluster.stand.gate.records("gate.step")] == [50, 100]


def test_no_step_before_its_time(cluster: Cluster) -> None:
    """However often the job runs."""
    cluster.stand.people.allow("2")
    cluster.stand.run()
    cluster.kubernetes.settle()
    for _ in range(5):
        cluster.stand.run(after_s=1)

    assert cluster.share() == ("2", 10)


def test_a_freeze_between_steps_takes_the_share_back(cluster: Cluster, tmp_path: Path) -> None:
    """The next step is denied; all traffic goes to what was there before, and it is said once."""
    promotion = cluster.stand.people.allow("2")
    cluster.stand.run()
    frozen = policy_config(freezes={"freezes": [freeze(from_ns=10**18, until_ns=2**62)]})
    cluster.engine.now = WasmEngine(compile_config(tmp_path / "frozen", frozen))
    cluster.go_on()
    state = cluster.stand.people.state(promotion)
    cluster.stand.run(after_s=INTERVAL_S)
    patches = len(cluster.kubernetes.patches)
    cluster.stand.run(after_s=INTERVAL_S)

    assert state == "denied"
    assert cluster.share() == ("2", 0)
    assert len(cluster.kubernetes.patches) == patches


def test_a_rollback_takes_a_share_back_at_once(cluster: Cluster) -> None:
    """It does not wait for the steps of what it takes back, and takes none itself."""
    canary = cluster.stand.people.allow("2")
    cluster.stand.run()
    rollback = cluster.stand.people.roll_back(version="1")
    cluster.stand.run(after_s=1)
    share = cluster.share()
    cluster.kubernetes.settle()
    cluster.stand.run(after_s=LOOK_S)

    assert share == ("1", None)
    assert cluster.stand.people.state(canary) == "failed"
    assert cluster.stand.people.state(rollback) == "confirmed"


def test_what_never_gets_ready_is_taken_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end: failed, with a reason, and without traffic; what is left of it in the spec is in nobody's way."""
    monkeypatch.setattr("lockgate.delivery.rollouts.READY_S_MAX", 3 * LOOK_S)
    promotion = cluster.stand.people.allow("2")
    cluster.stand.run()
    cluster.kubernetes.settle(ready=False)
    cluster.stand.run(after_s=INTERVAL_S)
    for _ in range(2):
        cluster.stand.run(after_s=LOOK_S)
    early = cluster.stand.people.state(promotion)
    cluster.stand.run(after_s=LOOK_S)
    cluster.stand.run(after_s=1)
    share = cluster.share()
    cluster.kubernetes.settle()
    other = cluster.stand.people.allow("3")
    cluster.stand.run(after_s=1)

    assert early == "executing"
    assert (cluster.stand.people.state(promotion), cluster.stand.failure()) == ("failed", "rollout.not_ready")
    assert share == ("2", 0)
    assert (cluster.stand.people.state(other), cluster.share()) == ("executing", ("3", 10))


@pytest.mark.parametrize(
    "source",
    [
        "s3://ravis-own-bucket/{hex}/",
        "oci://models.example/fraud:{hex}",
        "oci://ravis.example/fraud@sha256:{hex}",
        "oci://models.example.ravis.example/fraud@sha256:{hex}",
        "oci://models.example/../ravis/fraud@sha256:{hex}",
        "oci://models.example/@sha256:{hex}",
        "oci://models.example/fraud:latest@sha256:{hex}",
        "oci://models.example/fraud@sha256:{hex}/",
        "oci://models.example/fraud@sha256:{hex}@sha256:{other}",
        "oci://models.example/fraud@sha256:{other}",
        "OCI://models.example/fraud@sha256:{hex}",
    ],
)
def test_only_images_by_digest_from_places_of_the_settings(cluster: Cluster, source: str) -> None:
    """Naming the digest somewhere is not enough; the service is not touched."""
    digest, other = digest_of("5"), digest_of("other")
    made = source.format(hex=digest.hex, other=other.hex)
    register_version(cluster.stand.gate, version="5", digest=str(digest), source=made)
    promotion = cluster.stand.people.allow("5")
    cluster.stand.run()

    assert (cluster.stand.people.state(promotion), cluster.stand.failure()) == ("failed", "rollout.source_not_pinned")
    assert cluster.share() == ("1", None)


def test_a_source_that_may_change_is_refused(cluster: Cluster) -> None:
    """What an alias leads to tomorrow nobody decided on."""
    promotion = cluster.stand.people.allow("4")
    cluster.stand.run()

    assert (cluster.stand.people.state(promotion), cluster.stand.failure()) == ("failed", "rollout.source_not_pinned")
    assert cluster.kubernetes.patches == []


def test_without_shares_all_traffic_moves_at_once(cluster: Cluster) -> None:
    """The record says 100 percent, so that nobody takes it for a canary."""
    cluster.kubernetes.mode = "RawDeployment"
    cluster.kubernetes.settle()
    promotion = cluster.stand.people.allow("2")
    cluster.stand.run()
    share = cluster.share()
    cluster.kubernetes.settle()
    cluster.stand.run(after_s=LOOK_S)

    assert share == ("2", None)
    assert cluster.stand.people.state(promotion) == "confirmed"
    assert cluster.stand.gate.records("gate.pointer")[-1]["body"]["percent"] == 100


def test_an_api_that_refuses_is_asked_again(cluster: Cluster) -> None:
    """Bounded, with the reason kept; then it may work."""
    cluster.kubernetes.fails = 403
    promotion = cluster.stand.people.allow("2")
    cluster.stand.run()
    state, code = cluster.stand.people.state(promotion), cluster.stand.code(promotion)
    cluster.kubernetes.fails = 0
    cluster.stand.run(after_s=RETRY_WAITS_S[0])

    assert (state, code) == ("permitted", "rollout.refused")
    assert cluster.share() == ("2", 10)


def test_killed_between_a_decision_and_its_share(cluster: Cluster) -> None:
    """The share that was decided is given in the next run, and no further decision is asked for before."""
    cluster.stand.people.allow("2")
    cluster.stand.run()
    cluster.kubernetes.settle()
    cluster.kubernetes.patches.clear()
    taken = cluster.kubernetes.patch
    cluster.kubernetes.patch = lambda _: 503  # type: ignore[method-assign,assignment] # the write alone fails
    cluster.stand.run(after_s=INTERVAL_S)
    share = cluster.share()
    cluster.kubernetes.patch = taken  # type: ignore[method-assign]
    cluster.stand.run(after_s=INTERVAL_S)

    assert (share, cluster.share()) == (("2", 10), ("2", 50))
    assert len(cluster.stand.gate.records("gate.step")) == 1
