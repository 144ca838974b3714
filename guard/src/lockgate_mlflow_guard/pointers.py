"""Which versions hold protected aliases now, read from MLflow's own database in the server's own process.

One query on its tables, not its search of models: that has no filter on aliases, pages through every model, and a page
of it is old when the next one comes. Names are compared by the database, as in MLflow's own statements, so that no
collation tells two names apart here and takes them for one there.
"""

from dataclasses import dataclass
from typing import Final

from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from sqlalchemy import ColumnElement, and_, func, select

POINTERS_MAX: Final = 100_000  # protected aliases of one server; reading them takes a second


class PointersUnavailableError(Exception):
    """MLflow's database did not say what is protected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """A protected alias as it stands.

    Attributes:
        location: Where the version's files are; "" where the database does not say.
    """

    model: str
    alias: str
    version: int
    location: str


class Pointers:
    """Reads the protected aliases."""

    def __init__(self, aliases: frozenset[str]) -> None:
        self._aliases = sorted(aliases)

    def of_model(self, model: str) -> list[Pointer]:
        """Return those of one model.

        Raises:
            PointersUnavailableError: The database does not answer.
        """
        return self._read(SqlRegisteredModelAlias.name == model)

    def of_all(self) -> list[Pointer]:
        """Return those of every model.

        Raises:
            PointersUnavailableError: The database does not answer, or there are too many.
        """
        return self._read()

    def _read(self, *conditions: ColumnElement[bool]) -> list[Pointer]:
        alias, version = SqlRegisteredModelAlias, SqlModelVersion
        # With the workspace, which is the same one everywhere here: MLflow's index begins with it.
        same = and_(version.workspace == alias.workspace, version.name == alias.name, version.version == alias.version)
        query = (
            select(alias.name, alias.alias, alias.version, version.storage_location, version.source)
            .outerjoin(version, same)
            .where(func.lower(alias.alias).in_(self._aliases), *conditions)
            .limit(POINTERS_MAX + 1)
        )
        try:
            # Not `read_only`, which may be a replica that does not know yet.
            with handlers._get_model_registry_store().ManagedSessionMaker(read_only=False) as session:  # noqa: SLF001 - MLflow has no other way to its store
                rows = session.execute(query).all()
        # A store that is no database has no such attribute; every fault of a database arrives as MLflow's own error.
        except (MlflowException, AttributeError) as exc:
            raise PointersUnavailableError("MLflow's registry does not answer") from exc
        if len(rows) > POINTERS_MAX:
            raise PointersUnavailableError(f"more than {POINTERS_MAX} protected aliases")
        return [
            Pointer(
                model=row.name, alias=row.alias, version=row.version, location=row.storage_location or row.source or ""
            )
            for row in rows
        ]
