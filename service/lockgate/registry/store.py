"""Models, versions and pointers in the database. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from lockgate.clock import EpochNs
from lockgate.digests import parse_digest
from lockgate.registry.metadata import (
    Model,
    ModelVersion,
    read_metadata,
    read_version_document,
    write_model,
    write_version,
)
from lockgate.registry.types import NamedValue
from lockgate.storage import insert_new
from lockgate.storage.tables import model as model_table
from lockgate.storage.tables import model_pointer, model_version


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models to list, by name. Empty strings and None match everything."""

    owner: str = ""
    tier: str = ""
    registry: str = ""
    retired: bool | None = None
    after: str = ""  # exclusive; the last name of the page before
    limit: int


def insert_model(connection: Connection, model: Model) -> None:
    """Take a new model in."""
    metadata = model.metadata
    connection.execute(
        model_table.insert().values(
            name=model.name,
            registry=model.registry,
            registry_model=model.registry_model,
            owner=metadata.owner,
            tier=metadata.tier,
            document=write_model(model),
            row_version=model.row_version,
            created_ns=model.created,
            changed_ns=model.changed,
            retired_ns=model.retired,
        )
    )


def change_model(connection: Connection, model: Model) -> bool:
    """Put a model's next row version in place; tell whether the one before was there."""
    columns = model_table.c
    before = model_table.update().where(columns.name == model.name, columns.row_version == model.row_version - 1)
    statement = before.values(
        owner=model.metadata.owner,
        tier=model.metadata.tier,
        document=write_model(model),
        row_version=model.row_version,
        changed_ns=model.changed,
        retired_ns=model.retired,
    )
    return connection.execute(statement).rowcount == 1


def read_model(connection: Connection, name: str) -> Model | None:
    """Return a model, or None."""
    row = connection.execute(select(model_table).where(model_table.c.name == name)).mappings().first()
    return None if row is None else _model(row)


def read_model_of(connection: Connection, registry: str, registry_model: str) -> Model | None:
    """Return the model that is registered for one of a registry, or None."""
    columns = model_table.c
    of_registry = select(model_table).where(columns.registry == registry, columns.registry_model == registry_model)
    row = connection.execute(of_registry).mappings().first()
    return None if row is None else _model(row)


def list_models(connection: Connection, wanted: ModelFilter) -> list[Model]:
    """Return a page of models, by name."""
    columns = model_table.c
    statement = select(model_table).where(columns.name > wanted.after).order_by(columns.name).limit(wanted.limit)
    if wanted.owner:
        statement = statement.where(columns.owner == wanted.owner)
    if wanted.tier:
        statement = statement.where(columns.tier == wanted.tier)
    if wanted.registry:
        statement = statement.where(columns.registry == wanted.registry)
    if wanted.retired is not None:
        statement = statement.where(columns.retired_ns.is_not(None) if wanted.retired else columns.retired_ns.is_(None))
    return [_model(row) for row in connection.execute(statement).mappings()]


def list_models_of(connection: Connection, registry: str, after: str, limit: int) -> list[Model]:
    """Return a page of a registry's models, by their names there."""
    columns = model_table.c
    of_registry = select(model_table).where(columns.registry == registry, columns.registry_model > after)
    return [
        _model(row) for row in connection.execute(of_registry.order_by(columns.registry_model).limit(limit)).mappings()
    ]


def registered_among(connection: Connection, registry: str, names: Sequence[str]) -> set[str]:
    """Return those of a registry's models that somebody registered."""
    columns = model_table.c
    statement = select(columns.registry_model).where(columns.registry == registry, columns.registry_model.in_(names))
    return set(connection.scalars(statement))


def insert_version(connection: Connection, version: ModelVersion) -> None:
    """Take a new version in."""
    connection.execute(
        model_version.insert().values(
            model=version.model,
            version=version.version,
            digest=str(version.digest),
            document=write_version(version),
            row_version=version.row_version,
            created_ns=version.created,
            retired_ns=version.retired,
        )
    )


def retire_version(connection: Connection, version: ModelVersion, now: EpochNs) -> None:
    """Mark a version as retired."""
    columns = model_version.c
    its_row = model_version.update().where(columns.model == version.model, columns.version == version.version)
    connection.execute(its_row.values(retired_ns=now, row_version=version.row_version + 1))


def read_version(connection: Connection, model: str, version: str) -> ModelVersion | None:
    """Return a version, or None."""
    columns = model_version.c
    statement = select(model_version).where(columns.model == model, columns.version == version)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _version(row)


def list_versions(
    connection: Connection, model: str, *, before_number: int | None, limit: int
) -> list[tuple[int, ModelVersion]]:
    """Return a page of a model's versions, newest first, each with its number (the cursor)."""
    columns = model_version.c
    statement = select(model_version).where(columns.model == model).order_by(columns.number.desc()).limit(limit)
    if before_number is not None:
        statement = statement.where(columns.number < before_number)
    return [(row["number"], _version(row)) for row in connection.execute(statement).mappings()]


def read_pointers(connection: Connection, names: Sequence[str]) -> dict[str, tuple[NamedValue, ...]]:
    """Return the pointers of some of our models that point somewhere, sorted by name; by model."""
    columns = model_pointer.c
    stand = select(model_pointer).where(columns.model.in_(names), columns.version != "").order_by(columns.alias)
    pointers: dict[str, tuple[NamedValue, ...]] = dict.fromkeys(names, ())
    for row in connection.execute(stand):
        pointers[row.model] += (NamedValue(name=row.alias, value=row.version),)
    return pointers


def move_pointer(connection: Connection, model: str, alias: str, version: str, *, expected: str) -> bool:
    """Let a pointer point elsewhere, "" being nowhere, if it points where it is expected to; tell whether it did."""
    row = {"model": model, "alias": alias, "version": version}
    if not expected and insert_new(connection, model_pointer, row):
        return True
    columns = model_pointer.c
    as_expected = (columns.model == model, columns.alias == alias, columns.version == expected)
    return connection.execute(model_pointer.update().where(*as_expected).values(version=version)).rowcount == 1


def _model(row: RowMapping) -> Model:
    return Model(
        name=row["name"],
        registry=row["registry"],
        registry_model=row["registry_model"],
        metadata=read_metadata(row["document"]),
        row_version=row["row_version"],
        created=row["created_ns"],
        changed=row["changed_ns"],
        retired=row["retired_ns"],
    )


def _version(row: RowMapping) -> ModelVersion:
    source, run, tags = read_version_document(row["document"])
    return ModelVersion(
        model=row["model"],
        version=row["version"],
        digest=parse_digest(row["digest"]),
        source=source,
        run=run,
        tags=tags,
        row_version=row["row_version"],
        created=row["created_ns"],
        retired=row["retired_ns"],
    )
