"""One decision over HTTP, beside the parts that it cannot do without, measured in the same run.

    python benchmarks/bench_decision.py [--quick]

Floors: bare Flask (the same gunicorn, a view that answers a fixed JSON), the evidence verified and taken from the
verdict cache, the compiled policy evaluated, one record appended with its receipt, one raw fdatasync. The last line is
the decision as a ratio to the sum of the floors it contains.
"""

import argparse
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import requests

from lockgate.audit import Actor, AuditLog, Event, KindCatalogue, create_key_file
from lockgate.demo.material import MODEL, RITA, make_material
from lockgate.demo.stage import Stage, free_port
from lockgate.evidence import EvidenceVerifier, VerifiedSignature, load_trust_domains
from lockgate.evidence.model_folder import hash_model
from lockgate.ids import new_id
from lockgate.policy.compiled import load_policy
from lockgate.policy.probes import fitting_inputs
from lockgate.policy.wasm import WasmEngine
from lockgate.shipped import shipped_folder
from lockgate.storage import open_engine, upgrade_schema
from lockgate.system_clock import SystemClock

BARE_FLASK = """
from flask import Flask, request
app = Flask("bare")
@app.post("/")
def answer():
    request.get_data()
    return {"verdict": "pending"}
"""


def milliseconds(call: Callable[[], object], rounds: int) -> list[float]:
    """Time a call, after three that are not counted."""
    for _ in range(3):
        call()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def bare_flask(folder: Path, body: bytes, rounds: int) -> list[float]:
    """Time the same request to a view that does nothing."""
    (folder / "bare.py").write_text(BARE_FLASK)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "8", "-b", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [*command, "--log-level", "error", "--no-control-socket", "bare:app"], cwd=folder, stderr=subprocess.DEVNULL
    ) as process:
        session = local_session()
        url = f"http://127.0.0.1:{port}/"
        while True:
            try:
                session.post(url, data=body, timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        try:
            return milliseconds(lambda: session.post(url, data=body, timeout=5), rounds)
        finally:
            process.terminate()


def local_session() -> requests.Session:
    """Make a session that asks no proxy."""
    session = requests.Session()
    session.trust_env = False
    return session


def appended(folder: Path, rounds: int) -> list[float]:
    """Time an append with its receipt."""
    clock = SystemClock()
    engine = open_engine(f"sqlite:///{folder / 'append.db'}")
    upgrade_schema(engine)
    signer = create_key_file(folder / "append.key", "bench.example/audit")
    log = AuditLog(engine=engine, signer=signer, clock=clock, catalogue=KindCatalogue({}), instance="bench")
    log.create()
    actor = Actor(type="system", id="bench")
    body = {"event": "benchmarked", "level": "info", "facts": [{"name": "fact", "value": "x" * 700}]}

    def append() -> None:
        log.append(Event(id=new_id(clock.now_ns()), kind="app.event", actor=actor, body=body))

    return milliseconds(append, rounds)


def synced(folder: Path, rounds: int) -> list[float]:
    """Time one overwrite of 4 KiB with fdatasync."""
    descriptor = os.open(folder / "raw", os.O_RDWR | os.O_CREAT)
    block = b"x" * 4096

    def write() -> None:
        os.pwrite(descriptor, block, 0)
        os.fdatasync(descriptor)

    try:
        return milliseconds(write, rounds)
    finally:
        os.close(descriptor)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    rounds = 20 if parser.parse_args().quick else 200
    clock = SystemClock()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        (folder / "gate").mkdir()
        material = make_material(folder / "gate", clock)
        bundle = material.trusted_bundle.read_bytes()
        digest = hash_model(material.model).digest
        verifier = EvidenceVerifier(load_trust_domains(material.trust_dir), clock)
        fresh = milliseconds(
            lambda: EvidenceVerifier(verifier.domains, clock).verify(bundle, digest, "demo"), max(rounds // 4, 10)
        )
        cached = milliseconds(lambda: verifier.verify(bundle, digest, "demo"), rounds)
        assert isinstance(verifier.verify(bundle, digest, "demo"), VerifiedSignature)
        policy = load_policy(shipped_folder("policies"), None, material.policy_config_dir)
        engine = WasmEngine(policy)
        document = next(iter(fitting_inputs(policy.data, policy.catalogue.revision)))
        evaluated = milliseconds(lambda: engine.evaluate(document, timeout_s=5), rounds)
        append, raw = appended(folder, rounds), synced(folder, rounds)

        port = free_port()
        environment = {
            "LOCKGATE_DATA_DIR": str(folder / "gate" / "data"),
            "LOCKGATE_TRUST_DIR": str(material.trust_dir),
            "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
            "LOCKGATE_POLICY_CONFIG_DIR": str(material.policy_config_dir),
            "LOCKGATE_URL": f"http://127.0.0.1:{port}",
        }
        stage = Stage(folder=folder / "gate", environment=environment)
        stage.run_or_stop(["init", "--origin", "bench.example/audit"])
        token = stage.run_or_stop(
            [
                "token",
                "create",
                "--subject",
                RITA.subject,
                "--type",
                "user",
                "--role",
                "requester",
                "--expires-in",
                "1d",
            ]
        ).strip()
        body = orjson.dumps(
            {
                "schema_version": 1,
                "kind": "promote",
                "from": "staging",
                "to": "production",
                "model": MODEL,
                "version": "1.0.0",
                "digest": str(digest),
                "contributors": [{"subject": "tess", "role": "trainer"}],
                "evidence": [{"bundle": base64.b64encode(bundle).decode()}],
            }
        )
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with stage.serving(port):
            session = local_session()

            def decide(path: str, status: int) -> Callable[[], None]:
                def call() -> None:
                    url = f"http://127.0.0.1:{port}{path}"
                    assert session.post(url, data=body, headers=headers, timeout=10).status_code == status

                return call

            forecast = milliseconds(decide("/v1/decisions:dry-run", 200), rounds)
            decided = milliseconds(decide("/v1/promotions", 202), rounds)
        bare = bare_flask(folder, body, rounds)

    print(f"{'':44}{'min ms':>9}{'p50 ms':>9}{'p95 ms':>9}")
    rows = {
        "bare Flask under the same gunicorn": bare,
        "evidence, verified afresh": fresh,
        "evidence, from the verdict cache": cached,
        "policy, compiled, evaluated": evaluated,
        "record appended with receipt (SQLite, FULL)": append,
        "raw fdatasync of 4 KiB": raw,
        "forecast over HTTP (nothing recorded)": forecast,
        "DECISION over HTTP, recorded, with receipt": decided,
    }
    for title, taken in rows.items():
        quantiles = statistics.quantiles(taken, n=20)
        print(f"{title:44}{min(taken):9.2f}{statistics.median(taken):9.2f}{quantiles[18]:9.2f}")
    floor = sum(statistics.median(part) for part in (bare, cached, evaluated, append))
    print(f"\ndecision / (bare Flask + evidence + policy + append), p50: {statistics.median(decided) / floor:.2f}")


if __name__ == "__main__":
    main()
