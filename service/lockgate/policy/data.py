"""What the policy's data must be like before any rule reads them. Pure.

The schemas of `schemas/v1/policy/` say what each document looks like. This module says what they must say together,
because a rule that iterates over a matrix with a hole in it is silent, and silence is consent:

(0) No number has a fraction or an exponent: JSON Schema takes 1.5e18 for an integer, canonical JSON has no such thing.
(1) Every transition joins environments of the graph.
(2) Every model is listed once, with a tier of the matrix.
(3) Every transition has exactly one row for every tier, and no row is without its transition.
(4) A row asks each role at most once, and only roles that the matrix names.
(5) A trusted signer is pinned: by an exact identity, or by the claims of a named issuer that tell one repository.
(6) A freeze begins before it ends.
(7) Signers, freezes and lineage requirements have each id once, and name only what exists.
(8) Where feature views are asked for, the matrix knows the role that approves personal data.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.types import PolicyCatalogue, PolicyRevision, RuleInfo, TransitionInfo
from lockgate.schemas import SchemaError, check_schema

CONFIG: Final = "lockgate/config"  # where the data lie in a policy folder

# Who signed, where the certificate does not name one identity: numeric identifiers, which are never given out again.
PINNING_CLAIMS: Final = frozenset({"source_repository_identifier"})
EVERY_MODEL: Final = ["*"]
PRIVACY_ROLE: Final = "privacy"  # as rule LG-053 names it


def config_path(name: str) -> str:
    """Return the path of one of the policy's documents, as messages about such a folder spell it."""
    return f"{CONFIG}/{name}/data.json"


def make_catalogue(revision: PolicyRevision, rules: tuple[RuleInfo, ...], data: Mapping[str, Any]) -> PolicyCatalogue:
    """Tell what a revision consists of.

    Args:
        revision: Of rules and data.
        rules: Every one.
        data: The whole data document, from its root, checked by `parse_data`.
    """
    config = data["lockgate"]["config"]
    return PolicyCatalogue(
        revision=revision,
        rules=rules,
        environments=tuple(config["environments"]["environments"]),
        transitions=tuple(
            TransitionInfo(kind=edge["kind"], from_environment=edge["from"], to_environment=edge["to"])
            for edge in config["environments"]["transitions"]
        ),
        roles=tuple(config["matrix"]["roles"]),
        models=tuple(model["name"] for model in config["models"]["models"]),
    )


def parse_data(documents: Mapping[str, object]) -> dict[str, Any]:
    """Check the policy's data, one document by one and all together.

    Args:
        documents: `environments`, `freezes`, `lineage`, `matrix`, `models` and `trust`, parsed from JSON.

    Returns:
        The same documents.

    Raises:
        PolicyBuildError: A document breaks its schema or one of the numbered rules of this module.
    """
    checked: dict[str, Any] = dict(documents)
    for name, document in checked.items():
        _refuse_floats(name, document)
        try:
            check_schema(f"v1/policy/{name}", document)
        except SchemaError as exc:
            raise PolicyBuildError(f"{config_path(name)} at {exc.pointer[:200] or '/'}: {exc}") from exc
    environments = set(checked["environments"]["environments"])
    transitions = checked["environments"]["transitions"]
    tiers = set(checked["matrix"]["tiers"])
    models = [model["name"] for model in checked["models"]["models"]]
    # (1) Every transition joins environments of the graph.
    for transition in transitions:
        _known("environments", "an environment", (transition["from"], transition["to"]), environments)
    # (2) Every model is listed once, with a tier of the matrix.
    _once("models", "model", models)
    _known("models", "a tier", (model["tier"] for model in checked["models"]["models"]), tiers)
    _check_rows(checked["matrix"], transitions)
    _check_signers(checked["trust"]["signers"], environments, set(models))
    _check_freezes(checked["freezes"]["freezes"], environments, set(models))
    _check_lineage(checked["lineage"]["requirements"], environments, checked["matrix"])
    return checked


def _refuse_floats(name: str, document: object) -> None:
    # (0) No number has a fraction or an exponent.
    pending: list[tuple[str, object]] = [("", document)]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, float):
            raise PolicyBuildError(
                f"{config_path(name)} at {pointer[:200] or '/'}: want an integer without fraction or exponent"
            )
        if isinstance(value, dict):
            pending.extend((f"{pointer}/{key}", child) for key, child in value.items())
        elif isinstance(value, list):
            pending.extend((f"{pointer}/{index}", child) for index, child in enumerate(value))


def _check_rows(matrix: dict[str, Any], transitions: list[dict[str, str]]) -> None:
    # (3) Every transition has exactly one row for every tier, and no row is without its transition.
    want = {(edge["kind"], edge["from"], edge["to"], tier) for edge in transitions for tier in matrix["tiers"]}
    rows = Counter((row["kind"], row["from"], row["to"], row["tier"]) for row in matrix["rows"])
    for key in sorted(want - rows.keys()):
        raise PolicyBuildError(f"{config_path('matrix')}: want one row for {_spell(key)}, got none")
    for key, count in sorted(rows.items()):
        if key not in want:
            raise PolicyBuildError(
                f"{config_path('matrix')}: want no row for {_spell(key)}: no such transition or tier"
            )
        if count != 1:
            raise PolicyBuildError(f"{config_path('matrix')}: want one row for {_spell(key)}, got {count}")
    # (4) A row asks each role at most once, and only roles that the matrix names.
    for row in matrix["rows"]:
        roles = [quota["role"] for quota in row["approvals"]]
        _once("matrix", "role of a row", roles)
        _known("matrix", "a role", roles, set(matrix["roles"]))


def _check_signers(signers: list[dict[str, Any]], environments: set[str], models: set[str]) -> None:
    # (7) Names are unique and known.
    _once("trust", "signer", [signer["id"] for signer in signers])
    for signer in signers:
        _known("trust", "an environment", signer["environments"], environments)
        _check_models("trust", signer["models"], models)
        # (5) A trusted signer is pinned.
        pinned = {claim["name"] for claim in signer["claims"]} & PINNING_CLAIMS
        if not signer["identity"] and not (signer["issuer"] and pinned):
            raise PolicyBuildError(
                f"{config_path('trust')}: want an identity, or an issuer and a claim of"
                f" {', '.join(sorted(PINNING_CLAIMS))}, for the signer {signer['id']}"
            )


def _check_freezes(freezes: list[dict[str, Any]], environments: set[str], models: set[str]) -> None:
    _once("freezes", "freeze", [freeze["id"] for freeze in freezes])
    for freeze in freezes:
        _known("freezes", "an environment", freeze["environments"], environments)
        _check_models("freezes", freeze["models"], models)
        # (6) A freeze begins before it ends.
        if freeze["from_ns"] >= freeze["until_ns"]:
            raise PolicyBuildError(f"{config_path('freezes')}: want {freeze['id']} to begin before it ends")


def _check_lineage(requirements: list[dict[str, Any]], environments: set[str], matrix: dict[str, Any]) -> None:
    _once("lineage", "requirement", [wanted["id"] for wanted in requirements])
    for wanted in requirements:
        _known("lineage", "an environment", wanted["environments"], environments)
        _known("lineage", "a tier", wanted["tiers"], set(matrix["tiers"]))
        # (8) Else nobody could ever approve what reads personal data.
        if "feature_views_approved" in wanted["checks"] and PRIVACY_ROLE not in matrix["roles"]:
            raise PolicyBuildError(
                f"{config_path('lineage')}: want the role {PRIVACY_ROLE!r} in the matrix, which"
                f" feature_views_approved of {wanted['id']} asks for personal data"
            )


def _check_models(document: str, named: list[str], models: set[str]) -> None:
    if named != EVERY_MODEL:
        _known(document, "a model (or '*' alone)", named, models)


def _known(document: str, what: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise PolicyBuildError(f"{config_path(document)}: want {what} that exists, got {name[:64]!r}")


def _once(document: str, what: str, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise PolicyBuildError(f"{config_path(document)}: want each {what} once, got {name[:64]!r} {count} times")


def _spell(key: tuple[str, str, str, str]) -> str:
    kind, source, target, tier = key
    return f"{kind} {source} to {target}, tier {tier}"
