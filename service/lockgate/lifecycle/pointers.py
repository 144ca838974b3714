"""Which pointer of which registry stands for a model in an environment: what a permit is for."""

from collections.abc import Iterable

from sqlalchemy import Engine, select

from lockgate.lifecycle.types import Pointer
from lockgate.registry import BUILTIN, RegistrySettings
from lockgate.storage import read_transaction
from lockgate.storage.tables import model as model_table

PULL = "pull"  # who carries a rollout out where nobody is named: whoever asks


class Pointers:
    """Looks up what models were registered as."""

    def __init__(self, *, database: Engine, registries: Iterable[RegistrySettings]) -> None:
        self._database = database
        self._aliases = {registry.name: registry.aliases for registry in registries}

    def find(self, model: str, environment: str) -> Pointer:
        """Return the pointer; of a model that nobody registered, the one it would have in the built-in registry.

        Raises:
            StorageError: The database cannot be read.
        """
        columns = model_table.c
        statement = select(columns.registry, columns.registry_model).where(columns.name == model)
        with read_transaction(self._database) as connection:
            row = connection.execute(statement).first()
        registry, name = (BUILTIN, model) if row is None else (row.registry, row.registry_model)
        alias = self._aliases.get(registry, {}).get(environment, "")
        return Pointer(registry=registry, registry_model=name, alias=alias)
