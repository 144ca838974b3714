"""How a server ends: what was taken in is answered, what comes later is refused, and nothing is lost or done twice."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest
import requests
from sqlalchemy import select

from lockgate.serving import THREADS
from lockgate.storage import open_engine, read_transaction
from lockgate.storage.tables import audit_entry
from support.served_gates import ServedGate, make_served_gate
from support.small_server import SmallServer, Wire, small_server

CLIENTS = 6
SLOW = b"GET /slow?s=1 HTTP/1.1\r\nHost: x\r\n\r\n"


def test_what_was_taken_in_is_answered_and_what_comes_later_refused(tmp_path: Path) -> None:
    """SIGTERM: requests in threads and in the queue are answered, new connections refused; exit code 0."""
    with small_server(tmp_path) as server:
        taken = [server.connect() for _ in range(2 * THREADS)]
        for wire in taken:
            wire.send(SLOW)
        time.sleep(0.3)
        server.process.terminate()
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        answers = [wire.answer() for wire in taken]
        ended = server.process.wait(timeout=8)  # well before the worker would be killed

        assert [answer.status for answer in answers] == [200] * len(taken)
        assert ended == 0


def test_a_request_that_is_on_its_way_is_answered_and_the_connection_ends(tmp_path: Path) -> None:
    """A kept connection whose client sends just then, and one in the middle of a request, are served once more."""
    with small_server(tmp_path) as server:
        kept, halfway, unused = server.connect(), server.connect(), server.connect()
        kept.send(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
        first = kept.answer()
        halfway.send(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        time.sleep(0.2)
        server.process.terminate()
        time.sleep(0.3)
        kept.send(b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        halfway.send(b"llo")
        second, whole = kept.answer(), halfway.answer()

        assert (first.headers["connection"], second.headers["connection"]) == ("keep-alive", "close")
        assert (second.body, whole.body) == (b"/second", b"5")
        assert unused.rest() == b""
        assert server.process.wait(timeout=15) == 0


def test_who_connected_just_before_is_served(tmp_path: Path) -> None:
    """Connections that the system took, and the worker has not looked at yet, are answered and not cut."""
    with small_server(tmp_path) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        early = [server.connect() for _ in range(20)]
        for wire in early:
            wire.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        server.process.terminate()
        time.sleep(0.3)
        os.kill(worker, signal.SIGCONT)

        assert [wire.answer().status for wire in early] == [200] * len(early)
        assert server.process.wait(timeout=8) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_ends_it_no_later(tmp_path: Path, second: signal.Signals) -> None:
    """A second SIGTERM changes nothing; SIGINT and SIGQUIT end it without waiting for clients."""
    with small_server(tmp_path) as server:
        waiting = server.connect()
        waiting.send(b"GET /slow?s=4 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        begin = time.monotonic()
        server.process.terminate()
        time.sleep(0.3)
        server.process.send_signal(second)
        ended = server.process.wait(timeout=15)
        taken_s = time.monotonic() - begin

        assert ended == 0
        if second is signal.SIGTERM:
            assert waiting.answer().status == 200
        else:
            assert taken_s < 3.5


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_ends_it(tmp_path: Path, signal_: signal.Signals) -> None:
    """Exit code 0, as for SIGTERM."""
    with small_server(tmp_path) as server:
        server.process.send_signal(signal_)

        assert server.process.wait(timeout=15) == 0


def connected_to_each(server: SmallServer) -> dict[int, Wire]:
    """Return a connection to each worker: which one takes a connection is the system's choice."""
    of_worker: dict[int, Wire] = {}
    for _ in range(1000):
        wire = server.connect()
        wire.send(b"GET /process HTTP/1.1\r\nHost: x\r\n\r\n")
        of_worker.setdefault(int(wire.answer().body), wire)
        if len(of_worker) == len(server.workers()):
            return of_worker
    raise AssertionError("one worker takes every connection")


def test_a_worker_that_dies_takes_only_its_own_requests_along(tmp_path: Path) -> None:
    """SIGKILL of one worker: those of the other are answered, and a new one takes its place."""
    with small_server(tmp_path, workers=2) as server:
        victim, other = server.workers()
        of_worker = connected_to_each(server)
        for wire in of_worker.values():
            wire.send(SLOW)
        time.sleep(0.3)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ConnectionError):
            of_worker[victim].answer()
        answered = of_worker[other].answer()
        deadline = time.monotonic() + 10
        while len(server.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = server.workers()

        assert answered.status == 200
        assert len(workers) == 2
        assert (victim in workers, other in workers) == (False, True)
        assert server.get("/hello").status == 200


class Client(threading.Thread):
    """Asks for one promotion after the other under keys of its own; notes what was acknowledged and what was not."""

    def __init__(self, gate: ServedGate, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, str] = {}  # key -> decision
        self.unanswered: str = ""  # the key of the request that got no answer
        self.refused: Counter[str] = Counter()
        self._gate = gate
        self._number = number

    def run(self) -> None:
        """Ask until nobody listens any more."""
        session = requests.Session()
        for index in range(10_000):
            key = f"{self._number}-{index}"
            try:
                response = ask(session, self._gate, key)
            except requests.ConnectionError as exc:
                self.refused[type(exc.args[0]).__name__] += 1
                self.unanswered = key
                return
            if response.status_code == 202:
                self.acknowledged[key] = response.json()["decision"]["id"]
            else:
                self.refused[f"{response.status_code} {response.json()['code']}"] += 1


def ask(session: requests.Session, gate: ServedGate, key: str) -> requests.Response:
    """Ask for a promotion under a key."""
    headers = {**gate.headers("rita"), "Idempotency-Key": key}
    return session.post(f"{gate.url}/v1/promotions", json=gate.request_document(key), headers=headers, timeout=60)


def recorded_decisions(gate: ServedGate) -> list[str]:
    """Return the ids of all decisions in the log."""
    engine = open_engine(f"sqlite:///{gate.stage.folder / 'data' / 'lockgate.db'}")
    with read_transaction(engine) as connection:
        decisions = select(audit_entry.c.id).where(audit_entry.c.kind == "gate.decision")
        ids = list(connection.scalars(decisions))
    engine.dispose()
    return ids


def test_no_decision_is_lost_or_doubled_when_a_busy_gate_is_stopped(tmp_path: Path) -> None:
    """Under load: each acknowledged decision is recorded once, and asking again under a key gives the same one."""
    gate = make_served_gate(tmp_path)
    clients = [Client(gate, number) for number in range(CLIENTS)]
    with gate.serving(workers=2) as pid:
        for client in clients:
            client.start()
        deadline = time.monotonic() + 60
        while sum(len(client.acknowledged) for client in clients) < 30 and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
        for client in clients:
            client.join(timeout=60)
    first = [client.acknowledged.copy() for client in clients]
    with gate.serving():
        again = {
            key: ask(requests.Session(), gate, key).json()["decision"]["id"]
            for client in clients
            for key in (*list(client.acknowledged)[-2:], client.unanswered)
        }
    acknowledged = {key: decision for each in first for key, decision in each.items()}
    recorded = recorded_decisions(gate)

    assert len(acknowledged) >= 30
    assert [client.refused.total() for client in clients] == [1] * CLIENTS, [client.refused for client in clients]
    assert {key: decision for key, decision in again.items() if key in acknowledged}.items() <= acknowledged.items()
    assert set(acknowledged.values()) | set(again.values()) == set(recorded)
    assert len(recorded) == len(set(recorded)) == len({*acknowledged, *again})
    assert orjson.loads(gate.verify().stdout)["verdict"] == "valid"
