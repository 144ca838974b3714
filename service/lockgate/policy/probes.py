"""Inputs made from a policy's own data, gathered around the edge of what it allows. Pure.

For each row of the matrix there is an input that asks for exactly what the data want, the same at the edges of each
freeze, and every input that differs from such a one in one place: a field dropped, a string or number changed, a truth
turned round. Where two engines differ, they differ on one of these first.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final
from uuid import UUID

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.digests import Digest
from lockgate.policy.data import EVERY_MODEL
from lockgate.policy.documents import build_input
from lockgate.policy.types import (
    ApprovalFact,
    ClaimFact,
    ContributorFact,
    DatasetFact,
    EvidenceFacts,
    FeatureServiceFact,
    FeatureViewFact,
    HistoryFacts,
    LineageFacts,
    PolicyInput,
    PolicyPrincipal,
    PolicyRequest,
    PolicyRevision,
    SignatureFact,
)

ROWS_MAX: Final = 24  # of a large matrix the first ones do: a row is data, and the rules treat all rows alike
DAY_NS: Final = 24 * 3600 * NS_PER_S
_ARTIFACT: Final = Digest(algorithm="sha256", hex="a" * 64)
_EVIDENCE: Final = Digest(algorithm="sha256", hex="e" * 64)
# Whole, and nothing in it that needs an approval: the data decide whether anybody asks for it.
_LINEAGE: Final = LineageFacts(
    digest=Digest(algorithm="sha256", hex="c" * 64),
    collected_at=EpochNs(1),
    artifact=str(_ARTIFACT),
    run="run",
    code_commit="d" * 40,
    datasets=(DatasetFact(name="dataset", digest="d1", context="training"),),
    feature_service=FeatureServiceFact(status="resolved", project="project", name="service"),
    feature_views=(
        FeatureViewFact(
            project="project",
            name="view",
            found=True,
            owner="owner",
            deprecated=False,
            pii=False,
            definition_sha256="f" * 64,
        ),
    ),
    truncated=(),
    score=100,
)


def fitting_inputs(data: Mapping[str, Any], revision: PolicyRevision) -> Iterator[PolicyInput]:
    """Make the inputs that ask for exactly what the data want, one for each row, at a time when nothing is frozen."""
    freezes = data["lockgate"]["config"]["freezes"]["freezes"]
    quiet = max((freeze["until_ns"] for freeze in freezes), default=0) + DAY_NS
    yield from _for_each_row(data, revision, quiet)


def freeze_edges(data: Mapping[str, Any], revision: PolicyRevision) -> Iterator[PolicyInput]:
    """Make the same inputs at the first and last instant of each freeze, and just outside of it."""
    for freeze in data["lockgate"]["config"]["freezes"]["freezes"]:
        for edge in (freeze["from_ns"], freeze["until_ns"]):
            for now in (edge - 1, edge):
                yield from _for_each_row(data, revision, max(now, DAY_NS))


def neighbours(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Make every input that differs from a given one in exactly one place; most are not valid any more."""
    for path in _paths(document):
        *parents, last = path
        for value in _others(_at(document, path)):
            changed = deepcopy(dict(document))
            _at(changed, parents)[last] = value
            yield changed
        dropped = deepcopy(dict(document))
        del _at(dropped, parents)[last]
        yield dropped


def _for_each_row(data: Mapping[str, Any], revision: PolicyRevision, now: int) -> Iterator[PolicyInput]:
    config = data["lockgate"]["config"]
    for row in config["matrix"]["rows"][:ROWS_MAX]:
        for model in config["models"]["models"]:
            if model["tier"] == row["tier"]:
                yield _fitting(config, row, model["name"], revision, EpochNs(now))
                break


def _fitting(
    config: dict[str, Any], row: dict[str, Any], model: str, revision: PolicyRevision, now: EpochNs
) -> PolicyInput:
    approvers = [
        (quota["role"], f"{quota['role']}-{number}") for quota in row["approvals"] for number in range(quota["count"])
    ]
    return build_input(
        now=now,
        revision=revision,
        request=PolicyRequest(
            id=str(UUID(int=1)),
            kind=row["kind"],
            model=model,
            version="1",
            digest=_ARTIFACT,
            from_environment=row["from"],
            to_environment=row["to"],
            requester=PolicyPrincipal(subject="requester", type="machine", roles=("requester",), identities=()),
            contributors=(ContributorFact(subject="author", role="author"),),
            requested_at=EpochNs(now - 3 * NS_PER_S),
            expires_at=EpochNs(now + NS_PER_S),
        ),
        evidence=EvidenceFacts(digest=_EVIDENCE, signatures=_signatures(config, row["to"], model), refusals=()),
        approvals=[
            ApprovalFact(
                id=str(UUID(int=100 + number)),
                verdict="approve",
                role=role,
                approver=PolicyPrincipal(
                    subject=subject, type="user", roles=(f"approver:{role}",), identities=(f"{subject}@example.com",)
                ),
                digest=_ARTIFACT,
                kind=row["kind"],
                from_environment=row["from"],
                to_environment=row["to"],
                evidence_digest=_EVIDENCE,
                policy_revision=revision,
                approved_at=EpochNs(now - 2 * NS_PER_S + number),
                expires_at=EpochNs(now + NS_PER_S),
            )
            for number, (role, subject) in enumerate(approvers)
        ],
        lineage=_LINEAGE,
        history=HistoryFacts(allowed_in_target=True, held=False, rolled_back=False, registered_digest=""),
    )


def _signatures(config: dict[str, Any], environment: str, model: str) -> tuple[SignatureFact, ...]:
    for signer in config["trust"]["signers"]:
        if environment in signer["environments"] and (signer["models"] == EVERY_MODEL or model in signer["models"]):
            predicate_type = signer["predicate_types"][0]
            return (
                SignatureFact(
                    kind="statement" if predicate_type else "message",
                    trust_domain=signer["trust_domain"],
                    identity=signer["identity"] or "pinned-by-claims",
                    identity_type="uri",
                    issuer=signer["issuer"],
                    claims=tuple(ClaimFact(name=claim["name"], value=claim["value"]) for claim in signer["claims"]),
                    predicate_type=predicate_type,
                    signed_at=None,
                ),
            )
    return ()


def _paths(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from _paths(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from _paths(value, (*path, index))


def _at(document: Any, path: "tuple[str | int, ...] | list[str | int]") -> Any:  # noqa: ANN401 - JSON, walked by key
    for step in path:
        document = document[step]
    return document


def _others(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1, 0, str(value))
        case str():
            return ("other", "", 0)
        case _:
            return ([], {})
