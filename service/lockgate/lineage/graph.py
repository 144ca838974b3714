"""Lineage as a graph: what a version was made of, and of which versions that was made; and what became of it. Pure.

Nodes have an id that tells their kind, so that what two versions share is one node. A version whose files are another
version's (`models:/name/version`) was made of that one; such chains may be long, and may run in circles: each node is
visited once, and the graph ends at `NODES_MAX` and `EDGES_MAX`.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from lockgate.clock import EpochNs, format_timestamp
from lockgate.lineage.snapshots import Lineage
from lockgate.registry.types import Dataset

NODES_MAX: Final = 1000  # a person reads a hundred, a drawing program a thousand
EDGES_MAX: Final = 2000  # of usual names, an answer of a quarter of a megabyte
_VERSION_SOURCE: Final = re.compile(r"models:/([^/:]{1,255})/([^/:]{1,128})")

NodeKind: TypeAlias = Literal[
    "version", "run", "code", "dataset", "feature_service", "feature_view", "decision", "deployment"
]
EdgeKind: TypeAlias = Literal["made", "ran", "read", "part_of", "copied_to", "decided", "deployed"]

FindLineage: TypeAlias = Callable[[str, str, str], Lineage | None]
"""Finds the newest snapshot by registry, the model's name there, and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Something that lineage names.

    Attributes:
        id: Its kind, a colon, and what tells it from others of its kind.
        label: For people.
        facts: What is known of it, by name.
    """

    id: str
    kind: NodeKind
    label: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """From what was there first to what came of it."""

    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFact:
    """A promotion of the version that was asked about, and its newest decision."""

    id: str
    kind: str
    from_environment: str
    to_environment: str
    state: str
    decision_id: str
    log: str
    requested: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFact:
    """A time in which the version was live in an environment.

    Attributes:
        promotion_id: That let it in; "" where none did.
        ended: None = it still is.
        record_id: That says so.
    """

    environment: str
    promotion_id: str
    began: EpochNs
    ended: EpochNs | None
    record_id: str


@dataclass(slots=True)
class Graph:
    """Nodes and edges, each once, in the order found."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    truncated: bool = False

    def add(self, node: Node, edge: Edge | None = None) -> bool:
        """Take a node in, with the edge that led to it; tell whether it is new. Beyond the limit, neither is taken."""
        is_new = node.id not in self.nodes
        if is_new and len(self.nodes) >= NODES_MAX:
            self.truncated = True
            return False
        self.nodes.setdefault(node.id, node)
        if edge is not None and edge not in self.edges:
            if len(self.edges) >= EDGES_MAX or not {edge.source, edge.target} <= self.nodes.keys():
                self.truncated = True  # the other end is beyond the limit, or the edge itself is
            else:
                self.edges[edge] = None
        return is_new

    def document(self) -> dict[str, Any]:
        """Return nodes and edges as they are answered (schema `v1/api/lineage`)."""
        return {
            "nodes": [
                {
                    "id": node.id,
                    "kind": node.kind,
                    "label": node.label,
                    "facts": [{"name": name, "value": value} for name, value in node.facts],
                }
                for node in self.nodes.values()
            ],
            "edges": [{"from": edge.source, "to": edge.target, "kind": edge.kind} for edge in self.edges],
            "truncated": self.truncated,
        }


def build_graph(
    start: Lineage,
    find: FindLineage,
    promotions: Sequence[PromotionFact] = (),
    deployments: Sequence[DeploymentFact] = (),
) -> Graph:
    """Follow a version's lineage backwards, breadth first, and put what became of it behind it.

    Args:
        start: The version's snapshot.
        find: For the versions that it was made of.
        promotions: Of this very version.
        deployments: Of it.
    """
    graph = Graph()
    graph.add(_version_node(start))
    for promotion in promotions:
        graph.add(
            _decision_node(promotion),
            Edge(source=_version_id(start), target=_decision_id(promotion.id), kind="decided"),
        )
    for deployment in deployments:
        _add_deployment(graph, start, deployment)
    waiting = deque([start])
    while waiting and not graph.truncated:
        lineage = waiting.popleft()
        _add_makings(graph, lineage)
        upstream = _VERSION_SOURCE.fullmatch(lineage.source)
        if upstream is None:
            continue
        name, version = upstream.groups()
        found = find(lineage.registry, name, version)
        node = _version_node(found) if found else _unknown_version(lineage.registry, name, version)
        is_new = graph.add(node, Edge(source=node.id, target=_version_id(lineage), kind="copied_to"))
        if found is not None and is_new:
            waiting.append(found)
    return graph


def _add_makings(graph: Graph, lineage: Lineage) -> None:
    version, run = _version_id(lineage), lineage.run
    reader = version
    if run.id:
        reader = f"run:{lineage.registry}/{run.id}"
        facts = _facts(source=run.source_name, user=run.user)
        graph.add(
            Node(id=reader, kind="run", label=run.id, facts=facts), Edge(source=reader, target=version, kind="made")
        )
    if run.code_commit:
        code = f"code:{run.code_commit}"
        graph.add(Node(id=code, kind="code", label=run.code_commit), Edge(source=code, target=reader, kind="ran"))
    for read in run.datasets:
        node = _dataset_node(read)
        graph.add(node, Edge(source=node.id, target=reader, kind="read"))
    _add_features(graph, lineage)


def _add_features(graph: Graph, lineage: Lineage) -> None:
    service = lineage.feature_service
    if not service.name:
        return
    service_id = f"feature_service:{service.project}/{service.name}"
    facts = _facts(status=service.status, resolved_by=service.resolved_by, store=service.store)
    graph.add(
        Node(id=service_id, kind="feature_service", label=service.name, facts=facts),
        Edge(source=service_id, target=_version_id(lineage), kind="read"),
    )
    for view in lineage.feature_views:
        node = Node(
            id=f"feature_view:{view.project}/{view.name}",
            kind="feature_view",
            label=view.name,
            facts=_facts(
                found=str(view.found).lower(),
                owner=view.owner,
                deprecated=str(view.deprecated).lower(),
                pii=str(view.pii).lower(),
                definition_sha256=view.definition_sha256,
            ),
        )
        graph.add(node, Edge(source=node.id, target=service_id, kind="part_of"))


def _add_deployment(graph: Graph, start: Lineage, deployment: DeploymentFact) -> None:
    node = Node(
        id=f"deployment:{deployment.record_id}",
        kind="deployment",
        label=deployment.environment,
        facts=_facts(
            began_at=format_timestamp(deployment.began),
            ended_at="" if deployment.ended is None else format_timestamp(deployment.ended),
            record=deployment.record_id,
        ),
    )
    decision = _decision_id(deployment.promotion_id)
    source = decision if decision in graph.nodes else _version_id(start)
    graph.add(node, Edge(source=source, target=node.id, kind="deployed"))


def _version_node(lineage: Lineage) -> Node:
    facts = _facts(registry=lineage.registry, digest=lineage.artifact, source=lineage.source)
    label = f"{lineage.model} {lineage.version}"
    return Node(id=_version_id(lineage), kind="version", label=label, facts=facts)


def _unknown_version(registry: str, name: str, version: str) -> Node:
    # Its registry may know it; nobody registered it here, or its lineage was not collected.
    return Node(
        id=f"version:{registry}/{name}/{version}",
        kind="version",
        label=f"{name} {version}",
        facts=_facts(registry=registry),
    )


def _version_id(lineage: Lineage) -> str:
    return f"version:{lineage.registry}/{lineage.registry_model}/{lineage.version}"


def _decision_id(promotion_id: str) -> str:
    return f"decision:{promotion_id}"


def _decision_node(promotion: PromotionFact) -> Node:
    return Node(
        id=_decision_id(promotion.id),
        kind="decision",
        label=f"{promotion.kind} to {promotion.to_environment}",
        facts=_facts(
            state=promotion.state,
            record=promotion.decision_id,
            log=promotion.log,
            requested_at=format_timestamp(promotion.requested),
        ),
    )


def _dataset_node(read: Dataset) -> Node:
    # Without a digest nobody knows whether two of one name are the same data.
    facts = _facts(digest=read.digest, source=read.source, context=read.context)
    return Node(id=f"dataset:{read.name}@{read.digest}", kind="dataset", label=read.name, facts=facts)


def _facts(**facts: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in facts.items() if value)
