"""Snapshots of lineage for tests."""

from typing import Any, Final

from lockgate.clock import EpochNs
from lockgate.lineage.snapshots import Features, FeatureService, FeatureView, Lineage, make_lineage
from lockgate.registry.types import Dataset, NamedValue, RegistryVersion, Run

NOW: Final = EpochNs(1_785_499_200_000_000_000)
COMMIT: Final = "9fceb02d0ae598e95dc970b74767f19372d61af8"
DATASET: Final = Dataset(name="transactions", digest="5fa1c7d2", source="s3://data/transactions", context="training")
RUN: Final = Run(
    id="0f3a9c1d",
    code_commit=COMMIT,
    source_name="train.py",
    user="tess",
    params=(NamedValue(name="depth", value="6"),),
    metrics=(NamedValue(name="auc", value="0.93"),),
    tags=(NamedValue(name="team", value="risk"),),
    datasets=(DATASET,),
)
VIEW: Final = FeatureView(
    project="fraud",
    name="card_activity",
    found=True,
    owner="risk-data@example.com",
    definition_sha256="f" * 64,
)
FEATURES: Final = Features(
    service=FeatureService(
        status="resolved", resolved_by="version_tag", store="feast", project="fraud", name="fraud_v7"
    ),
    views=(VIEW,),
)
NO_FEATURES: Final = Features(service=FeatureService(status="none"))


def registry_version(
    model: str = "fraud-detector", version: str = "1.4.0", source: str = "s3://m/1"
) -> RegistryVersion:
    """Return a version as its registry shows it."""
    return RegistryVersion(
        model=model, version=version, digest="", source=source, run="", stage="", tags=(), created=None
    )


def lineage_of(**changes: Any) -> Lineage:
    """Return a complete snapshot, made of other findings where the test says so."""
    found: dict[str, Any] = {
        "model": "fraud-detector",
        "registry": "mlflow",
        "version": registry_version(),
        "artifact": "",
        "run": RUN,
        "features": FEATURES,
        "problems": frozenset(),
        "now": NOW,
    }
    return make_lineage(**{**found, **changes})
