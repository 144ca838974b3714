"""The built-in registry: models whose versions nobody else keeps, in our own database. The default.

It holds what was declared and recorded (`lockgate.registration`), and pointers; files are kept elsewhere.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from sqlalchemy import Connection, Engine

from lockgate.registry import store
from lockgate.registry.errors import (
    PointerMovedError,
    RegistryAnswerError,
    RegistryRefusedError,
    RegistryUnavailableError,
    RegistryUnsupportedError,
)
from lockgate.registry.metadata import Model, ModelVersion
from lockgate.registry.types import (
    BUILTIN,
    ArtifactFile,
    ModelPage,
    NamedValue,
    RegistryModel,
    RegistryVersion,
    Run,
    VersionPage,
)
from lockgate.storage import StorageError, read_transaction, write_transaction

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_ALIAS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)  # the column holds 64 characters


class BuiltinRegistry:
    """Implements `lockgate.registry.RegistryPort`; its names of models are `Model.registry_model`."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """`builtin`."""
        return BUILTIN

    def list_models(self, *, cursor: str = "", limit: int = 100) -> ModelPage:
        """Return a page of models, by name."""
        after = _decode(cursor)
        with _reading(self._database) as connection:
            page = store.list_models_of(connection, BUILTIN, after, limit)
            pointers = store.read_pointers(connection, [model.name for model in page])
        return ModelPage(
            items=tuple(_shown(model, pointers[model.name]) for model in page),
            next_cursor=_encode(page[-1].registry_model) if len(page) == limit else "",
        )

    def find_model(self, model: str) -> RegistryModel | None:
        """Return a model, or None."""
        with _reading(self._database) as connection:
            found = _find_model(connection, model)
            return None if found is None else _shown(found, store.read_pointers(connection, [found.name])[found.name])

    def list_versions(self, model: str, *, cursor: str = "", limit: int = 100) -> VersionPage:
        """Return a page of a model's versions, newest first."""
        if cursor and not _NUMBER.fullmatch(cursor):
            raise RegistryAnswerError("want a cursor that this registry gave")
        with _reading(self._database) as connection:
            found = _find_model(connection, model)
            if found is None:
                return VersionPage(items=(), next_cursor="")
            before = int(cursor) if cursor else None
            page = store.list_versions(connection, found.name, before_number=before, limit=limit)
        return VersionPage(
            items=tuple(_shown_version(model, version) for _, version in page),
            next_cursor=str(page[-1][0]) if len(page) == limit else "",
        )

    def find_version(self, model: str, version: str) -> RegistryVersion | None:
        """Return a version, or None."""
        found = self._find(model, version)
        return None if found is None else _shown_version(model, found)

    def find_run(self, model: str, version: str) -> Run | None:
        """Return what was declared to have made a version, or None."""
        found = self._find(model, version)
        return None if found is None else found.run

    def move_pointer(self, model: str, alias: str, version: str | None, *, expected: str | None, permit: str) -> None:
        """Let an alias point to a version, if it stands where it is expected. Compared and moved in one transaction.

        No permit is looked at: whoever may write to our database is asked for one before.

        Raises:
            RegistryRefusedError: There is no such model or version, or the alias cannot be kept.
            PointerMovedError: It stood elsewhere.
        """
        del permit
        if not _ALIAS.fullmatch(alias):
            raise RegistryRefusedError(f"want an alias of the form {_ALIAS.pattern}")
        try:
            with write_transaction(self._database) as connection:
                found = _find_model(connection, model)
                if found is None:
                    raise RegistryRefusedError("want a model that is there")
                if version is not None and not _has_version(connection, found, version):
                    raise RegistryRefusedError("want a version that is there")
                if not store.move_pointer(connection, found.name, alias, version or "", expected=expected or ""):
                    raise PointerMovedError(f"want {alias} at {expected or 'no version'}, got it elsewhere")
        except StorageError as exc:
            raise RegistryUnavailableError(f"registry {BUILTIN}: {exc}") from exc

    def list_files(self, model: str, version: str) -> tuple[ArtifactFile, ...]:
        """Raise: no files are kept here."""
        _keeps_no_files(model, version)

    def read_file(self, model: str, version: str, path: str, *, timeout_s: float) -> Iterator[bytes]:
        """Raise: no files are kept here."""
        del timeout_s
        _keeps_no_files(model, version, path)

    def _find(self, model: str, version: str) -> ModelVersion | None:
        with _reading(self._database) as connection:
            found = _find_model(connection, model)
            if found is None or not _can_be_kept(version):
                return None
            return store.read_version(connection, found.name, version)


@contextlib.contextmanager
def _reading(database: Engine) -> Iterator[Connection]:
    try:
        with read_transaction(database) as connection:
            yield connection
    except StorageError as exc:
        raise RegistryUnavailableError(f"registry {BUILTIN}: {exc}") from exc


def _find_model(connection: Connection, name: str) -> Model | None:
    return store.read_model_of(connection, BUILTIN, name) if _can_be_kept(name) else None


def _has_version(connection: Connection, model: Model, version: str) -> bool:
    return _can_be_kept(version) and store.read_version(connection, model.name, version) is not None


def _can_be_kept(name: str) -> bool:
    # Neither database takes lone surrogates, and PostgreSQL no NUL, not even to look for them.
    return "\x00" not in name and not any("\ud800" <= character <= "\udfff" for character in name)


def _shown(model: Model, pointers: tuple[NamedValue, ...]) -> RegistryModel:
    metadata = model.metadata
    return RegistryModel(name=model.registry_model, description=metadata.purpose, tags=metadata.tags, pointers=pointers)


def _shown_version(model: str, version: ModelVersion) -> RegistryVersion:
    return RegistryVersion(
        model=model,
        version=version.version,
        digest=str(version.digest),
        source=version.source,
        run="" if version.run is None else version.run.id,
        stage="",
        tags=version.tags,
        created=version.created,
    )


def _keeps_no_files(*_of: str) -> NoReturn:
    raise RegistryUnsupportedError("the built-in registry keeps no files: a version's source says where they are")


def _encode(name: str) -> str:
    # In base64, so that a cursor is one word of a URL whatever the name is made of.
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        name = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as exc:
        raise RegistryAnswerError("want a cursor that this registry gave") from exc
    if _encode(name) != cursor or not _can_be_kept(name):
        raise RegistryAnswerError("want a cursor that this registry gave")
    return name
