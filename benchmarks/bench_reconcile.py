"""One look at a registry of ten thousand models, beside reading the same pages and doing nothing with them.

    python benchmarks/bench_reconcile.py [--quick]

Every model is registered and live in production, and its alias stands where it should: the usual look. The pages come
from a server on loopback that has them ready, in MLflow's form. The floor is the same pages, over the same client,
parsed as JSON.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from lockgate.audit import AuditLog, KindCatalogue, create_key_file
from lockgate.background.reconciling import reconciling_jobs
from lockgate.canonical_json import parse_json
from lockgate.gate_logs import Logs
from lockgate.outbound import OutboundRequest, exchange
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.reconciler import PAGE_MODELS, ReconcileJob
from lockgate.reconciling.types import FINDING_KINDS
from lockgate.registry import parse_registries
from lockgate.registry.mlflow import MLflowRegistry
from lockgate.storage import open_engine, upgrade_schema, write_transaction
from lockgate.storage.tables import live_interval, model
from lockgate.system_clock import SystemClock

ROUNDS = 5
ANSWER_BYTES_MAX = 8 * 1024 * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the models")
    models = 1_000 if parser.parse_args().quick else 10_000
    pages = [page(first, models) for first in range(0, models, PAGE_MODELS)]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(pages))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory(dir=".") as name:
        job = make_job(Path(name).absolute(), url, models)
        floor = measure(lambda: read_raw(url, len(pages)))
        look = measure(lambda: job.look("mlflow"))
    print(f"{models} models in {len(pages)} pages, medians of {ROUNDS}")
    print(f"pages read and parsed  {floor * 1000:8.1f} ms")
    print(f"look                   {look * 1000:8.1f} ms  {look / floor:.1f} times that")
    server.shutdown()


def page(first: int, models: int) -> bytes:
    """Write a page as MLflow does."""
    last = min(first + PAGE_MODELS, models)
    items = [
        {
            "name": f"model-{number:05}",
            "creation_timestamp": 1_700_000_000_000,
            "latest_versions": [{"name": f"model-{number:05}", "version": "7", "current_stage": "None"}],
            "aliases": [{"alias": "champion", "version": "7"}, {"alias": "champion-previous", "version": "6"}],
        }
        for number in range(first, last)
    ]
    following = {"next_page_token": str(last)} if last < models else {}
    return json.dumps({"registered_models": items, **following}).encode()


def handler(pages: list[bytes]) -> type[BaseHTTPRequestHandler]:
    """Make what answers with the pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = parse_qs(urlsplit(self.path).query).get("page_token", ["0"])[0]
            body = pages[int(token) // PAGE_MODELS]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    return Handler


def make_job(folder: Path, url: str, models: int) -> ReconcileJob:
    """Make a database in which every model is registered and live, and the job over it."""
    engine, clock = open_engine(f"sqlite:///{folder / 'reconcile.db'}"), SystemClock()
    upgrade_schema(engine)
    log = AuditLog(
        engine=engine,
        signer=create_key_file(folder / "log.key", "bench.example/audit"),
        clock=clock,
        catalogue=KindCatalogue(FINDING_KINDS),
        instance="bench",
    )
    log.create()
    names = [f"model-{number:05}" for number in range(models)]
    with write_transaction(engine) as connection:
        of_model = {"registry": "mlflow", "owner": "bench", "tier": "high", "document": b"{}", "row_version": 1}
        times = {"created_ns": 1, "changed_ns": 1}
        connection.execute(
            model.insert(), [{"name": name, "registry_model": name, **of_model, **times} for name in names]
        )
        live = {"environment": "production", "version": "7", "digest": "sha256:" + "a" * 64, "from_ns": 1, "is_live": 1}
        brought = {"promotion_id": "0" * 36, "log": "", "record_id": "0" * 36}
        connection.execute(live_interval.insert(), [{"model": name, **live, **brought} for name in names])
    aliases = [{"environment": "production", "alias": "champion"}]
    settings = parse_registries([{"name": "mlflow", "type": "mlflow", "url": url, "aliases": aliases}])
    logs = Logs(main=log)
    looking, _ = reconciling_jobs(
        registries={"mlflow": MLflowRegistry(settings[0])},
        registry_settings=settings,
        findings=Findings(database=engine, logs=logs, clock=clock),
        database=engine,
        logs=logs,
        key=None,
        clock=clock,
    )
    return looking


def read_raw(url: str, pages: int) -> None:
    """Read every page and parse it."""
    for number in range(pages):
        route = f"{url}/api/2.0/mlflow/registered-models/search?page_token={number * PAGE_MODELS}"
        answer = exchange(OutboundRequest(url=route, timeout_s=10, answer_bytes_max=ANSWER_BYTES_MAX))
        parse_json(answer.body, bytes_max=ANSWER_BYTES_MAX, nodes_max=400_000)


def measure(work: Callable[[], object]) -> float:
    """Return the median of some rounds, in seconds."""
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        if work() is False:
            raise SystemExit("the look was not whole")
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    main()
