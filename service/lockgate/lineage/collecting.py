"""Lineage is collected here, above registries, feature stores and the audit log: asked for now, or in the background.

Promises: a snapshot counts only with its record, `registry.lineage` in the main log, written in the same transaction;
where nothing changed since the newest one, nothing is written; what a registry cannot say now (it is down) makes no
snapshot at all, so that a worse one never takes a better one's place. Never in the path of a decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from lockgate.audit import SYSTEM, Actor, AuditLog, Event, LogInconsistentError, Outcome
from lockgate.clock import Clock, format_timestamp, now_us
from lockgate.digests import Digest, Sha256Hex, sha256_hex
from lockgate.lineage import store as lineage_store
from lockgate.lineage.feature_stores import FeatureStorePort, declared_service
from lockgate.lineage.recorded import LINEAGE, find_snapshot
from lockgate.lineage.snapshots import (
    Features,
    FeatureService,
    Lineage,
    LineageProblem,
    lineage_bytes,
    make_lineage,
    parse_snapshot,
    record_id,
    same_finding,
)
from lockgate.recorded_models import find_model
from lockgate.registry import RegistryPort, store
from lockgate.registry.errors import (
    ModelUnknownError,
    RegistryAnswerError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnknownError,
    RegistryUnsupportedError,
    VersionUnknownError,
)
from lockgate.registry.metadata import Model
from lockgate.registry.types import RegistryVersion, Run
from lockgate.storage import read_transaction

LINEAGE_KINDS: Final[Mapping[str, str]] = {LINEAGE: "v1/api/lineage_change"}
_RUN_PROBLEMS: Final[tuple[tuple[type[RegistryError], LineageProblem], ...]] = (
    (RegistryUnsupportedError, LineageProblem.RUN_UNSUPPORTED),
    (RegistryRefusedError, LineageProblem.RUN_REFUSED),
    (RegistryAnswerError, LineageProblem.RUN_ANSWER),
)

log_lines = structlog.get_logger("lockgate.lineage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The newest snapshot of a version.

    Attributes:
        fresh: It was made just now; else nothing had changed since it was.
    """

    lineage: Lineage
    sha256: Sha256Hex
    fresh: bool


class LineageCollector:
    """Collects snapshots of lineage."""

    def __init__(
        self,
        *,
        registries: Mapping[str, RegistryPort],
        feature_stores: Sequence[FeatureStorePort],
        database: Engine,
        log: AuditLog,
        clock: Clock,
    ) -> None:
        """Make one.

        Args:
            registries: By the settings' names, the built-in one among them.
            feature_stores: Those of the settings.
            database: Where models and snapshots are kept.
            log: The main one.
            clock: The time.
        """
        self._registries = registries
        self._feature_stores = {feature_store.settings.name: feature_store for feature_store in feature_stores}
        self._database = database
        self._log = log
        self._clock = clock

    def newest(self, model: str, version: str) -> Collected | None:
        """Return the newest snapshot that the log knows of; None where there is none that can be read.

        Raises:
            AuditError: The log cannot be read.
            StorageError: The database cannot be read.
        """
        body = find_snapshot(self._database, self._log, model, version)
        lineage = parse_snapshot(body)
        return None if lineage is None else Collected(lineage=lineage, sha256=sha256_hex(body), fresh=False)

    def find_upstream(self, registry: str, registry_model: str, version: str) -> Lineage | None:
        """Return the newest snapshot of a version by its names in its registry, or None.

        Raises:
            AuditError: The log cannot be read.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            model = store.read_model_of(connection, registry, registry_model)
        found = None if model is None else self.newest(model.name, version)
        return None if found is None else found.lineage

    def collect(self, actor: Actor, model: str, version: str, *, trace: str | None) -> Collected:
        """Ask registry and feature store what a version was made of, and keep what they say if it is news.

        The steps:
          (1) The model is registered, and its registry has the version.
          (2) The run that made it, as far as the registry tells.
          (3) The feature service that it declares, and its views.
          (4) A snapshot, and its record, unless the newest one says the same.

        Args:
            actor: Who wants it.
            model: As promotions name it.
            version: Its version.
            trace: The HTTP request's id.

        Raises:
            ModelUnknownError: No such model is registered.
            LogInconsistentError: It is not registered as the log has it.
            RegistryUnknownError: The settings no longer name its registry.
            VersionUnknownError: Its registry does not have the version.
            RegistryError: Registry or feature store gave no usable answer.
            AuditError: It could not be recorded, so nothing was kept.
            StorageError: The database failed.
        """
        # (1) Model and version.
        registered, declared = self._read_model(model, version)
        registry = self._registries.get(registered.registry)
        if registry is None:
            raise RegistryUnknownError(f"want one of the registries {sorted(self._registries)}")
        shown = registry.find_version(registered.registry_model, version)
        if shown is None:
            raise VersionUnknownError(f"want a version that the registry {registered.registry} has")
        # (2) The run.
        run, problem = _find_run(registry, registered.registry_model, version)
        # (3) Features. Who cannot see the run cannot tell whether it declares any.
        features = self._find_features(model, shown, run)
        if problem is not None and features.service.status == "none":
            features = Features(service=FeatureService(status="unresolved"))
        found = make_lineage(
            model=model,
            registry=registered.registry,
            version=shown,
            artifact=str(declared) if declared else shown.digest,
            run=run,
            features=features,
            problems=frozenset({problem} if problem else ()),
            now=now_us(self._clock),  # as the snapshot writes it
        )
        # (4) Kept and recorded.
        return self._keep(found, actor, trace)

    def collect_missing(self, limit: int, after: int = 0) -> int:
        """Collect for registered versions that have no snapshot yet, and pass over those that cannot be collected now.

        Args:
            limit: The most versions to try.
            after: Where to go on, as this returned it; 0 begins anew.

        Returns:
            The number of the last version tried; 0 where none was left.

        Raises:
            AuditError: A snapshot could not be recorded.
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            missing = lineage_store.versions_without_snapshot(connection, after, limit)
        for _, model, version in missing:
            try:
                self.collect(SYSTEM, model, version, trace=None)
            except (RegistryError, LogInconsistentError) as exc:  # its registry is down, its row forged: another time
                log_lines.warning("lineage_not_collected", model=model, version=version, code=exc.code)
        return missing[-1][0] if missing else 0

    def _read_model(self, name: str, version: str) -> tuple[Model, Digest | None]:
        model = find_model(self._database, self._log, name)
        if model is None:
            raise ModelUnknownError("want the name of a model that is registered")
        with read_transaction(self._database) as connection:
            declared = store.read_version(connection, name, version)
        return model, declared.digest if declared else None

    def _find_features(self, model: str, version: RegistryVersion, run: Run | None) -> Features:
        stores = [feature_store.settings for feature_store in self._feature_stores.values()]
        declared = declared_service(model, version.tags, run.tags if run else (), stores)
        service = declared.service
        if declared.problem is not None or service.status == "none":
            return Features(service=service, problems=frozenset({declared.problem} if declared.problem else ()))
        try:
            views = self._feature_stores[service.store].find_views(service.project, service.name)
        except RegistryRefusedError:
            return Features(service=service, problems=frozenset({LineageProblem.FEATURE_STORE_REFUSED}))
        except RegistryAnswerError:
            return Features(service=service, problems=frozenset({LineageProblem.FEATURE_STORE_ANSWER}))
        if views is None:
            return Features(service=service, problems=frozenset({LineageProblem.FEATURE_SERVICE_UNKNOWN}))
        resolved = FeatureService(
            status="resolved",
            resolved_by=service.resolved_by,
            store=service.store,
            project=service.project,
            name=service.name,
        )
        return Features(service=resolved, views=views)

    def _keep(self, found: Lineage, actor: Actor, trace: str | None) -> Collected:
        before = self.newest(found.model, found.version)
        if before is not None and same_finding(before.lineage, found):
            return before
        body = lineage_bytes(found)
        sha256 = sha256_hex(body)

        def work(connection: Connection) -> Outcome[None]:
            # Who collects the same at the same moment is not looked for: it says the same twice.
            lineage_store.insert_snapshot(
                connection,
                model=found.model,
                version=found.version,
                snapshot=lineage_store.StoredSnapshot(sha256=sha256, body=body),
                collected=found.collected,
            )
            return Outcome(value=None, events=(_event(found, sha256, body, actor, trace),))

        self._log.transact(work)
        return Collected(lineage=found, sha256=sha256, fresh=True)


def _find_run(registry: RegistryPort, model: str, version: str) -> tuple[Run | None, LineageProblem | None]:
    try:
        run = registry.find_run(model, version)
    except tuple(kind for kind, _ in _RUN_PROBLEMS) as exc:
        return None, next(problem for kind, problem in _RUN_PROBLEMS if isinstance(exc, kind))
    return run, None if run is not None else LineageProblem.RUN_UNKNOWN


def _event(found: Lineage, sha256: Sha256Hex, body: bytes, actor: Actor, trace: str | None) -> Event:
    document = {
        "schema_version": 1,
        "model": found.model,
        "version": found.version,
        "registry": found.registry,
        "snapshot": f"sha256:{sha256}",
        "score": found.score,
        "problems": list(found.problems),
        "collected_at": format_timestamp(found.collected),
    }
    return Event(
        id=record_id(sha256),
        kind=LINEAGE,
        actor=actor,
        body=document,
        subject=f"model:{found.model}",
        trace=trace,
        attachments=(body,),
    )
