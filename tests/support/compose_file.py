"""Reads docker-compose.yml as far as it is needed to run its services as plain processes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE_FILE: Final = ROOT / "docker-compose.yml"
SITE: Final = "./deploy/compose/site"  # what scripts/prepare-deployment makes
_VARIABLE: Final = re.compile(r"\$(?:(\$)|\{([A-Z_]+):\?[^}]*\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service.

    Attributes:
        document: As it stands in the file.
        secrets: Files of secrets, as the file names them, by where they lie in the container.
    """

    name: str
    document: Mapping[str, Any]
    secrets: Mapping[str, str]

    def mounts(self) -> dict[str, str]:
        """Return the files, folders and volumes of the host, as the file names them, by where they lie inside."""
        found = dict(self.secrets)
        for volume in self.document.get("volumes", ()):
            source, inside = volume.split(":")[:2]
            found[inside] = source
        return found

    def needs(self) -> tuple[str, ...]:
        """Return the services that must be there before this one."""
        return tuple(self.document.get("depends_on", ()))


def read_compose(variables: Mapping[str, str]) -> dict[str, ComposeService]:
    """Read the services.

    Args:
        variables: What `${NAME:?...}` stands for. One that is not given stays as it is written.
    """
    document = _fill(yaml.safe_load(COMPOSE_FILE.read_text()), variables)
    files = {name: secret["file"] for name, secret in document["secrets"].items()}
    return {
        name: ComposeService(name=name, document=service, secrets=_secrets(service, files))
        for name, service in document["services"].items()
    }


def _secrets(service: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for secret in service.get("secrets", ()):
        source = secret if isinstance(secret, str) else secret["source"]
        inside = secret if isinstance(secret, str) else secret["target"]
        found[str(PurePosixPath("/run/secrets") / inside)] = files[source]
    return found


def _fill(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: found[1] or variables.get(found[2], found[0]), value)
    if isinstance(value, dict):
        return {name: _fill(item, variables) for name, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables) for item in value]
    return value
