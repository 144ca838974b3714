"""What the demonstration is about: a small model, a policy for it, the people, and two Sigstore instances."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from lockgate.clock import Clock
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.evidence.model_folder import hash_model

TRUST_DOMAIN: Final = "demo"
MODEL: Final = "fraud-detector"
_ISSUER: Final = "https://ci.example"
_TRAINER: Final = VirtualSigner(identity="https://ci.example/models/release.yml@refs/heads/main", issuer=_ISSUER)
_STRANGER: Final = VirtualSigner(identity="https://ci.example/someone/fork.yml@refs/heads/main", issuer=_ISSUER)
_SIGNATURE_TYPE: Final = "https://model_signing/signature/v1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A principal of the demonstration."""

    subject: str
    roles: tuple[str, ...]


RITA: Final = Person(subject="rita", roles=("requester", "approver:ml-lead"))
LEO: Final = Person(subject="leo", roles=("approver:ml-lead",))
MAYA: Final = Person(subject="maya", roles=("approver:risk",))
PEOPLE: Final = (RITA, LEO, MAYA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Where everything lies."""

    model: Path  # the model's folder
    trusted_bundle: Path  # signed by the release workflow
    stranger_bundle: Path  # signed by somebody else, under the same root of trust
    trust_dir: Path
    policy_config_dir: Path


def make_material(folder: Path, clock: Clock) -> Material:
    """Write the material of the demonstration into an empty folder.

    Raises:
        OSError: The folder cannot be written.
    """
    model, trust_dir = folder / "model", folder / "trust"
    for made in (model, trust_dir):
        made.mkdir()
    (model / "weights.json").write_bytes(orjson.dumps({"weights": [3, 1, 4, 1, 5]}))
    (model / "config.json").write_bytes(orjson.dumps({"architecture": "logistic-regression", "features": 5}))
    sigstore = VirtualSigstore(name=TRUST_DOMAIN, clock=clock)
    sigstore.write_trust_domain(trust_dir)
    statement = hash_model(model).statement()
    trusted_bundle, stranger_bundle = folder / "model.sig", folder / "stranger.sig"
    trusted_bundle.write_bytes(sigstore.sign_statement(statement, _TRAINER))
    stranger_bundle.write_bytes(sigstore.sign_statement(statement, _STRANGER))
    return Material(
        model=model,
        trusted_bundle=trusted_bundle,
        stranger_bundle=stranger_bundle,
        trust_dir=trust_dir,
        policy_config_dir=_write_policy_config(folder / "policy-config"),
    )


def _write_policy_config(folder: Path) -> Path:
    transition = {"kind": "promote", "from": "staging", "to": "production"}
    documents: dict[str, dict[str, Any]] = {
        "environments": {"environments": ["staging", "production"], "transitions": [transition]},
        "freezes": {"freezes": []},
        "lineage": {"requirements": []},
        "matrix": {
            "tiers": ["high"],
            "roles": ["ml-lead", "risk"],
            "rows": [
                {
                    **transition,
                    "tier": "high",
                    "approvals": [{"role": "ml-lead", "count": 1}, {"role": "risk", "count": 1}],
                    "separation_of_duties": True,
                }
            ],
        },
        "models": {"models": [{"name": MODEL, "tier": "high"}]},
        "trust": {
            "signers": [
                {
                    "id": "release-workflow",
                    "models": [MODEL],
                    "environments": ["production"],
                    "trust_domain": TRUST_DOMAIN,
                    "issuer": _TRAINER.issuer,
                    "identity": _TRAINER.identity,
                    "predicate_types": [_SIGNATURE_TYPE],
                    "claims": [],
                }
            ]
        },
    }
    for name, document in documents.items():
        (folder / name).mkdir(parents=True)
        # In lines: whoever keeps the folder is invited to edit it.
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (folder / name / "data.json").write_bytes(orjson.dumps({"schema_version": 1, **document}, option=options))
    return folder
