"""Lineage as a graph: what is in it, and that it ends, however long or round lineage is."""

import time
from dataclasses import replace

from lockgate.clock import EpochNs
from lockgate.lineage.graph import EDGES_MAX, NODES_MAX, DeploymentFact, Graph, PromotionFact, build_graph
from lockgate.lineage.snapshots import Lineage
from lockgate.schemas import check_schema
from support.lineages import COMMIT, DATASET, NO_FEATURES, NOW, RUN, lineage_of, registry_version

PROMOTION = PromotionFact(
    id="0199c0de-0000-7000-8000-00000000a001",
    kind="promote",
    from_environment="staging",
    to_environment="production",
    state="confirmed",
    decision_id="0199c0de-0000-7000-8000-00000000d001",
    log="main",
    requested=NOW,
)
DEPLOYMENT = DeploymentFact(
    environment="production",
    promotion_id=PROMOTION.id,
    began=EpochNs(NOW + 10**9),
    ended=None,
    record_id="0199c0de-0000-7000-8000-00000000c001",
)
VERSION = "version:mlflow/fraud-detector/1.4.0"


def nothing(*_: str) -> Lineage | None:
    """Know of no other version."""
    return None


def kinds(graph: Graph) -> list[tuple[str, str, str]]:
    """Return the edges as kinds of nodes."""
    nodes = graph.nodes
    return sorted((nodes[edge.source].kind, edge.kind, nodes[edge.target].kind) for edge in graph.edges)


def checked(graph: Graph) -> Graph:
    """Make sure that a graph can be answered, and that its edges join nodes of its own."""
    document = graph.document()
    answer = {
        "model": "m",
        "version": "1",
        "digest": "sha256:" + "a" * 64,
        "collected_at": "2026-07-31T12:00:00.000000Z",
        "score": 0,
        "problems": [],
        "truncated": [],
        "params": [],
        "metrics": [],
        "graph": document,
    }
    check_schema("v1/api/lineage", answer)
    ids = {node["id"] for node in document["nodes"]}
    assert all(edge["from"] in ids and edge["to"] in ids for edge in document["edges"])
    return graph


def test_from_datasets_to_deployment() -> None:
    """A version's whole life is one graph: data and code, run, features, version, decision, deployment."""
    graph = checked(build_graph(lineage_of(), nothing, [PROMOTION], [DEPLOYMENT]))

    assert kinds(graph) == [
        ("code", "ran", "run"),
        ("dataset", "read", "run"),
        ("decision", "deployed", "deployment"),
        ("feature_service", "read", "version"),
        ("feature_view", "part_of", "feature_service"),
        ("run", "made", "version"),
        ("version", "decided", "decision"),
    ]
    assert not graph.truncated
    assert dict(graph.nodes[f"code:{COMMIT}"].facts) == {}
    assert dict(graph.nodes[VERSION].facts) == {"registry": "mlflow", "source": "s3://m/1"}


def test_without_a_run_what_is_known_hangs_on_the_version() -> None:
    """Data and code without a run belong to the version itself; what nobody knows is left out."""
    run = replace(RUN, id="")

    graph = checked(build_graph(lineage_of(run=run, features=NO_FEATURES), nothing))

    assert kinds(graph) == [("code", "ran", "version"), ("dataset", "read", "version")]


def test_a_deployment_that_nobody_decided_hangs_on_the_version() -> None:
    """What was deployed out of band shows no decision that let it in."""
    deployment = replace(DEPLOYMENT, promotion_id="")

    graph = checked(build_graph(lineage_of(run=None, features=NO_FEATURES), nothing, [PROMOTION], [deployment]))

    assert ("version", "deployed", "deployment") in kinds(graph)


def test_two_versions_share_what_they_share() -> None:
    """A copy is joined to what it was copied from; the same run and data are the same nodes."""
    origin = lineage_of(version=registry_version("origin", "3"))
    copy = lineage_of(version=registry_version("fraud-detector", "1.4.0", source="models:/origin/3"))

    def find(registry: str, model: str, version: str) -> Lineage | None:
        return origin if (registry, model, version) == ("mlflow", "origin", "3") else None

    graph = checked(build_graph(copy, find))

    assert ("version", "copied_to", "version") in kinds(graph)
    assert sum(node.kind == "run" for node in graph.nodes.values()) == 1


def test_an_origin_that_nobody_collected_is_named_all_the_same() -> None:
    """Where the trail ends, it says at which version."""
    graph = checked(build_graph(lineage_of(version=registry_version(source="models:/origin/3")), nothing))

    assert graph.nodes["version:mlflow/origin/3"].label == "origin 3"


def test_a_circle_ends() -> None:
    """Versions that claim to be copies of each other are each visited once."""
    one = lineage_of(version=registry_version("one", "1", source="models:/two/1"))
    two = lineage_of(version=registry_version("two", "1", source="models:/one/1"))
    asked: list[str] = []

    def find(_: str, model: str, __: str) -> Lineage | None:
        asked.append(model)
        return {"one": one, "two": two}[model]

    graph = checked(build_graph(one, find))

    assert asked == ["two", "one"]
    assert sum(edge.kind == "copied_to" for edge in graph.edges) == 2
    assert not graph.truncated


def test_a_version_that_is_its_own_origin_ends() -> None:
    """The smallest circle."""
    one = lineage_of(version=registry_version("one", "1", source="models:/one/1"))

    assert len(checked(build_graph(one, lambda *_: one)).edges) == 6


def test_edges_are_cut_too() -> None:
    """Versions that all read the same data have few nodes and many edges; these have a limit of their own."""
    datasets = tuple(replace(DATASET, name=f"d{number}") for number in range(60))

    def find(_: str, __: str, version: str) -> Lineage | None:
        source = f"models:/chain/{int(version) + 1}"
        run = replace(RUN, id=version, datasets=datasets)
        return lineage_of(version=registry_version("chain", version, source), run=run)

    start = find("", "", "1")
    assert start is not None
    graph = checked(build_graph(start, find))

    assert (graph.truncated, len(graph.edges)) == (True, EDGES_MAX)
    assert len(graph.nodes) < 200


def test_ten_thousand_nodes_are_cut_and_said_to_be() -> None:
    """A chain of ten thousand versions is followed as far as a graph goes, in well under a second."""

    def find(_: str, __: str, version: str) -> Lineage | None:
        number = int(version)
        datasets = tuple(replace(DATASET, name=f"d{number}-{column}") for column in range(4))
        source = f"models:/chain/{number + 1}" if number < 10_000 else ""
        return lineage_of(
            version=registry_version("chain", version, source), run=replace(RUN, id=version, datasets=datasets)
        )

    start = find("", "", "1")
    assert start is not None
    began = time.perf_counter()
    graph = checked(build_graph(start, find))

    assert graph.truncated
    assert len(graph.nodes) == NODES_MAX
    assert time.perf_counter() - began < 5
