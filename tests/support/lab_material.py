"""What the lab is about: a policy that asks for datasets, the settings of its gate, its people, and who signs."""

from pathlib import Path
from typing import Any, Final

import orjson

from lockgate.demo.material import MODEL, Person
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.evidence.model_folder import hash_model
from lockgate.system_clock import SystemClock

TRUST_DOMAIN: Final = "lab"
ALERT_TOKEN: Final = "the-token-of-the-lab's-alertmanager"
RITA: Final = Person(subject="rita", roles=("requester",))
LEO: Final = Person(subject="leo", roles=("approver:ml-lead",))
MAYA: Final = Person(subject="maya", roles=("approver:risk",))
OLGA: Final = Person(subject="olga", roles=("operator",))
PEOPLE: Final = (RITA, LEO, MAYA, OLGA)
_RELEASE: Final = VirtualSigner(
    identity="https://ci.example/models/release.yml@refs/heads/main", issuer="https://ci.example"
)
_SIGNATURE_TYPE: Final = "https://model_signing/signature/v1.0"
_PROMOTE: Final = {"kind": "promote", "from": "staging", "to": "production"}
_ROLLBACK: Final = {"kind": "rollback", "from": "production", "to": "production"}


class ReleaseWorkflow:
    """Signs models as CI does, by a Sigstore that lives in memory."""

    def __init__(self, trust_dir: Path) -> None:
        """Let the gate trust it: write its trust domain into an empty folder."""
        trust_dir.mkdir()
        self._sigstore = VirtualSigstore(name=TRUST_DOMAIN, clock=SystemClock())
        self._sigstore.write_trust_domain(trust_dir)

    def sign(self, model: Path, bundle: Path) -> str:
        """Sign a folder; return its digest."""
        manifest = hash_model(model)
        bundle.write_bytes(self._sigstore.sign_statement(manifest.statement(), _RELEASE))
        return str(manifest.digest)


def write_policy(folder: Path) -> Path:
    """Write the policy's data: two approve a promotion, one a rollback, and datasets must have a digest (LG-050)."""
    two = [{"role": "ml-lead", "count": 1}, {"role": "risk", "count": 1}]
    row = {"tier": "high", "separation_of_duties": True}
    signer = {
        "id": "release-workflow",
        "models": [MODEL],
        "environments": ["production"],
        "trust_domain": TRUST_DOMAIN,
        "issuer": _RELEASE.issuer,
        "identity": _RELEASE.identity,
        "predicate_types": [_SIGNATURE_TYPE],
        "claims": [],
    }
    asked = {
        "id": "production",
        "kinds": ["promote"],
        "environments": ["production"],
        "tiers": ["high"],
        "checks": ["dataset_digests"],
    }
    documents: dict[str, dict[str, Any]] = {
        "environments": {"environments": ["staging", "production"], "transitions": [_PROMOTE, _ROLLBACK]},
        "freezes": {"freezes": []},
        "lineage": {"requirements": [asked]},
        "matrix": {
            "tiers": ["high"],
            "roles": ["ml-lead", "risk"],
            "rows": [{**_PROMOTE, **row, "approvals": two}, {**_ROLLBACK, **row, "approvals": two[:1]}],
        },
        "models": {"models": [{"name": MODEL, "tier": "high"}]},
        "trust": {"signers": [signer]},
    }
    for name, document in documents.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "data.json").write_bytes(orjson.dumps({"schema_version": 1, **document}))
    return folder


def write_settings(folder: Path, registry: str, mlflow_url: str) -> Path:
    """Write the gate's `lockgate.toml`: the registry, what moves its alias, and whose alerts count.

    Args:
        folder: The lab's.
        registry: `mlflow` or `builtin`.
        mlflow_url: Of MLflow.
    """
    token = folder / "alertmanager.token"
    token.touch(mode=0o600)
    token.write_text(ALERT_TOKEN)
    of_mlflow = f'url = "{mlflow_url}"' if registry == "mlflow" else ""
    settings = folder / "lockgate.toml"
    settings.write_text(
        f"""\
data_dir = "{folder / "data"}"
trust_dir = "{folder / "trust"}"
default_trust_domain = "{TRUST_DOMAIN}"
policy_config_dir = "{folder / "policy-config"}"

[[registry]]
name = "{registry}"
type = "{registry}"
{of_mlflow}
aliases = [{{ environment = "production", alias = "champion" }}]
responses = [{{ tier = "high", kinds = ["artifact_drifted"], response = "freeze" }}]

[[rollout]]
name = "champion"
type = "mlflow"
environments = ["production"]

[[alert_source]]
name = "main"
token_file = "{token}"
principal = "alertmanager"
severities = ["critical"]
model_label = "model"
environment_label = "environment"
"""
    )
    return settings
