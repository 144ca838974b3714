"""Models over all registries: those that somebody registered, and those that only their registry knows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine

from lockgate.registry import store
from lockgate.registry.errors import (
    ModelUnknownError,
    RegistryAnswerError,
    RegistryUnknownError,
    VersionUnknownError,
)
from lockgate.registry.metadata import Model, ModelVersion
from lockgate.registry.port import RegistryPort
from lockgate.registry.store import ModelFilter
from lockgate.registry.types import BUILTIN, NamedValue, RegistryModel
from lockgate.storage import read_transaction

FOREIGN_NAME_CHARS_MAX: Final = 2000  # of a model in somebody else's registry; MLflow's are 256 at most
_OURS: Final = "m:"  # a cursor among those registered: the last name
OTHERS: Final = "r:"  # a cursor among the others: what the registry gave


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """A page of models.

    Attributes:
        registered: By name.
        others: Of the registry that was asked about, in its order: those that nobody registered.
        next_cursor: "" at the end. A page may be short, even empty, and still not be the last.
    """

    registered: tuple[Model, ...]
    others: tuple[RegistryModel, ...]
    next_cursor: str


class ModelReader:
    """Reads models and versions; changes nothing."""

    def __init__(self, database: Engine, registries: Mapping[str, RegistryPort]) -> None:
        self._database = database
        self._registries = registries

    def find(self, name: str) -> Model:
        """Return a model that is registered.

        Raises:
            ModelUnknownError: There is none.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            model = store.read_model(connection, name)
        if model is None:
            raise ModelUnknownError("want the name of a model that is registered")
        return model

    def pointers(self, model: Model) -> tuple[NamedValue, ...]:
        """Ask a model's registry where its aliases point now.

        Raises:
            RegistryUnknownError: The settings no longer name its registry.
            RegistryError: The registry gave no usable answer, or does not have the model.
        """
        shown = self._registry(model.registry).find_model(model.registry_model)
        if shown is None:
            raise RegistryAnswerError(f"want the model in the registry {model.registry}, got none of its name there")
        return shown.pointers

    def list(self, wanted: ModelFilter, cursor: str) -> ModelList:
        """Return a page of models: first those that are registered; then, of a registry that was named, the others.

        The others have no owner and no tier, and nobody retired them: whoever filters by these is not shown any.

        Args:
            wanted: Which ones.
            cursor: `next_cursor` of the page before; "" for the first.

        Raises:
            RegistryUnknownError: There is no such registry.
            RegistryError: The registry gave no usable answer.
            StorageError: The database cannot be read.
        """
        asks_registry = bool(wanted.registry) and not (wanted.owner or wanted.tier) and wanted.retired is None
        if wanted.registry:
            self._registry(wanted.registry)
        if cursor.startswith(OTHERS) and asks_registry:
            return self._list_others(wanted, cursor.removeprefix(OTHERS))
        with read_transaction(self._database) as connection:
            page = store.list_models(connection, replace(wanted, after=cursor.removeprefix(_OURS)))
        more = asks_registry and wanted.registry != BUILTIN  # there, whatever is there is registered
        next_cursor = _OURS + page[-1].name if len(page) == wanted.limit else OTHERS if more else ""
        return ModelList(registered=tuple(page), others=(), next_cursor=next_cursor)

    def find_version(self, name: str, version: str) -> tuple[Model, ModelVersion]:
        """Return a version of a model, and the model.

        Raises:
            ModelUnknownError: There is no such model.
            VersionUnknownError: It has no such version.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            model = store.read_model(connection, name)
            found = store.read_version(connection, name, version)
        if model is None:
            raise ModelUnknownError("want the name of a model that is registered")
        if found is None:
            raise VersionUnknownError("want a version of the model that is registered")
        return model, found

    def list_versions(
        self, name: str, before: int | None, limit: int
    ) -> tuple[Model, tuple[tuple[int, ModelVersion], ...]]:
        """Return a page of a model's versions, newest first, each with its number (the cursor), and the model.

        Raises:
            ModelUnknownError: There is no such model.
            StorageError: The database cannot be read.
        """
        model = self.find(name)
        with read_transaction(self._database) as connection:
            return model, tuple(store.list_versions(connection, name, before_number=before, limit=limit))

    def _list_others(self, wanted: ModelFilter, cursor: str) -> ModelList:
        page = self._registry(wanted.registry).list_models(cursor=cursor, limit=wanted.limit)
        names = [model.name for model in page.items]
        if any(not 0 < len(name) <= FOREIGN_NAME_CHARS_MAX for name in names):
            raise RegistryAnswerError(f"want names of 1 to {FOREIGN_NAME_CHARS_MAX} characters, got another")
        with read_transaction(self._database) as connection:
            registered = store.registered_among(
                connection, wanted.registry, [name for name in names if "\x00" not in name]
            )
        return ModelList(
            registered=(),
            others=tuple(model for model in page.items if model.name not in registered),
            next_cursor=OTHERS + page.next_cursor if page.next_cursor else "",
        )

    def _registry(self, name: str) -> RegistryPort:
        if name not in self._registries:
            raise RegistryUnknownError(f"want one of the registries {sorted(self._registries)}")
        return self._registries[name]
