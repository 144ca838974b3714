"""The one module that knows every adapter of the gate: wires the rooms for a process.

The web application and the command line see the rooms through what this makes. What carries promotions out, and every
job, is wired in `background.build`, on top of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import Engine

from lockgate.administration import IDENTITY_KINDS, Administration
from lockgate.alerts import AlertReceiver
from lockgate.audit import AuditLog, KindCatalogue, Signer, load_signer
from lockgate.authentication import Authenticator
from lockgate.authorization import AUTHORIZATION_KINDS, Authorizer
from lockgate.clock import NS_PER_S, Clock
from lockgate.config import Settings, is_main_origin, load_tables, origin_of_log, settings_of_log
from lockgate.delivery.deliveries import DELIVERY_KINDS, Deliveries
from lockgate.delivery.reading import EventReader
from lockgate.delivery.webhooks import Webhook
from lockgate.errors import ConfigError
from lockgate.evidence import TrustFolder, load_trust_domains
from lockgate.gate_logs import Logs
from lockgate.identity import IdentityStore, JWKSSource
from lockgate.instance import Accepted, Instance
from lockgate.lifecycle import Lifecycle, LineageReader
from lockgate.lineage.collecting import LINEAGE_KINDS, LineageCollector
from lockgate.lineage.feast import FeastStore
from lockgate.login.oauth_messages import Client
from lockgate.login.web_login import LoginSettings, WebLogin
from lockgate.permits import find_permit_key
from lockgate.policy import CompiledPolicy, PolicyEngine, PolicyInForce
from lockgate.policy.compiled import load_policy
from lockgate.policy.opa import OPAEngine, OPAServer
from lockgate.policy.opa_binary import find_opa
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import GATE_KINDS, Evaluator, Gate, GateSettings, Register
from lockgate.readiness import Readiness
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.hooks import Hints
from lockgate.reconciling.types import FINDING_KINDS
from lockgate.registration import REGISTRATION_KINDS, Registration
from lockgate.registry import BUILTIN, RegistryPort, RegistrySettings
from lockgate.registry.builtin import BuiltinRegistry
from lockgate.registry.kubeflow_hub import KubeflowHubRegistry
from lockgate.registry.mlflow import MLflowRegistry
from lockgate.registry.reading import ModelReader
from lockgate.reloading import RELOADING_KINDS, Reloader
from lockgate.settings_tables import read_all, read_issuers
from lockgate.storage import check_schema, open_engine, upgrade_schema
from lockgate.system_clock import SystemClock
from lockgate.usage import UsageCounts

# Every kind of record that Lockgate writes beside the log's own, each with the schema of its body.
RECORD_KINDS: Final[Mapping[str, str]] = {
    **GATE_KINDS,
    **IDENTITY_KINDS,
    **AUTHORIZATION_KINDS,
    **RELOADING_KINDS,
    **DELIVERY_KINDS,
    **REGISTRATION_KINDS,
    **LINEAGE_KINDS,
    **FINDING_KINDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms of one process, wired."""

    gate: Gate
    register: Register
    log: AuditLog  # the main one
    logs: Logs
    identities: IdentityStore
    authenticator: Authenticator
    login: WebLogin | None  # None: people log in nowhere
    policy: PolicyInForce
    authorizer: Authorizer
    trust: TrustFolder
    readiness: Readiness
    reloader: Reloader
    registry_settings: tuple[RegistrySettings, ...]
    registries: Mapping[str, RegistryPort]  # by name; the built-in one always
    registration: Registration
    models: ModelReader
    lifecycle: Lifecycle
    database: Engine
    events: EventReader
    deliveries: Deliveries
    usage: UsageCounts
    alerts: AlertReceiver
    lineage: LineageCollector
    lineage_reader: LineageReader
    findings: Findings
    hints: Hints


def open_log(settings: Settings, clock: Clock, database: Engine) -> AuditLog:
    """Open the audit log with the key that signs its checkpoints.

    Raises:
        AuditError: The key's file is unusable.
    """
    return AuditLog(
        engine=database,
        signer=load_signer(settings.log_key_file, settings.log_signer_command),
        clock=clock,
        catalogue=KindCatalogue(RECORD_KINDS),
        instance=settings.instance,
        checkpoint_file=settings.checkpoint_file,
        checkpoint_sync=settings.checkpoint_sync,
        former_signer=load_former_signer(settings),
    )


def open_logs(settings: Settings, clock: Clock, database: Engine) -> Logs:
    """Open every log of the gate.

    Raises:
        AuditError: A key's file is unusable.
        ConfigError: An environment's key is another log's, or clients could not tell whose it is.
    """
    main = open_log(settings, clock, database)
    if settings.environment_logs and not is_main_origin(main.origin):
        raise ConfigError(f"LOCKGATE_ENVIRONMENT_LOGS: want a main log named HOST/NAME, got {main.origin[:80]!r}")
    by_environment = {}
    for environment in settings.environment_logs:
        its_own = settings_of_log(settings, environment)
        log = open_log(its_own, clock, database)
        origin = origin_of_log(main.origin, environment)
        if log.origin != origin:
            raise ConfigError(f"want the key of {origin} in {its_own.log_key_file}")
        by_environment[environment] = log
    return Logs(main=main, by_environment=by_environment)


def load_former_signer(settings: Settings) -> Signer | None:
    """Return what signs with the log's key of before, while keys change.

    Raises:
        KeyInvalidError: The key's file is unusable.
    """
    if settings.log_former_key_file is None:
        return None
    return load_signer(settings.log_former_key_file, settings.log_former_signer_command)


def check_settings(settings: Settings) -> Accepted:
    """Make sure that a process with these settings could decide; leaves nothing open.

    Returns:
        What its files say, for `lockgate.instance.Instance`.

    Raises:
        LockgateError: A part is missing or unusable.
    """
    database = open_engine(settings.database_url)
    check_schema(database)
    for log in open_logs(settings, SystemClock(), database):
        log.check_head()
    database.dispose()
    find_permit_key(settings.permit_key_file)
    domains = load_trust_domains(settings.trust_dir)
    if settings.default_trust_domain not in domains.by_name:
        raise ConfigError(
            f"LOCKGATE_DEFAULT_TRUST_DOMAIN: want one of {sorted(domains.by_name)}, "
            f"got {settings.default_trust_domain[:80]!r}"
        )
    read_all(settings)
    return _read_files(settings, find_opa())


def read_accepted(settings: Settings) -> Accepted:
    """Read the policy and the issuers for a reload.

    Without OPA: what comes into force while requests wait was built and tested before, not meanwhile.

    Raises:
        LockgateError: One of them cannot be used.
    """
    return _read_files(settings, None)


def _read_files(settings: Settings, opa: Path | None) -> Accepted:
    policy = load_policy(settings.policy_dir, opa, settings.policy_config_dir)
    tables = () if settings.config_file is None else load_tables(settings.config_file, "issuer")
    issuers = read_issuers(settings, tables)
    JWKSSource(issuers, SystemClock())  # key files that cannot be read are found here
    return Accepted(policy=policy, issuers=issuers)


def build_services(settings: Settings, instance: Instance) -> Services:
    """Wire a process that decides by what its instance accepted.

    Nothing here depends on the state of a file or server that may change while the instance lives: a worker that takes
    a dead one's place always begins, and what it cannot do for now, it says so.

    Args:
        settings: Of the process.
        instance: What its processes share.

    Raises:
        LockgateError: The log's key or the permit key is unusable.
    """
    followed = instance.changed
    accepted = instance.get()
    clock, database = SystemClock(), open_engine(settings.database_url)
    logs = open_logs(settings, clock, database)
    log = logs.main
    trust = TrustFolder(settings.trust_dir, clock)
    policy = PolicyInForce(_build_engine(settings, accepted.policy))
    evaluator = Evaluator(verifier=trust.verifier, policy=policy, timeout_s=settings.policy_timeout_s)
    gate_settings = GateSettings(
        default_trust_domain=settings.default_trust_domain,
        promotion_ttl_ns=int(settings.promotion_ttl_s * NS_PER_S),
        approval_ttl_ns=int(settings.approval_ttl_s * NS_PER_S),
    )
    identities = IdentityStore(database, clock)
    administration = Administration(log, clock)
    keys = JWKSSource(accepted.issuers, clock, strict=False)
    authenticator = Authenticator(
        store=identities,
        administration=administration,
        issuers=accepted.issuers,
        keys=keys,
        clock=clock,
    )
    keys.start()

    def prepare(reloaded: Accepted) -> Callable[[], None]:
        engine = _build_engine(settings, reloaded.policy)
        reloaded_keys = JWKSSource(reloaded.issuers, clock)

        def put_in_force() -> None:
            policy.replace(engine)
            authenticator.replace(reloaded.issuers, reloaded_keys)

        return put_in_force

    reloader = Reloader(
        instance=instance,
        followed=followed,
        read=lambda: read_accepted(settings),
        prepare=prepare,
        policy=policy,
        log=log,
        clock=clock,
    )
    tables = read_all(settings)
    registries = build_registries(tables.registries, database)
    gate = Gate(database=database, logs=logs, evaluator=evaluator, clock=clock, settings=gate_settings)
    register = Register(database=database, logs=logs, clock=clock)
    authorizer = Authorizer(policy=policy, log=log, clock=clock, timeout_s=settings.policy_timeout_s)
    lifecycle = Lifecycle.build(
        database=database,
        logs=logs,
        gate=gate,
        evaluator=evaluator,
        policy=policy,
        registries=tables.registries,
        clock=clock,
        permit_key=find_permit_key(settings.permit_key_file),
    )
    return Services(
        gate=gate,
        register=register,
        log=log,
        logs=logs,
        identities=identities,
        authenticator=authenticator,
        login=_build_login(settings, identities, authenticator, administration, clock),
        policy=policy,
        authorizer=authorizer,
        trust=trust,
        readiness=Readiness(clock=clock, database=database, policy=policy, logs=logs, trust=trust),
        reloader=reloader,
        registry_settings=tables.registries,
        registries=registries,
        registration=Registration(
            log=log,
            database=database,
            clock=clock,
            registries=registries,
            known_models=lambda: policy.engine.catalogue().models,
        ),
        models=ModelReader(database, registries),
        lifecycle=lifecycle,
        database=database,
        events=EventReader(database=database, logs=logs, public_url=settings.public_url.rstrip("/")),
        deliveries=Deliveries(database=database, logs=logs, clock=clock, subscribers=_subscribers(tables.webhooks)),
        usage=UsageCounts(database, clock, lambda: policy.engine.catalogue().environments),
        alerts=AlertReceiver(
            tables.alert_sources,
            database=database,
            logs=logs,
            rollbacks=lifecycle.rollbacks,
            authorizer=authorizer,
            clock=clock,
        ),
        lineage=LineageCollector(
            registries=registries,
            feature_stores=[FeastStore(store) for store in tables.feature_stores],
            database=database,
            log=log,
            clock=clock,
        ),
        lineage_reader=LineageReader(database=database, logs=logs, register=register),
        findings=Findings(database=database, logs=logs, clock=clock),
        hints=Hints(tables.registries, database=database, clock=clock),
    )


def build_registries(registries: Sequence[RegistrySettings], database: Engine) -> Mapping[str, RegistryPort]:
    """Make an adapter for each registry of the settings, and for the built-in one; nothing is connected to."""
    ports: dict[str, RegistryPort] = {BUILTIN: BuiltinRegistry(database)}
    for registry in registries:
        match registry.type:
            case "mlflow":
                ports[registry.name] = MLflowRegistry(registry)
            case "kubeflow-hub":
                ports[registry.name] = KubeflowHubRegistry(registry)
            case "builtin":  # its table only names pointers
                pass
    return ports


def _subscribers(webhooks: Sequence[Webhook]) -> tuple[str, ...]:
    return tuple(webhook.name for webhook in webhooks if not webhook.disabled)


def _build_login(
    settings: Settings,
    store: IdentityStore,
    authenticator: Authenticator,
    administration: Administration,
    clock: Clock,
) -> WebLogin | None:
    if not settings.login_issuer:
        return None
    scopes = ("openid", *(scope for scope in settings.login_scopes if scope != "openid"))
    client = Client(client_id=settings.login_client_id, secret=settings.login_client_secret, scopes=scopes)
    return WebLogin(
        LoginSettings(public_url=settings.public_url.rstrip("/"), issuer=settings.login_issuer, client=client),
        store=store,
        authenticator=authenticator,
        administration=administration,
        clock=clock,
    )


def prepare_database(settings: Settings) -> None:
    """Create or migrate the tables, and each log with its first record where there is none.

    Raises:
        StorageError: The database cannot be written.
        AuditError: A log's key is unusable, or the database holds a log of another origin or key.
        ConfigError: An environment's key is another log's.
    """
    database = open_engine(settings.database_url)
    upgrade_schema(database)
    for log in open_logs(settings, SystemClock(), database):
        log.create()


def _build_engine(settings: Settings, compiled: CompiledPolicy) -> PolicyEngine:
    if settings.policy_engine == "wasm":
        return WasmEngine(compiled)
    address = urlsplit(settings.opa_url)
    server = OPAServer(
        host=address.hostname or "",
        port=address.port or (443 if address.scheme == "https" else 80),
        tls=address.scheme == "https",
        ca_file=settings.opa_ca_file,
        token=settings.opa_token or None,
    )
    return OPAEngine(compiled, server)
