"""Models, versions, runs, pointers: what registries know of them, ours and other people's.

Promises: what a registry says is never proof of anything but that the registry said it; an adapter answers within its
time or says by name what went wrong. Stands on the ground floor and on `storage` alone; changes are recorded above it,
and `lineage` asks through it.

May be imported: everything named here; `types`, `metadata`, `documents` and `errors`; `settings`, `reading` (views of
models) and `store` (their rows); `parsing` by whoever registers; `answers` and `calls` by adapters of other servers
that are asked in the same way. The adapters are `bootstrap`'s alone.
"""

from lockgate.registry.errors import (
    PointerMovedError,
    RegistryAnswerError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnavailableError,
    RegistryUnsupportedError,
)
from lockgate.registry.port import RegistryPort
from lockgate.registry.settings import RegistryInvalidError, RegistrySettings, parse_registries
from lockgate.registry.types import (
    BUILTIN,
    ArtifactFile,
    Dataset,
    ModelPage,
    NamedValue,
    RegistryModel,
    RegistryVersion,
    Run,
    VersionPage,
)

__all__ = [
    "BUILTIN",
    "ArtifactFile",
    "Dataset",
    "ModelPage",
    "NamedValue",
    "PointerMovedError",
    "RegistryAnswerError",
    "RegistryError",
    "RegistryInvalidError",
    "RegistryModel",
    "RegistryPort",
    "RegistryRefusedError",
    "RegistrySettings",
    "RegistryUnavailableError",
    "RegistryUnsupportedError",
    "RegistryVersion",
    "Run",
    "VersionPage",
    "parse_registries",
]
