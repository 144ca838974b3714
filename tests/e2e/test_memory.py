"""Memory stays flat, whatever is asked; and many clients at once are served or told to come back, never failed.

`LOCKGATE_TEST_REQUESTS=100000` asks so often, and prints what the worker's memory was on the way.
"""

import os
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import requests

from support.served_gates import ServedGate, make_served_gate

REQUESTS: Final = int(os.environ.get("LOCKGATE_TEST_REQUESTS", "3000"))  # noqa: TID251 - of a test run, not a setting
CLIENTS: Final = 6
GROWTH_BYTES_MAX: Final = 16 * 1024 * 1024  # after the warm-up; caches that fill up once take less
# One leaked record, header or label of each request would be more than this.
GROWTH_BYTES_PER_REQUEST_MAX: Final = 400
SERIES_GROWTH_MAX: Final = 200  # of a few thousand; an unbounded label would make one of each request
MANY_CLIENTS: Final = 64


def resident_bytes(gate_pid: int) -> int:
    """Return how much memory the one worker has."""
    (worker,) = Path(f"/proc/{gate_pid}/task/{gate_pid}/children").read_text().split()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * 4096


def kinds_of_request(gate: ServedGate) -> list[Callable[[requests.Session, int], requests.Response]]:
    """Return what is asked in turn: all that a gate does, and all that it refuses."""
    rita, aude = gate.headers("rita"), gate.headers("aude")
    good = gate.request_document("1.0.0")

    def post(session: requests.Session, path: str, document: Any, **headers: str) -> requests.Response:
        return session.post(gate.url + path, json=document, headers={**rita, **headers}, timeout=60)

    def get(session: requests.Session, path: str, headers: dict[str, str]) -> requests.Response:
        return session.get(gate.url + path, headers=headers, timeout=60)

    def stranger() -> dict[str, str]:
        return {"Authorization": f"Bearer lgt_{secrets.token_urlsafe(32)}"}

    return [
        lambda session, n: post(session, "/v1/promotions", {**good, "version": str(n)}, **{"Idempotency-Key": str(n)}),
        lambda session, n: post(session, "/v1/decisions:dry-run", {**good, "model": f"model-{n}"}),
        lambda session, _: get(session, "/v1/promotions?limit=20", rita),
        lambda session, n: get(session, f"/v1/audit/records/{n % 20}", aude),
        lambda session, n: post(session, "/v1/promotions", {**good, f"field_{n}": n}),
        lambda session, _: get(session, "/v1/promotions", stranger()),
        lambda session, n: get(session, f"/{uuid.uuid4()}/{n}", rita),
        lambda session, n: get(session, f"/v1/promotions/{uuid.UUID(int=n)}", rita),
        lambda session, n: session.request(f"METHOD{n}", gate.url + "/v1/policy", headers=rita, timeout=60),
        lambda session, _: get(session, "/readyz", {"X-Request-Id": str(uuid.uuid4())}),
        lambda session, n: get(session, f"/v1/promotions?model=m{n}&wrong={n}", rita),
        lambda session, n: post(session, f"/v1/promotions/{uuid.UUID(int=n)}/withdraw", {"schema_version": 1}),
    ]


def ask(gate: ServedGate, first: int, count: int) -> Counter[int]:
    """Ask so many times, from several clients at once; return the statuses."""
    kinds = kinds_of_request(gate)
    numbers = iter(range(first, first + count))
    lock = threading.Lock()
    statuses: Counter[int] = Counter()

    def run() -> None:
        session = requests.Session()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            status = kinds[number % len(kinds)](session, number).status_code
            with lock:
                statuses[status] += 1

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def series(gate: ServedGate) -> int:
    """Return how many series are counted."""
    answer = requests.get(f"{gate.url}/metrics", headers=gate.headers("aude"), timeout=60)
    assert answer.status_code == 200
    return sum(not line.startswith("#") for line in answer.text.splitlines())


@pytest.mark.timeout(7200 if REQUESTS > 3000 else 300)
def test_memory_is_flat(tmp_path: Path) -> None:
    """After a warm-up of a third, memory and the number of series hardly grow, however much is asked."""
    gate = make_served_gate(tmp_path)
    with gate.serving() as pid:
        begun = time.monotonic()
        warm = REQUESTS // 3
        statuses = ask(gate, 0, warm)
        before, series_before = resident_bytes(pid), series(gate)
        marks = [(warm, before)]
        for part in range(4):
            at = warm + (REQUESTS - warm) * part // 4
            to = warm + (REQUESTS - warm) * (part + 1) // 4
            statuses += ask(gate, at, to - at)
            marks.append((to, resident_bytes(pid)))
        after, series_after = resident_bytes(pid), series(gate)
    print({count: f"{resident / 1e6:.1f} MB" for count, resident in marks}, statuses, time.monotonic() - begun)  # noqa: T201 - the figures of a long run

    assert statuses.total() == REQUESTS
    assert set(statuses) <= {200, 202, 400, 401, 404, 405, 422, 429}
    assert min(statuses[status] for status in (200, 202, 401, 404, 405, 422)) > REQUESTS // 20
    assert after - before < max(GROWTH_BYTES_MAX, GROWTH_BYTES_PER_REQUEST_MAX * (REQUESTS - warm))
    assert series_after - series_before < SERIES_GROWTH_MAX


def test_many_clients_on_one_worker_are_served_or_told_to_come_back(tmp_path: Path) -> None:
    """Eight times as many as threads: decisions, 429 or 503 with Retry-After, never a 500, and nobody hangs."""
    gate = make_served_gate(tmp_path, LOCKGATE_REQUESTS_AT_ONCE="4")
    outcomes: Counter[tuple[int, str]] = Counter()
    longest_s = 0.0
    lock = threading.Lock()

    def run(number: int) -> None:
        nonlocal longest_s
        session = requests.Session()
        who = ("rita", "aude", "leo", "maya")[number % 4]
        for index in range(8):
            begun = time.monotonic()
            if who == "rita":
                document = gate.request_document(f"{number}.{index}")
                answer = session.post(f"{gate.url}/v1/promotions", json=document, headers=gate.headers(who), timeout=60)
            else:
                answer = session.get(f"{gate.url}/v1/promotions", headers=gate.headers(who), timeout=60)
            code = answer.json().get("code", "")
            with lock:
                longest_s = max(longest_s, time.monotonic() - begun)
                outcomes[(answer.status_code, code)] += 1
            if answer.status_code in {429, 503}:
                assert int(answer.headers["Retry-After"]) >= 1
                time.sleep(0.05)

    with gate.serving() as pid:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(MANY_CLIENTS)]
        before = resident_bytes(pid)
        for thread in threads:
            thread.start()
        probe = requests.get(f"{gate.url}/livez", timeout=30)
        for thread in threads:
            thread.join(timeout=120)
        grown = resident_bytes(pid) - before
        ready = requests.get(f"{gate.url}/readyz", timeout=30)

    assert outcomes.total() == MANY_CLIENTS * 8
    assert set(outcomes) <= {(200, ""), (202, ""), (429, "http.too_many_at_once"), (503, "http.busy")}, outcomes
    assert outcomes[(202, "")] >= 1
    assert probe.status_code == ready.status_code == 200
    assert longest_s < 30
    assert grown < 96 * 1024 * 1024
    assert orjson.loads(gate.verify().stdout)["verdict"] == "valid"
