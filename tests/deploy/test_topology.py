"""docker-compose.yml as plain processes: what its parts refuse each other, and what they do together."""

import signal
import socket
import ssl
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import orjson
import psycopg
import pytest
import requests

from lockgate.demo.material import RITA
from support.topology import Topology
from support.topology_walk import REQUEST, Walk

pytestmark = [pytest.mark.opa, pytest.mark.slow]

DECISION = "/v1/data/lockgate/promotion/decision"
POLL_S_MAX = 30.0  # OPA looks every five seconds
CHECK = ("check", *REQUEST[1:])


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + POLL_S_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def opa(
    topology: Topology, method: str, path: str, token: str | None = None, document: object = None
) -> requests.Response:
    """Call OPA as somebody in its network."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(
            method,
            f"https://127.0.0.1:{topology.ports['opa']}{path}",
            headers={"Authorization": f"Bearer {token}"} if token is not None else {},
            json=document,
            verify=str(topology.site / "ca.pem"),
            timeout=10,
        )


def token(topology: Topology) -> str:
    """Return the gate's token for OPA."""
    return (topology.site / "secrets" / "opa_token").read_text()


def revision_at_opa(topology: Topology) -> str:
    """Return the revision that OPA runs."""
    answer = opa(topology, "POST", f"{DECISION}?provenance=true", token(topology), {"input": {}}).json()
    revision: str = answer["provenance"]["bundles"]["lockgate"]["revision"]
    return revision


def bundle_file(topology: Topology) -> Path:
    """Return what OPA fetches."""
    return topology.site / "bundles" / "bundle.tar.gz"


def altered(bundle: bytes, *, signed: bool) -> bytes:
    """Return a bundle that allows everything, with the signature of the true one or with none."""
    out = BytesIO()
    changes = 0
    with tarfile.open(fileobj=BytesIO(bundle)) as old, tarfile.open(fileobj=out, mode="w:gz") as new:
        for member in old:
            file = old.extractfile(member)
            content = b"" if file is None else file.read()
            if member.name.endswith("promotion/promotion.rego"):
                changes += content.count(b"default allow := false")
                content = content.replace(b"default allow := false", b"default allow := true")
            if signed or not member.name.endswith(".signatures.json"):
                member.size = len(content)
                new.addfile(member, BytesIO(content))
    assert changes == 1
    return out.getvalue()


def test_a_promotion_through_both_gates(walk: Walk) -> None:
    """Asked for at one gate and approved at both, a promotion is allowed, and the one log verifies."""
    said = walk.promote()

    assert said.startswith("ALLOW promote")
    assert "opa-http" in said
    assert "VALID  topology.example/audit" in said


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/data"),
        ("GET", DECISION),
        ("GET", "/v1/data/system"),
        ("PUT", "/v1/data/lockgate"),
        ("PATCH", "/v1/data/lockgate"),
        ("DELETE", "/v1/data/lockgate"),
        ("GET", "/v1/policies"),
        ("PUT", "/v1/policies/mine"),
        ("POST", "/v1/query"),
        ("POST", "/v1/compile"),
        ("GET", "/v1/config"),
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
        ("POST", "/"),
        ("POST", "/v0/data/lockgate/promotion/decision"),
        ("POST", f"{DECISION}/"),
        ("POST", f"{DECISION}/allow"),
        ("POST", f"{DECISION}?explain=full"),
    ],
)
def test_opa_answers_the_gate_nothing_but_decisions(topology: Topology, method: str, path: str) -> None:
    """With the gate's own token nothing can be read or changed but the two decisions."""
    assert opa(topology, method, path, token(topology), {"input": {}}).status_code == 401


def test_opa_answers_nobody_else(topology: Topology) -> None:
    """Without the token, with another, or with the hash that OPA knows it by, there is no decision."""
    known = orjson.loads((topology.site / "secrets" / "opa_callers.json").read_bytes())["token_sha256"][0]
    answers = [opa(topology, "POST", DECISION, wrong, {"input": {}}).status_code for wrong in (None, "x", known)]

    assert answers == [401, 401, 401]
    assert opa(topology, "POST", DECISION, token(topology), {"input": {}}).status_code == 200
    assert opa(topology, "GET", "/health?bundles=true").status_code == 200


def test_opa_speaks_tls_1_3_alone(topology: Topology) -> None:
    """An older version is refused, and so is a connection without TLS."""
    context = ssl.create_default_context(cafile=str(topology.site / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", topology.ports["opa"]), timeout=5) as raw,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        context.wrap_socket(raw, server_hostname="localhost")
    plain = requests.get(f"http://127.0.0.1:{topology.ports['opa']}/health", timeout=5)

    assert plain.status_code == 400


@pytest.mark.parametrize("signed", [True, False])
def test_a_bundle_that_is_not_signed_changes_nothing(topology: Topology, walk: Walk, *, signed: bool) -> None:
    """A bundle that was altered under its signature, or has none, is refused; the one of before stays in force."""
    bundle = bundle_file(topology).read_bytes()
    before = revision_at_opa(topology)
    seen = len(topology.said("opa"))
    bundle_file(topology).write_bytes(altered(bundle, signed=signed))
    until(lambda: "Bundle load failed" in topology.said("opa")[seen:])
    after = revision_at_opa(topology)
    asked = walk.ask("lockgate", RITA, *CHECK)
    bundle_file(topology).write_bytes(bundle)

    why = "digest mismatch" if signed else "missing .signatures.json"
    assert why in topology.said("opa")[seen:]
    assert after == before
    assert asked.code == 5  # denied: nothing is signed


def test_without_a_signed_bundle_nothing_is_decided(topology: Topology, walk: Walk) -> None:
    """An OPA that starts with an altered bundle is never healthy; the gate says so, decides nothing, and recovers."""
    bundle = bundle_file(topology).read_bytes()
    bundle_file(topology).write_bytes(altered(bundle, signed=True))
    topology.stop("opa")
    topology.start_opa()
    until(lambda: topology.said("opa").rstrip().endswith("}") and "digest mismatch" in topology.said("opa"))
    until(lambda: opa_listens(topology))
    healthy = topology.healthy("opa")
    ready = requests.get(f"{topology.url()}/readyz", timeout=10)
    asked = walk.ask("lockgate", RITA, *CHECK)
    bundle_file(topology).write_bytes(bundle)
    topology.wait_for("opa")
    again = walk.ask("lockgate", RITA, *CHECK)

    assert not healthy
    assert ready.status_code == 503
    assert not next(check["ok"] for check in ready.json()["checks"] if check["name"] == "policy")
    assert asked.code == 3
    assert "policy." in asked.err
    assert again.code == 5


def opa_listens(topology: Topology) -> bool:
    """Whether OPA answers at all."""
    try:
        return opa(topology, "GET", "/health").status_code == 200
    except requests.ConnectionError:
        return False


def test_a_new_policy_takes_effect_without_a_restart(topology: Topology) -> None:
    """A new signed bundle is loaded by OPA, and the gates follow when they are told; until then they decide nothing."""
    before = revision_at_opa(topology)
    freezes = topology.site / "policy" / "freezes" / "data.json"
    freezes.write_bytes(freezes.read_bytes() + b"\n")  # the same data, another revision
    topology.write_bundle()
    until(lambda: revision_at_opa(topology) != before)
    between = topology.healthy("lockgate")
    for gate in ("lockgate", "lockgate-2"):
        topology.signal(gate, signal.SIGHUP)
    for gate in ("lockgate", "lockgate-2"):
        topology.wait_for(gate)

    assert not between


def test_the_database_takes_tls_alone(topology: Topology) -> None:
    """The right password without TLS is not let in; nor is the administrator over the network."""
    url = topology.database_url("service")
    administrator = (topology.site / "secrets" / "database_admin_password").read_text()
    bare = url.replace("sslmode=verify-full", "sslmode=disable")
    as_admin = url.replace("lockgate_service", "postgres").replace(url.split(":")[2].split("@")[0], administrator)
    with psycopg.connect(url) as connection:
        tls = connection.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()

    assert tls == (True, "TLSv1.3")
    for refused in (bare, as_admin):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(refused)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM audit_entry", "UPDATE audit_entry SET body = body", "DROP TABLE token"]
)
def test_the_service_cannot_unwrite(topology: Topology, statement: str) -> None:
    """The role that serves can neither change nor delete an audit record, nor the tables."""
    with (
        psycopg.connect(topology.database_url("service")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_no_log_holds_a_secret(topology: Topology, walk: Walk) -> None:
    """What the services wrote names no password and no token; and OPA names nobody."""
    walk.ask("lockgate", RITA, *CHECK)
    secrets = [path.read_text() for path in (topology.site / "secrets").iterdir() if "password" in path.name]
    secrets += [token(topology), *walk.tokens.values()]
    said = {name: topology.said(name) for name in ("database", "opa", "lockgate", "lockgate-2", "tend", "deliver")}

    assert [name for name, text in said.items() if any(secret in text for secret in secrets)] == []
    assert "rita" not in said["opa"]
