"""Decisions and appends a second with one log, and with logs of environments: what the logs' locks cost.

    python benchmarks/bench_logs.py --postgresql URL [--quick]       without a URL it says so and measures nothing

Three processes of eight clients decide (or append) at the same time, each for an environment of its own; with one log
all of them wait for its head row. URL names a database without tables, on PostgreSQL: SQLite has one lock for all.
"""

import argparse
import base64
import itertools
import multiprocessing
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import orjson
from sqlalchemy import create_engine, text

from lockgate.audit import APP_EVENT, Actor, Event
from lockgate.bootstrap import build_services, check_settings, open_logs
from lockgate.config import Settings, load_settings
from lockgate.demo.material import MODEL, Material, make_material
from lockgate.demo.stage import Stage
from lockgate.evidence.model_folder import hash_model
from lockgate.identity import parse_principal
from lockgate.identity.store import write_principal
from lockgate.instance import Instance
from lockgate.storage import open_engine, write_transaction
from lockgate.system_clock import SystemClock

ENVIRONMENTS = ("production", "staging", "dev")
CLIENTS_PER_PROCESS = 8
ROUNDS = 3
FACTS = [{"name": f"fact_{number}", "value": "x" * 80} for number in range(8)]  # a record of about 1.4 KB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", metavar="URL", help="a database without tables; all in it goes")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    arguments = parser.parse_args()
    if arguments.postgresql is None:
        print("!!! bench_logs.py: nothing measured: want --postgresql URL, of a database without tables !!!")
        return
    seconds = 1.0 if arguments.quick else 5.0
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        material = make_material(folder, SystemClock())
        for what in ("append", "decide"):
            rates: dict[int, list[float]] = {count: [] for count in (1, 2, 3)}
            # Turn by turn: a shared machine is twice as fast in one minute as in the next.
            for _, count in itertools.product(range(ROUNDS), rates):
                rates[count].append(_rate(what, material, arguments.postgresql, count, seconds))
            for count, found in rates.items():
                ratio = sorted(found)[ROUNDS // 2] / sorted(rates[1])[ROUNDS // 2]
                shown = ", ".join(f"{rate:.0f}" for rate in found)
                print(f"{what:7} {count} log{'s' * (count > 1):1}  {shown}/s  {ratio:.2f} of one log's", flush=True)


def _environ(material: Material, url: str, logs: int) -> dict[str, str]:
    return {
        "LOCKGATE_DATA_DIR": tempfile.mkdtemp(dir=material.trust_dir.parent),
        "LOCKGATE_DATABASE_URL": url,
        "LOCKGATE_TRUST_DIR": str(material.trust_dir),
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
        "LOCKGATE_POLICY_CONFIG_DIR": str(material.policy_config_dir),
        "LOCKGATE_ENVIRONMENT_LOGS": " ".join(ENVIRONMENTS[: logs - 1]),  # the rest goes to the main log
    }


def _rate(what: str, material: Material, url: str, logs: int, seconds: float) -> float:
    with create_engine(url.replace("postgresql://", "postgresql+psycopg://")).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    environ = _environ(material, url, logs)
    Stage(folder=material.trust_dir.parent, environment=environ).run_or_stop(
        ["init", "--origin", "bench.example/audit"]
    )
    rita = parse_principal(subject="rita", type="user", roles=["requester"], identities=[])
    with write_transaction(open_engine(url)) as connection:
        write_principal(connection, rita, SystemClock().now_ns())
    with multiprocessing.get_context("spawn").Manager() as manager:
        ready = manager.Barrier(len(ENVIRONMENTS))
        work = [(what, environ, environment, seconds, ready, material) for environment in ENVIRONMENTS]
        with multiprocessing.get_context("spawn").Pool(len(ENVIRONMENTS)) as pool:
            return sum(pool.starmap(_process, work))


def _process(  # noqa: PLR0913, PLR0917 - what a process of its own must be told
    what: str, environ: dict[str, str], environment: str, seconds: float, ready: threading.Barrier, material: Material
) -> float:
    settings = load_settings(environ)
    act = _appending(settings, environment) if what == "append" else _deciding(settings, environment, material)
    act()
    done = [0] * CLIENTS_PER_PROCESS
    ready.wait()
    start = time.perf_counter()

    def client(number: int) -> None:
        while time.perf_counter() < start + seconds:
            act()
            done[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS_PER_PROCESS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def _appending(settings: Settings, environment: str) -> Callable[[], object]:
    logs = open_logs(settings, SystemClock(), open_engine(settings.database_url))
    log = logs.named(logs.name_for(environment))
    actor = Actor(type="machine", id="bench")
    body = {"event": "benchmarked", "level": "info", "facts": FACTS}
    return lambda: log.append(Event(id=str(uuid.uuid4()), kind=APP_EVENT, actor=actor, body=body))


def _deciding(settings: Settings, environment: str, material: Material) -> Callable[[], object]:
    services = build_services(
        settings, Instance(Path(tempfile.mkdtemp(dir=settings.data_dir)), check_settings(settings))
    )
    principal = parse_principal(subject="rita", type="user", roles=["requester"], identities=[])
    body = orjson.dumps(
        {
            "schema_version": 1,
            "kind": "promote",
            "from": "staging",
            "to": environment,
            "model": MODEL,
            "version": "1.4.0",
            "digest": str(hash_model(material.model).digest),
            "contributors": [],
            "evidence": [{"bundle": base64.b64encode(material.trusted_bundle.read_bytes()).decode()}],
        }
    )
    return lambda: services.gate.request(principal, body, idempotency_key=None, trace=str(uuid.uuid4()))


if __name__ == "__main__":
    main()
