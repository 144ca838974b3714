"""Every executor keeps the contract: an alias of a running MLflow, KServe's documented behaviour, a deployer called."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.rollout_contract import CHECKS, Bench
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.executors.http_call import HTTPExecutor
from lockgate.delivery.executors.kserve import KServeExecutor
from lockgate.delivery.executors.port import Order
from lockgate.delivery.executors.registry_alias import RegistryAliasExecutor
from lockgate.delivery.rollout_settings import parse_rollouts
from lockgate.ids import new_id
from lockgate.permits import Permit, PermitKey, create_permit_key
from lockgate.registry.mlflow import MLflowRegistry
from lockgate.system_clock import SystemClock
from support.deployers import TOKEN as DEPLOYER_TOKEN
from support.deployers import running_deployer
from support.kubernetes_api import TOKEN, running_kubernetes
from support.mlflow_server import MLflowServer
from support.registries import registry_settings
from support.rollouts import digest_of

_NUMBERS = itertools.count()


def order(key: PermitKey, version: str, former: str, **changes: Any) -> Order:
    """Write an order into production, with a permit for it."""
    now = EpochNs(SystemClock().now_ns())
    fields: dict[str, Any] = {
        "promotion_id": new_id(now),
        "model": "fraud-detector",
        "environment": "production",
        "version": version,
        "digest": str(digest_of(version)),
        "registry": "theirs",
        "registry_model": "fraud",
        "alias": "champion",
        **changes,
    }
    permit = Permit(
        id=new_id(now),
        issuer="gate.example/audit",
        audience="theirs",
        issued=now,
        expires=EpochNs(now + 60 * NS_PER_S),
        promotion=fields["promotion_id"],
        **{name: fields[name] for name in ("registry", "registry_model", "alias", "version", "digest", "environment")},
    )
    return Order(former_version=former, is_rollback=False, percent=100, permit=key.sign_permit(permit), **fields)


@contextlib.contextmanager
def mlflow_bench(folder: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A model of three versions in a running MLflow, its alias at the first; our own line to it can be cut."""
    server: MLflowServer = request.getfixturevalue("mlflow_server")
    model = f"rolled-out-{next(_NUMBERS)}"
    server.call("POST", "registered-models/create", {"name": model})
    for _ in range(3):
        server.call("POST", "model-versions/create", {"name": model, "source": "s3://bucket/model"})
    key = create_permit_key(folder / "permit.key")
    registries = {"theirs": MLflowRegistry(registry_settings(server.url))}
    executor = RegistryAliasExecutor(registries)
    first = order(key, "1", "", registry_model=model)
    executor.apply(first)

    def aliases() -> Mapping[str, str]:
        found = MLflowRegistry(registry_settings(server.url)).find_model(model)
        assert found is not None
        return {pointer.name: pointer.value for pointer in found.pointers}

    def count() -> int:
        # When it was last changed: setting an alias counts as a change of the model.
        document = server.call("GET", "registered-models/get", {"name": model})
        return int(document["registered_model"]["last_updated_timestamp"])

    def move_away() -> None:
        server.call("POST", "registered-models/alias", {"name": model, "alias": "champion", "version": "3"})

    yield Bench(
        executor=executor,
        first=first,
        order=order(key, "2", "1", registry_model=model),
        settle=lambda: None,
        running=lambda: aliases()["champion"],
        moves=count,
        move_away=move_away,
        stop=lambda: registries.update(theirs=MLflowRegistry(registry_settings("http://127.0.0.1:9"))),
    )


@contextlib.contextmanager
def kserve_bench(folder: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A stand-in for Kubernetes, and the sources of three versions in a stand-in for their registry."""

    def sources(version: str) -> str:
        return f"oci://models.example/fraud@{digest_of(version)}"

    (folder / "token").write_text(TOKEN)
    key = create_permit_key(folder / "permit.key")
    stand = request.getfixturevalue("pinned_registry")
    with running_kubernetes() as cluster:
        cluster.put(sources("1"))
        table = {
            "name": "serving",
            "type": "kserve",
            "environments": ["production"],
            "url": cluster.url,
            "token_file": "token",
            "services": [{"model": "fraud-detector", "inference_service": "fraud", "namespace": "serving"}],
            "sources": ["oci://models.example/"],
        }
        (settings,) = parse_rollouts([table], folder)
        versions = {sources(version): version for version in "123"}
        yield Bench(
            executor=KServeExecutor(settings, {"theirs": stand}),
            first=order(key, "1", ""),
            order=order(key, "2", "1"),
            settle=cluster.settle,
            running=lambda: versions[cluster.document["spec"]["predictor"]["model"]["storageUri"]],
            moves=lambda: len(cluster.patches),
            move_away=lambda: cluster.put(sources("3")),
            stop=lambda: setattr(cluster, "fails", 503),
        )


@contextlib.contextmanager
def http_bench(folder: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A deployer that verifies permits and keeps keys."""
    del request
    (folder / "token").write_text(DEPLOYER_TOKEN)
    key = create_permit_key(folder / "permit.key")
    with running_deployer(key) as deployer:
        deployer.running = {"version": "1", "digest": str(digest_of("1"))}
        table = {
            "name": "deployer",
            "type": "http",
            "environments": ["production"],
            "url": f"{deployer.url}/orders",
            "observe_url": f"{deployer.url}/live",
            "token_file": "token",
        }
        (settings,) = parse_rollouts([table], folder)
        yield Bench(
            executor=HTTPExecutor(settings),
            first=order(key, "1", ""),
            order=order(key, "2", "1"),
            settle=lambda: None,
            running=lambda: deployer.running["version"],
            moves=lambda: len(deployer.done),
            move_away=lambda: deployer.running.update(version="3", digest=str(digest_of("3"))),
            stop=lambda: setattr(deployer, "fails", 503),
        )


@pytest.fixture(params=[mlflow_bench, kserve_bench, http_bench], ids=["mlflow", "kserve", "http"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each executor."""
    with request.param(tmp_path, request) as made:
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_contract(bench: Bench, check: Callable[[Bench], None]) -> None:
    """Each check of `rollout_contract.py`."""
    check(bench)
