"""A whole gate in a folder, with real parts: SQLite, the compiled policy, a virtual Sigstore; time stands still."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine

from lockgate.administration import Administration
from lockgate.alerts import AlertReceiver, parse_alert_sources
from lockgate.audit import AuditLog, KindCatalogue, VerifierKey, create_key_file
from lockgate.authentication import Authenticator
from lockgate.authorization import Authorizer
from lockgate.bootstrap import RECORD_KINDS, Services, build_registries
from lockgate.clock import NS_PER_S
from lockgate.config import MAIN_LOG
from lockgate.delivery.deliveries import Deliveries
from lockgate.delivery.reading import EventReader
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import Digest, sha256_of
from lockgate.evidence import TrustFolder
from lockgate.gate_logs import Logs
from lockgate.identity import JWKSSource, parse_issuers, parse_principal
from lockgate.instance import Accepted, Instance
from lockgate.lifecycle import Lifecycle, LineageReader
from lockgate.lineage.collecting import LineageCollector
from lockgate.lineage.feature_stores import FeatureStorePort
from lockgate.login.web_login import LoginSettings, WebLogin
from lockgate.permits import create_permit_key
from lockgate.policy import CompiledPolicy, PolicyEngine, PolicyInForce
from lockgate.policy.compiled import load_policy
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import Evaluator, Gate, GateSettings, Register
from lockgate.readiness import Readiness
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.hooks import Hints
from lockgate.registration import Registration
from lockgate.registry import parse_registries
from lockgate.registry.reading import ModelReader
from lockgate.reloading import Reloader
from lockgate.shipped import shipped_folder
from lockgate.storage import open_engine, upgrade_schema
from lockgate.usage import UsageCounts
from lockgate.web.app import create_app
from support.clocks import FixedClock
from support.identities import UnrecordedIdentities

DAY_NS = 86_400 * NS_PER_S
ORIGIN = "test.lockgate.example/audit"
PUBLIC_URL = "https://test.lockgate.example"
ARTIFACT = sha256_of(b"the model")
WORKFLOW = VirtualSigner(identity="https://ci.example/release.yml@refs/heads/main", issuer="https://ci.example")
STRANGER = VirtualSigner(identity="https://ci.example/fork.yml@refs/heads/main", issuer="https://ci.example")
PEOPLE: Mapping[str, tuple[str, ...]] = {
    "rita": ("requester", "approver:ml-lead"),
    "ravi": ("requester",),
    "leo": ("approver:ml-lead",),
    "lena": ("approver:ml-lead", "approver:risk"),
    "maya": ("approver:risk",),
    "aude": ("auditor",),
    "otto": ("operator",),
    "adam": ("admin",),
    "dora": ("deployer",),
}
PROMOTE = {"kind": "promote", "from": "staging", "to": "production"}
ROLLBACK = {"kind": "rollback", "from": "production", "to": "production"}


def policy_config(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a small policy's data; `changes` replace whole documents."""
    environments = {
        "environments": ["dev", "staging", "production"],
        "transitions": [{"kind": "promote", "from": "dev", "to": "staging"}, PROMOTE, ROLLBACK],
    }
    rows = [
        {"kind": "promote", "from": "dev", "to": "staging", "approvals": [], "separation_of_duties": False},
        {
            **PROMOTE,
            "approvals": [{"role": "ml-lead", "count": 1}, {"role": "risk", "count": 1}],
            "separation_of_duties": True,
        },
        {**ROLLBACK, "approvals": [{"role": "ml-lead", "count": 1}], "separation_of_duties": True},
    ]
    signer = {
        "id": "release-workflow",
        "models": ["*"],
        "environments": ["staging", "production"],
        "trust_domain": "test",
        "issuer": WORKFLOW.issuer,
        "identity": WORKFLOW.identity,
        "predicate_types": ["", "https://model_signing/signature/v1.0"],
        "claims": [],
    }
    documents: dict[str, dict[str, Any]] = {
        "environments": environments,
        "freezes": {"freezes": []},
        "lineage": {"requirements": []},
        "matrix": {"tiers": ["high"], "roles": ["ml-lead", "risk"], "rows": [{**row, "tier": "high"} for row in rows]},
        "models": {"models": [{"name": "fraud-detector", "tier": "high"}]},
        "trust": {"signers": [signer]},
    }
    return {name: {"schema_version": 1, **document} for name, document in {**documents, **changes}.items()}


def compile_config(folder: Path, documents: dict[str, dict[str, Any]]) -> CompiledPolicy:
    """Put data under the shipped rules; needs no OPA."""
    for name, document in documents.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "data.json").write_bytes(orjson.dumps(document))
    return load_policy(shipped_folder("policies"), None, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateUnderTest:
    """A gate and everything that a test may want to move."""

    folder: Path
    clock: FixedClock
    database: Engine
    sigstore: VirtualSigstore
    services: Services
    identities: UnrecordedIdentities  # those of `services`
    instance: Instance
    client: Any  # a Flask test client, untyped so that its answers' JSON is too
    tokens: Mapping[str, str]
    key: VerifierKey

    def call(self, method: str, path: str, who: str | None, document: object = None, **headers: str) -> Any:
        """Call the API as somebody."""
        sent = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        data = None if document is None else orjson.dumps(document)
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.client.open(path, method=method, headers=sent, data=data)

    def bundle(self, signer: VirtualSigner = WORKFLOW, digest: Digest = ARTIFACT) -> bytes:
        """Sign an artifact now."""
        return self.sigstore.sign_artifact(digest, signer)

    def request_document(self, *bundles: bytes, **changes: Any) -> dict[str, Any]:
        """Write a request; by default staging to production, signed by the workflow."""
        return {
            "schema_version": 1,
            **PROMOTE,
            "model": "fraud-detector",
            "version": "1.4.0",
            "digest": str(ARTIFACT),
            "contributors": [{"subject": "tess", "role": "trainer"}],
            "evidence": [{"bundle": base64.b64encode(bundle).decode()} for bundle in bundles or (self.bundle(),)],
            **changes,
        }

    def request(self, who: str = "rita", **changes: Any) -> dict[str, Any]:
        """Ask for a promotion and return the answer."""
        response = self.call("POST", "/v1/promotions", who, self.request_document(**changes))
        assert response.status_code in {201, 202}, response.text
        answer: dict[str, Any] = response.json
        return answer

    def approval_document(self, answer: dict[str, Any], role: str, **changes: Any) -> dict[str, Any]:
        """Write an approval of exactly what an answer shows."""
        promotion = answer["promotion"]
        bound = {
            name: promotion[name] for name in ("digest", "kind", "from", "to", "evidence_digest", "policy_revision")
        }
        return {"schema_version": 1, "verdict": "approve", "role": role, **bound, **changes}

    def approve(self, who: str, role: str, answer: dict[str, Any], **changes: Any) -> Any:
        """Approve exactly what an answer shows."""
        path = f"/v1/promotions/{answer['promotion']['id']}/approvals"
        return self.call("POST", path, who, self.approval_document(answer, role, **changes))

    def records(self, kind: str | None = None, log: str = MAIN_LOG) -> list[dict[str, Any]]:
        """Return a log's records."""
        records = self.services.logs.named(log).records(limit=1000, kind=kind)
        return [orjson.loads(record.body) for record in records]


def make_gate(  # noqa: PLR0913 - what tests may want otherwise
    folder: Path,
    engine: PolicyEngine,
    *,
    timeout_s: float = 5.0,
    database_url: str | None = None,
    config: Path | None = None,
    issuers: Sequence[Mapping[str, Any]] = (),
    login: LoginSettings | None = None,
    environment_logs: Sequence[str] = (),
    registries: Sequence[Mapping[str, Any]] = (),
    feature_stores: Sequence[FeatureStorePort] = (),
    alert_sources: Sequence[Mapping[str, Any]] = (),
) -> GateUnderTest:
    """Make a gate in an empty folder around an engine, on SQLite in that folder unless told otherwise.

    A reload reads the policy's data from `config`, where that is given.
    """

    def read() -> Accepted:
        return Accepted(policy=load_policy(shipped_folder("policies"), None, config), issuers=parsed)

    def prepare(accepted: Accepted) -> Callable[[], None]:
        reloaded = WasmEngine(accepted.policy)
        return lambda: policy.replace(reloaded)

    clock = FixedClock()
    database = open_engine(database_url or f"sqlite:///{folder / 'lockgate.db'}")
    upgrade_schema(database)
    log = _make_log(folder / "log.key", ORIGIN, database, clock)
    logs = Logs(
        main=log,
        by_environment={
            name: _make_log(folder / f"log-{name}.key", f"{ORIGIN}/{name}", database, clock)
            for name in environment_logs
        },
    )
    trust_dir = folder / "trust"
    trust_dir.mkdir()
    sigstore = VirtualSigstore(name="test", clock=clock)
    sigstore.write_trust_domain(trust_dir)
    trust = TrustFolder(trust_dir, clock)
    policy = PolicyInForce(engine)
    evaluator = Evaluator(verifier=trust.verifier, policy=policy, timeout_s=timeout_s)
    settings = GateSettings(default_trust_domain="test", promotion_ttl_ns=7 * DAY_NS, approval_ttl_ns=3 * DAY_NS)
    identities = UnrecordedIdentities(database, clock)
    tokens = {}
    for subject, roles in PEOPLE.items():
        identities.put_principal(
            parse_principal(subject=subject, type="user", roles=roles, identities=[f"{subject}@example.com"])
        )
        tokens[subject] = identities.create_token(subject, 365 * DAY_NS).secret
    parsed = parse_issuers(issuers, folder)
    begun = CompiledPolicy(catalogue=engine.catalogue(), entrypoints=(), opa_version="", wasm=b"", data={})
    instance = Instance(folder, Accepted(policy=begun, issuers=parsed))
    reloader = Reloader(
        instance=instance,
        followed=instance.changed,
        read=read,
        prepare=prepare,
        policy=policy,
        log=log,
        clock=clock,
    )
    keys = JWKSSource(parsed, clock)
    administration = Administration(log, clock)
    authenticator = Authenticator(
        store=identities, administration=administration, issuers=parsed, keys=keys, clock=clock
    )
    web_login = (
        None
        if login is None
        else WebLogin(login, store=identities, authenticator=authenticator, administration=administration, clock=clock)
    )
    registry_settings = parse_registries(registries, folder)
    ports = build_registries(registry_settings, database)
    the_gate = Gate(database=database, logs=logs, evaluator=evaluator, clock=clock, settings=settings)
    register = Register(database=database, logs=logs, clock=clock)
    authorizer = Authorizer(policy=policy, log=log, clock=clock, timeout_s=timeout_s)
    lifecycle = Lifecycle.build(
        database=database,
        logs=logs,
        gate=the_gate,
        evaluator=evaluator,
        policy=policy,
        registries=registry_settings,
        clock=clock,
        permit_key=create_permit_key(folder / "permit.key"),
    )
    services = Services(
        gate=the_gate,
        register=register,
        log=log,
        logs=logs,
        identities=identities,
        authenticator=authenticator,
        login=web_login,
        policy=policy,
        authorizer=authorizer,
        trust=trust,
        readiness=Readiness(clock=clock, database=database, policy=policy, logs=logs, trust=trust),
        reloader=reloader,
        registry_settings=registry_settings,
        registries=ports,
        registration=Registration(
            log=log,
            database=database,
            clock=clock,
            registries=ports,
            known_models=lambda: policy.engine.catalogue().models,
        ),
        models=ModelReader(database, ports),
        lifecycle=lifecycle,
        database=database,
        events=EventReader(database=database, logs=logs, public_url=PUBLIC_URL),
        deliveries=Deliveries(database=database, logs=logs, clock=clock, subscribers=("bot",)),
        usage=UsageCounts(database, clock, lambda: policy.engine.catalogue().environments),
        alerts=AlertReceiver(
            parse_alert_sources(alert_sources, folder),
            database=database,
            logs=logs,
            rollbacks=lifecycle.rollbacks,
            authorizer=authorizer,
            clock=clock,
        ),
        lineage=LineageCollector(
            registries=ports, feature_stores=feature_stores, database=database, log=log, clock=clock
        ),
        lineage_reader=LineageReader(database=database, logs=logs, register=register),
        findings=Findings(database=database, logs=logs, clock=clock),
        hints=Hints(registry_settings, database=database, clock=clock),
    )
    return GateUnderTest(
        folder=folder,
        clock=clock,
        database=database,
        sigstore=sigstore,
        services=services,
        identities=identities,
        instance=instance,
        client=create_app(services).test_client(),
        tokens=tokens,
        key=log.key,
    )


def _make_log(key_file: Path, origin: str, database: Engine, clock: FixedClock) -> AuditLog:
    log = AuditLog(
        engine=database,
        signer=create_key_file(key_file, origin),
        clock=clock,
        catalogue=KindCatalogue(RECORD_KINDS),
        instance="test",
    )
    log.create()
    return log
