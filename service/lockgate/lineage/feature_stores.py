"""Which feature stores there are (the `[[feature_store]]` tables), and which feature service a version reads.

A version's feature service is looked for in this order, and never guessed from names:

(1) the version's tag `feast.feature_service`, which Feast's own integration sets;
(2) the tag of this name on the run that made it;
(3) the mapping of the settings.

Its project is what the tag `feast.project` says, of the version or else of its run; a mapping names it itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import TableInvalidError, read_tables
from lockgate.lineage.snapshots import FeatureService, FeatureView, LineageProblem
from lockgate.outbound_urls import find_url_fault
from lockgate.registry.errors import RegistryUnavailableError
from lockgate.registry.settings import TIMEOUT_S
from lockgate.registry.types import NamedValue

FEATURE_STORES_MAX: Final = 16  # one for each team that runs its own
SERVICE_TAG: Final = "feast.feature_service"
PROJECT_TAG: Final = "feast.project"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)  # as Feast names projects and services


class FeatureStoreInvalidError(TableInvalidError):
    """The settings of a feature store cannot be used."""

    code: ClassVar[str] = "feature_store.settings_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStoreSettings:
    """How a feature store is reached, and what it is asked for.

    Attributes:
        name: What snapshots call it.
        url: Where its registry answers, without a slash at the end.
        token_file: Holds the bearer token; see `read_authorization`.
        ca_file: Certificate authorities to trust instead of the usual ones.
        timeout_s: For all that is asked about one version, in seconds.
        projects: That are in it; no other feature store has them.
        mapping: By model, the project and feature service that its versions read where no tag says so.
    """

    name: str
    type: Literal["feast"]
    url: str
    token_file: Path | None
    ca_file: Path | None
    timeout_s: float
    projects: tuple[str, ...]
    mapping: Mapping[str, tuple[str, str]]

    def read_authorization(self) -> str | None:
        """Return the header of this name, with the token as its file holds it now; None where none is wanted.

        Raises:
            RegistryUnavailableError: The file cannot be used at the moment.
        """
        if self.token_file is None:
            return None
        try:
            return f"Bearer {read_secret(self.token_file)}"
        except UnusableValueError as exc:
            raise RegistryUnavailableError(f"feature store {self.name}: {exc}") from exc


class FeatureStorePort(Protocol):
    """A feature store. Calls may raise what those of `RegistryPort` may."""

    @property
    def settings(self) -> FeatureStoreSettings:
        """Its settings."""
        ...

    def find_views(self, project: str, service: str) -> tuple[FeatureView, ...] | None:
        """Return the views of a feature service, also those that are not there; None where there is no such service."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredService:
    """What a version declares, or why it cannot be told."""

    service: FeatureService
    problem: LineageProblem | None = None


def parse_feature_stores(
    tables: Sequence[Mapping[str, Any]], folder: Path = Path()
) -> tuple[FeatureStoreSettings, ...]:
    """Read the `[[feature_store]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        FeatureStoreInvalidError: One of them cannot be used; it says which part and why.
    """
    stores = read_tables(
        tables,
        "feature_store",
        at_most=FEATURE_STORES_MAX,
        error=FeatureStoreInvalidError,
        read=lambda table, path: _read_store(table, path, folder),
    )
    for index, store in enumerate(stores):
        path = f"feature_store[{index}]"
        others = stores[:index]
        if {project for other in others for project in other.projects} & set(store.projects):
            raise FeatureStoreInvalidError("want projects that no other feature store has", f"{path}.projects")
        if {model for other in others for model in other.mapping} & store.mapping.keys():
            raise FeatureStoreInvalidError("want each model mapped once", f"{path}.mapping")
    return stores


def declared_service(
    model: str,
    version_tags: Sequence[NamedValue],
    run_tags: Sequence[NamedValue],
    stores: Sequence[FeatureStoreSettings],
) -> DeclaredService:
    """Tell which feature service a version reads; the numbers are those of this module.

    Returns:
        The service with the status `none`, or `unresolved` until its feature store has been asked.
    """
    of_version, of_run = _tags(version_tags), _tags(run_tags)
    project = of_version.get(PROJECT_TAG) or of_run.get(PROJECT_TAG, "")
    # (1) The version's tag.
    if of_version.get(SERVICE_TAG):
        return _declared("version_tag", project, of_version[SERVICE_TAG], stores)
    # (2) The run's tag.
    if of_run.get(SERVICE_TAG):
        return _declared("run_tag", project, of_run[SERVICE_TAG], stores)
    # (3) The mapping.
    for store in stores:
        if model in store.mapping:
            return _declared("mapping", *store.mapping[model], stores)
    return DeclaredService(service=FeatureService(status="none"))


def _declared(
    by: Literal["version_tag", "run_tag", "mapping"], project: str, name: str, stores: Sequence[FeatureStoreSettings]
) -> DeclaredService:
    # What no feature store can name is as good as unknown there, and need not be asked for.
    if not _NAME.fullmatch(name):
        return DeclaredService(
            service=FeatureService(status="unresolved", resolved_by=by), problem=LineageProblem.FEATURE_SERVICE_UNKNOWN
        )
    if not _NAME.fullmatch(project):
        return DeclaredService(
            service=FeatureService(status="unresolved", resolved_by=by, name=name),
            problem=LineageProblem.FEATURE_SERVICE_PROJECT,
        )
    having = [store.name for store in stores if project in store.projects]
    return DeclaredService(
        service=FeatureService(
            status="unresolved", resolved_by=by, store=having[0] if having else "", project=project, name=name
        ),
        problem=None if having else LineageProblem.FEATURE_STORE_UNKNOWN,
    )


def _tags(tags: Sequence[NamedValue]) -> dict[str, str]:
    return {tag.name: tag.value for tag in tags if tag.name in {SERVICE_TAG, PROJECT_TAG}}


def _read_store(table: Mapping[str, Any], path: str, folder: Path) -> FeatureStoreSettings:
    if fault := find_url_fault(table["url"]):
        raise FeatureStoreInvalidError(fault, f"{path}.url")
    mapping: dict[str, tuple[str, str]] = {}
    for index, row in enumerate(table.get("mapping", ())):
        if row["model"] in mapping:
            raise FeatureStoreInvalidError("want each model mapped once", f"{path}.mapping[{index}].model")
        if row["project"] not in table["projects"]:
            raise FeatureStoreInvalidError("want a project of this feature store", f"{path}.mapping[{index}].project")
        mapping[row["model"]] = (row["project"], row["feature_service"])
    return FeatureStoreSettings(
        name=table["name"],
        type=table["type"],
        url=table["url"].rstrip("/"),
        token_file=folder / table["token_file"] if "token_file" in table else None,
        ca_file=folder / table["ca_file"] if "ca_file" in table else None,
        timeout_s=float(table.get("timeout_s", TIMEOUT_S)),
        projects=tuple(table["projects"]),
        mapping=mapping,
    )
