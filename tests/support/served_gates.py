"""One gate under `lockgate serve` on SQLite, with people of every role, whose limits are out of the way."""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.clock import NS_PER_S
from lockgate.demo.material import MODEL, Material, make_material
from lockgate.demo.stage import Finished, Stage, free_port
from lockgate.digests import Digest
from lockgate.evidence.model_folder import hash_model
from lockgate.identity import parse_principal
from lockgate.storage import open_engine
from lockgate.system_clock import SystemClock
from support.identities import UnrecordedIdentities

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "rita": ("requester",),
    "leo": ("approver:ml-lead",),
    "maya": ("approver:risk",),
    "otto": ("operator",),
    "aude": ("auditor",),
    "paul": ("policy-author",),
    "adam": ("admin",),
    "reviews": ("recorder:access",),
    "dana": ("deployer",),
    "nemo": (),
}
EVERYTHING: Final = "alma"  # holds all of these roles
UNLIMITED: Final = {"LOCKGATE_REQUESTS_PER_MINUTE": "1000000", "LOCKGATE_REQUESTS_AT_ONCE": "64"}
_DAY_NS: Final = 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGate:
    """A gate in a folder, to be served."""

    stage: Stage
    port: int
    material: Material
    log_key: str
    tokens: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def headers(self, who: str) -> dict[str, str]:
        """Return somebody's proof of identity."""
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    @contextlib.contextmanager
    def serving(self, *, workers: int = 1) -> Iterator[int]:
        """Serve it until the block ends.

        Returns:
            The process identifier of the main process.
        """
        with self.stage.serving(self.port, workers) as pid:
            yield pid

    def request_document(self, version: str, **changes: Any) -> dict[str, Any]:
        """Write a request for the model as its release workflow signed it."""
        return {
            "schema_version": 1,
            "kind": "promote",
            "from": "staging",
            "to": "production",
            "model": MODEL,
            "version": version,
            "digest": str(self.digest),
            "contributors": [{"subject": "tess", "role": "trainer"}],
            "evidence": [{"bundle": base64.b64encode(self.material.trusted_bundle.read_bytes()).decode()}],
            **changes,
        }

    @property
    def digest(self) -> Digest:
        """What the model's folder hashes to."""
        return hash_model(self.material.model).digest

    def verify(self) -> Finished:
        """Verify the log."""
        data = self.stage.environment["LOCKGATE_DATA_DIR"]
        return self.stage.run(["audit", "verify", "--data-dir", data, "--key", self.log_key, "--output", "json"])


def make_served_gate(folder: Path, **variables: str) -> ServedGate:
    """Make a gate in an empty folder; `variables` are settings of its own."""
    clock = SystemClock()
    material = make_material(folder, clock)
    environment = {
        "LOCKGATE_DATA_DIR": str(folder / "data"),
        "LOCKGATE_TRUST_DIR": str(material.trust_dir),
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
        "LOCKGATE_POLICY_CONFIG_DIR": str(material.policy_config_dir),
        **UNLIMITED,
        **variables,
    }
    stage = Stage(folder=folder, environment=environment)
    log_key = stage.run_or_stop(["init", "--origin", "served.example/audit"]).strip()
    return ServedGate(
        stage=stage,
        port=free_port(),
        material=material,
        log_key=log_key,
        tokens=_make_tokens(folder / "data" / "lockgate.db"),
    )


def _make_tokens(database: Path) -> dict[str, str]:
    # Straight into the tables: a command for each would take the better part of a minute.
    engine = open_engine(f"sqlite:///{database}")
    identities = UnrecordedIdentities(engine, SystemClock())
    tokens = {}
    everything = tuple(role for roles in ROLES.values() for role in roles)
    for subject, roles in {**ROLES, EVERYTHING: everything}.items():
        kind = "machine" if subject == "reviews" else "user"
        identities.put_principal(parse_principal(subject=subject, type=kind, roles=roles, identities=[]))
        tokens[subject] = identities.create_token(subject, _DAY_NS).secret
    engine.dispose()
    return tokens
