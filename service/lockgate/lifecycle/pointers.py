"""Which pointer of which registry stands for a model in an environment: what a permit is for."""

from collections.abc import Iterable

from sqlalchemy import Engine

from lockgate.audit import AuditLog
from lockgate.lifecycle.types import Pointer
from lockgate.recorded_models import find_model
from lockgate.registry import BUILTIN, RegistrySettings

PULL = "pull"  # who carries a rollout out where nobody is named: whoever asks


class Pointers:
    """Looks up what models were registered as, and holds that against the main log: a permit is signed for it."""

    def __init__(self, *, database: Engine, log: AuditLog, registries: Iterable[RegistrySettings]) -> None:
        self._database = database
        self._log = log
        self._aliases = {registry.name: registry.aliases for registry in registries}

    def find(self, model: str, environment: str) -> Pointer:
        """Return the pointer; of a model that nobody registered, the one it would have in the built-in registry.

        Raises:
            LogInconsistentError: The model is not registered as the log has it.
            StorageError: The database cannot be read.
        """
        found = find_model(self._database, self._log, model)
        registry, name = (BUILTIN, model) if found is None else (found.registry, found.registry_model)
        alias = self._aliases.get(registry, {}).get(environment, "")
        return Pointer(registry=registry, registry_model=name, alias=alias)
