"""Settings of registries for tests."""

from dataclasses import replace
from typing import Any

from lockgate.registry import RegistrySettings, parse_registries


def registry_settings(url: str, **changes: Any) -> RegistrySettings:
    """Return the settings of a registry of other people at a URL; an adapter does not look at its type."""
    (settings,) = parse_registries([{"name": "theirs", "type": "mlflow", "url": url}])
    return replace(settings, **changes)
