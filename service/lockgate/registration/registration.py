"""Models and versions, registered, changed and retired: each time one transaction with its record."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine

from lockgate.audit import AuditLog, Event, Outcome, Receipt
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock
from lockgate.digests import sha256_hex
from lockgate.recorded_models import check_model, is_pruned, recorded_model
from lockgate.registration.records import Call, model_event, version_event
from lockgate.registry import store
from lockgate.registry.errors import (
    DocumentUnknownError,
    ModelMovedError,
    ModelRetiredError,
    ModelTakenError,
    ModelUnknownError,
    RegistryUnknownError,
    VersionRetiredError,
    VersionTakenError,
    VersionUnknownError,
)
from lockgate.registry.metadata import Model, ModelVersion
from lockgate.registry.parsing import (
    SaidOfModel,
    parse_model_request,
    parse_model_update,
    parse_retirement,
    parse_version_request,
)
from lockgate.storage import read_transaction
from lockgate.storage.idempotency import (
    IdempotencyKeyReusedError,
    IdempotentAnswer,
    check_idempotency_key,
    claim_idempotency_key,
    read_idempotent_answer,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Generic[T]):
    """What became of a call: the model or version as it is then, and the proof of its record."""

    value: T
    receipt: Receipt


class Registration:
    """Registers, changes and retires models and versions; each is one transaction with its record."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        log: AuditLog,
        database: Engine,
        clock: Clock,
        registries: Collection[str],
        known_models: Callable[[], Collection[str]],
        draw: Draw = secrets.token_bytes,
    ) -> None:
        """Make one.

        Args:
            log: The main one.
            database: Where models are kept.
            clock: The time.
            registries: Names of those in the settings, the built-in one among them.
            known_models: Names of the models that the policy in force knows, registered or not.
            draw: Randomness of commitments.
        """
        self._log = log
        self._database = database
        self._clock = clock
        self._registries = registries
        self._known_models = known_models
        self._draw = draw

    def create_model(self, call: Call) -> Registered[Model]:
        """Register a model.

        Raises:
            MalformedJSONError: The body is not one JSON value within the limits.
            SchemaError: The body, or a document in it, breaks its schema.
            RegistryUnknownError: There is no such registry.
            ModelTakenError: The name, or the model in its registry, is registered; or its name there is another
                model's own.
            DocumentUnknownError: A document was named by digest; a new model has none yet.
            LogInconsistentError: The log has a model of this name.
            IdempotencyKeyInvalidError: The key cannot be kept.
            IdempotencyKeyReusedError: The key came before with another request.
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        asked = parse_model_request(call.body)
        if asked.registry not in self._registries:
            raise RegistryUnknownError(f"want one of the registries {sorted(self._registries)}")
        now = self._clock.now_ns()
        recorded = recorded_model(self._log, asked.name)
        model = Model(
            name=asked.name,
            registry=asked.registry,
            registry_model=asked.registry_model,
            metadata=asked.said.metadata,
            row_version=1,
            created=now,
            changed=now,
            retired=None,
        )

        def work(connection: Connection) -> tuple[Model, Event]:
            if store.read_model(connection, model.name) is not None:
                raise ModelTakenError("want a name that no model has")
            check_model(model.name, None, recorded)
            if store.read_model_of(connection, model.registry, model.registry_model) is not None:
                raise ModelTakenError("want a model of its registry that is not registered, got one that is")
            self._check_name_there(connection, model)
            _check_kept(asked.said, None)
            store.insert_model(connection, model)
            return model, model_event(model, "created", now, call, *asked.said.uploads)

        return self._once(call, "models.create", work, lambda connection: _read_model(connection, asked.name))

    def update_model(self, call: Call, name: str, row_version: int) -> Registered[Model]:
        """Say something else of a model: owner, tier, purpose, tags, card and bill, all of it.

        Args:
            call: Who says what.
            name: The model.
            row_version: As the caller saw it; where it moved since, nothing is changed.

        Raises:
            MalformedJSONError: The body is not one JSON value within the limits.
            SchemaError: The body, or a document in it, breaks its schema.
            ModelUnknownError: There is no such model.
            ModelMovedError: It has another row version.
            ModelRetiredError: It is retired.
            DocumentUnknownError: A document was named by digest that the model does not have now.
            LogInconsistentError: It is not registered as the log has it.
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        said = parse_model_update(call.body)
        now = self._clock.now_ns()
        check = self._check_for(name)

        def work(connection: Connection) -> tuple[Model, Event]:
            before = _read_model(connection, name)
            check(before)
            if before.row_version != row_version:
                raise ModelMovedError("want the model as it is now; look at it again")
            _check_active(before)
            _check_kept(said, before)
            after = replace(before, metadata=said.metadata, row_version=row_version + 1, changed=now)
            _put(connection, after)
            return after, model_event(after, "updated", now, call, *said.uploads)

        return self._transact(work)

    def retire_model(self, call: Call, name: str) -> Registered[Model]:
        """Retire a model, for good: it is shown, but not changed any more, and has no new versions.

        Promotions of its versions are the policy's to refuse.

        Raises:
            MalformedJSONError: The body is not one JSON value within the limits.
            SchemaError: The body breaks its schema.
            ModelUnknownError: There is no such model.
            ModelRetiredError: It is retired already.
            LogInconsistentError: It is not registered as the log has it.
            IdempotencyKeyInvalidError: The key cannot be kept.
            IdempotencyKeyReusedError: The key came before with another request.
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        reason = parse_retirement(call.body)
        now = self._clock.now_ns()
        check = self._check_for(name)

        def work(connection: Connection) -> tuple[Model, Event]:
            before = _read_model(connection, name)
            check(before)
            _check_active(before)
            after = replace(before, row_version=before.row_version + 1, changed=now, retired=now)
            _put(connection, after)
            return after, self._with_reason(model_event(after, "retired", now, call), reason)

        return self._once(call, f"models.retire {name}", work, lambda connection: _read_model(connection, name))

    def create_version(self, call: Call, name: str) -> Registered[ModelVersion]:
        """Register a version of a model. What is said of it never changes.

        Raises:
            MalformedJSONError: The body is not one JSON value within the limits.
            SchemaError: The body breaks its schema.
            ModelUnknownError: There is no such model.
            ModelRetiredError: It is retired.
            VersionTakenError: The version is registered.
            IdempotencyKeyInvalidError: The key cannot be kept.
            IdempotencyKeyReusedError: The key came before with another request.
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        asked = parse_version_request(call.body)
        now = self._clock.now_ns()
        version = ModelVersion(
            model=name,
            version=asked.version,
            digest=asked.digest,
            source=asked.source,
            run=asked.run,
            tags=asked.tags,
            row_version=1,
            created=now,
            retired=None,
        )

        def work(connection: Connection) -> tuple[ModelVersion, Event]:
            model = _read_model(connection, name)
            _check_active(model)
            if store.read_version(connection, name, version.version) is not None:
                raise VersionTakenError("want a version that the model does not have; a version never becomes another")
            store.insert_version(connection, version)
            return version, version_event(model, version, "created", now, call)

        def read(connection: Connection) -> ModelVersion:
            return _read_version(connection, name, asked.version)

        return self._once(call, f"versions.create {name}", work, read)

    def retire_version(self, call: Call, name: str, version: str) -> Registered[ModelVersion]:
        """Retire a version, for good: it is shown, as retired. Promotions of it are the policy's to refuse.

        Raises:
            MalformedJSONError: The body is not one JSON value within the limits.
            SchemaError: The body breaks its schema.
            ModelUnknownError: There is no such model.
            VersionUnknownError: It has no such version.
            VersionRetiredError: It is retired already.
            IdempotencyKeyInvalidError: The key cannot be kept.
            IdempotencyKeyReusedError: The key came before with another request.
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        reason = parse_retirement(call.body)
        now = self._clock.now_ns()

        def read(connection: Connection) -> ModelVersion:
            return _read_version(connection, name, version)

        def work(connection: Connection) -> tuple[ModelVersion, Event]:
            model, before = _read_model(connection, name), read(connection)
            if before.retired is not None:
                raise VersionRetiredError("want a version that is not retired")
            store.retire_version(connection, before, now)
            after = replace(before, retired=now, row_version=before.row_version + 1)
            return after, self._with_reason(version_event(model, after, "retired", now, call), reason)

        return self._once(call, f"versions.retire {name} {version}", work, read)

    def _once(
        self,
        call: Call,
        what: str,
        work: Callable[[Connection], tuple[T, Event]],
        read: Callable[[Connection], T],
    ) -> Registered[T]:
        # The record's receipt is that of the first time; the model or version is shown as it is now, so that the caller
        # holds its row version.
        key = call.idempotency_key
        if key is None:
            return self._transact(work)
        check_idempotency_key(key)
        request_sha256 = sha256_hex(what.encode() + b"\n" + call.body)
        before = self._answered(call, key, request_sha256, read)
        if before is not None:
            return before

        def work_once(connection: Connection) -> tuple[T, Event]:
            value, event = work(connection)
            answer = IdempotentAnswer(request_sha256=request_sha256, promotion_id="", decision_id=event.id)
            subject = call.principal.subject
            now = self._clock.now_ns()
            if not claim_idempotency_key(connection, subject=subject, key=key, answer=answer, now=now):
                raise IdempotencyKeyReusedError("want a new Idempotency-Key: another call uses this one now")
            return value, event

        try:
            return self._transact(work_once)
        except (IdempotencyKeyReusedError, ModelTakenError, VersionTakenError, ModelRetiredError, VersionRetiredError):
            # Perhaps by the same call, sent again before it was answered.
            before = self._answered(call, key, request_sha256, read)
            if before is not None:
                return before
            raise

    def _answered(
        self, call: Call, key: str, request_sha256: str, read: Callable[[Connection], T]
    ) -> Registered[T] | None:
        with read_transaction(self._database) as connection:
            before = read_idempotent_answer(connection, subject=call.principal.subject, key=key)
            if before is None:
                return None
            if before.request_sha256 != request_sha256:
                raise IdempotencyKeyReusedError("want a new Idempotency-Key for another request")
            value = read(connection)
        return Registered(value=value, receipt=self._log.receipt_by_id(before.decision_id))

    def _check_name_there(self, connection: Connection, model: Model) -> None:
        # A model that nobody registered yet stands for the one of its own name: to be registered as another one's name
        # would be to move its pointers by this one's rules.
        there = model.registry_model
        taken = there in self._known_models() or store.read_model(connection, there) is not None
        if there != model.name and taken:
            raise ModelTakenError("want a model of its registry whose name there is no other model's own")

    def _transact(self, work: Callable[[Connection], tuple[T, Event]]) -> Registered[T]:
        def recorded(connection: Connection) -> Outcome[T]:
            value, event = work(connection)
            return Outcome(value=value, events=(event,))

        committed = self._log.transact(recorded)
        return Registered(value=committed.value, receipt=committed.receipts[0])

    def _check_for(self, name: str) -> Callable[[Model], None]:
        """Return what holds a model's row against the log, in a transaction; the log is read now, before it.

        What the log says anew must be what it said before: a forged row would be recorded for what it is not. Where the
        model's records were pruned, to be said anew is the way back.
        """
        recorded = recorded_model(self._log, name)
        if recorded is None and is_pruned(self._log):
            return lambda _: None
        return lambda model: check_model(name, model, recorded)

    def _with_reason(self, event: Event, reason: str) -> Event:
        if not reason:
            return event
        said = commit("reason", reason, self._draw)  # a person's words, so they can be erased
        body = {**event.body, "reason": said.commitment}
        return replace(event, body=body, attachments=(*event.attachments, said.document))


def _read_model(connection: Connection, name: str) -> Model:
    model = store.read_model(connection, name)
    if model is None:
        raise ModelUnknownError("want the name of a model that is registered")
    return model


def _read_version(connection: Connection, name: str, version: str) -> ModelVersion:
    _read_model(connection, name)
    found = store.read_version(connection, name, version)
    if found is None:
        raise VersionUnknownError("want a version of the model that is registered")
    return found


def _put(connection: Connection, model: Model) -> None:
    if not store.change_model(connection, model):
        raise AssertionError("nobody changes a model but under the log's lock, which is held here")


def _check_active(model: Model) -> None:
    if model.retired is not None:
        raise ModelRetiredError("want a model that is not retired")


def _check_kept(said: SaidOfModel, before: Model | None) -> None:
    held = {} if before is None else {"card": before.metadata.card, "bom": before.metadata.bom}
    for kind, digest in said.kept.items():
        if held.get(kind) != digest:
            raise DocumentUnknownError(f"want the digest of the model's {kind} as it is now, or the document itself")
