"""Clients that drip, stop, flood or never read: they cost a socket each, and nobody else waits for them."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from lockgate.schemas import check_schema
from lockgate.serving import THREADS
from lockgate.serving.connections import SILENCE_S_MAX
from lockgate.serving.framing import HEAD_BYTES_MAX
from lockgate.serving.worker import CONNECTIONS_MAX, HEALTH_QUEUE_MAX, HELD_BYTES_MAX, QUEUE_MAX
from support.small_server import BODY_BYTES_MAX, SmallServer, Wire, small_server

DRIPPING = 200
HEAD = b"POST /length HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """A server with the real limits."""
    with small_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """A server whose deadlines are a second."""
    with small_server(tmp_path_factory.mktemp("hurried"), hurried=True) as running:
        yield running


def latencies_ms(server: SmallServer, count: int) -> list[float]:
    """Ask one after the other, each on a connection of its own, and return how long each took, the quickest first."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        assert server.get("/hello").status == 200
        taken.append((time.perf_counter() - begin) * 1000)
        time.sleep(0.01)
    return sorted(taken)


@pytest.mark.parametrize(
    "begun", [b"GET /hello HTTP/1.1\r\nX-Drip: ", HEAD + b"Content-Length: 9999\r\n\r\n"], ids=["head", "body"]
)
def test_a_good_client_does_not_notice_two_hundred_that_drip(server: SmallServer, begun: bytes) -> None:
    """Twenty-five times as many as there are threads send a byte now and then; one more client is served as before."""
    alone = statistics.median(latencies_ms(server, 30))
    dripping = [server.connect() for _ in range(DRIPPING)]
    done = threading.Event()

    def drip() -> None:
        data = begun
        while not done.is_set():
            for connection in dripping:
                connection.send(data)
            data = b"a"
            done.wait(0.5)

    thread = threading.Thread(target=drip)
    thread.start()
    time.sleep(0.2)
    beside = latencies_ms(server, 60)
    done.set()
    thread.join()
    for connection in dripping:
        connection.socket.close()

    assert statistics.median(beside) < max(10 * alone, 50)
    assert beside[-1] < 2000


def test_half_sent_requests_hold_no_thread(server: SmallServer) -> None:
    """Connections that stop in the middle of a request and stay open hold up nobody, not even for a moment."""
    for data in (b"G", b"GET / HTTP/1.1\r\n", HEAD + b"Content-Length: 10\r\n\r\nabc"):
        for _ in range(3 * THREADS):
            server.connect().send(data)
    begin = time.perf_counter()
    waited = float(server.get("/waited").body)

    assert time.perf_counter() - begin < SILENCE_S_MAX / 5
    assert waited < 1


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: x\r\n", HEAD + b"Content-Length: 999\r\n\r\nabc", b"GET /\r\n"],
    ids=["head", "body", "HTTP/0.9"],
)
def test_who_is_too_slow_is_told_so(hurried: SmallServer, data: bytes) -> None:
    """A request that began and did not end by its deadline is 408, however often a byte comes."""
    connection = hurried.connect()
    connection.send(data)
    begin = time.monotonic()
    dripping = threading.Thread(target=drip_until_closed, args=(connection,))
    dripping.start()
    answer = connection.answer()
    taken_s = time.monotonic() - begin
    dripping.join()

    assert (answer.status, orjson.loads(answer.body)["code"]) == (408, "http.too_slow")
    check_schema("v1/api/problem", orjson.loads(answer.body))
    assert taken_s < 5


def drip_until_closed(connection: Wire) -> None:
    """Send a byte now and then."""
    try:
        for _ in range(100):
            connection.send(b"a")
            time.sleep(0.1)
    except OSError:
        pass


def test_a_silent_connection_is_closed_without_a_word(hurried: SmallServer) -> None:
    """A browser opens connections ahead and may not use them: no answer that it would take for one of another."""
    unused, used = hurried.connect(), hurried.connect()
    used.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
    first = used.answer()

    assert unused.rest() == b""
    assert first.headers["connection"] == "keep-alive"
    assert used.rest() == b""


def test_who_does_not_read_gives_the_thread_back(hurried: SmallServer) -> None:
    """More clients than threads ask for more than any buffer holds and read nothing; others are served soon after."""
    for _ in range(2 * THREADS):
        connection = hurried.connect()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(b"GET /big?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    begin = time.monotonic()

    assert hurried.get("/hello").status == 200
    assert time.monotonic() - begin < 15


def test_who_never_closes_holds_up_nobody(server: SmallServer) -> None:
    """Clients that ask for the connection's end, and then keep it open, are not waited for by the loop."""
    for _ in range(20):
        connection = server.connect()
        connection.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.answer().status == 200

    assert latencies_ms(server, 10)[-1] < 1000


def test_requests_behind_one_another_are_answered_in_order(server: SmallServer) -> None:
    """One connection carries several requests, also sent at once, also cut anywhere."""
    connection = server.connect()
    for piece in (
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /length HTTP/1.1\r\nHost: x\r\nContent-Le",
        b"ngth: 3\r\n\r\nab",
    ):
        connection.send(piece)
    first = connection.answer()
    connection.send(b"cGET /b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert [first.body, connection.answer().body, connection.answer().body] == [b"/a", b"3", b"/b"]


def test_a_client_that_waits_for_a_word_gets_it(server: SmallServer) -> None:
    """`Expect: 100-continue` is answered as soon as the headers are there."""
    connection = server.connect()
    connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    word = connection.answer()
    connection.send(b"hello")
    answers = [connection.answer() for _ in range(2)]  # gunicorn says it once more, which every client must bear

    assert [word.status, *(answer.status for answer in answers)] == [100, 100, 200]
    assert answers[1].body == b"5"


def test_probes_are_answered_while_every_thread_waits(server: SmallServer) -> None:
    """Liveness and readiness have threads of their own, and neither takes the other's."""
    slow = [server.connect() for _ in range(2 * THREADS)]
    for connection in slow:
        connection.send(b"GET /slow?s=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)
    begin = time.perf_counter()
    answers = [server.get(path).status for path in ("/livez", "/readyz", "/livez")]
    taken_s = time.perf_counter() - begin
    others = [connection.answer().status for connection in slow]

    assert answers == [200, 200, 200]
    assert taken_s < 0.7
    assert others == [200] * len(slow)


@pytest.mark.parametrize(
    ("line", "probe"),
    [
        (b"GET /readyz HTTP/1.1", b"True"),
        (b"GET /livez HTTP/1.1", b"True"),
        (b"GET /readyz?x HTTP/1.1", b"False"),
        (b"GET /%72eadyz HTTP/1.1", b"False"),
        (b"GET http://x/readyz HTTP/1.1", b"False"),
        (b"POST /readyz HTTP/1.1", b"False"),
    ],
)
def test_the_application_is_told_who_takes_a_thread_of_healths_own(
    server: SmallServer, line: bytes, probe: bytes
) -> None:
    """Whatever else ends at the same view takes a thread of everybody's."""
    assert server.send(line + b"\r\nHost: x\r\n\r\n").body == probe


def test_a_full_queue_refuses_at_once_and_loses_nothing_that_it_took(server: SmallServer) -> None:
    """What is beyond the threads and the queue is 503 with Retry-After; the rest is answered."""
    many = [server.connect() for _ in range(THREADS + QUEUE_MAX + 30)]
    for connection in many:
        connection.send(b"GET /slow?s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
    answers = [connection.answer() for connection in many]
    refused = [answer for answer in answers if answer.status != 200]

    assert len(answers) - len(refused) >= THREADS + QUEUE_MAX
    assert {(answer.status, orjson.loads(answer.body)["code"]) for answer in refused} <= {(503, "http.busy")}
    assert {answer.headers["retry-after"] for answer in refused} <= {"2"}
    assert refused
    assert HEALTH_QUEUE_MAX < QUEUE_MAX


def test_the_connection_that_waits_longest_gives_way(tmp_path: Path) -> None:
    """At the limit of connections a new one is served, and the oldest that never sent a whole request is told 503."""
    with small_server(tmp_path) as server:
        oldest = server.connect()
        oldest.send(b"GET")
        time.sleep(0.1)
        for _ in range(CONNECTIONS_MAX):
            server.connect().send(b"GET")
        served = server.get("/hello").status

        assert (served, oldest.answer().status) == (200, 503)


def test_memory_for_half_sent_bodies_is_bounded(tmp_path: Path) -> None:
    """More half-sent bodies than may be held: the oldest give way, and a good upload goes through."""
    with small_server(tmp_path) as server:
        half = HEAD + b"Content-Length: %d\r\n\r\n" % BODY_BYTES_MAX + b"x" * (BODY_BYTES_MAX - 1)
        hoarding = [server.connect() for _ in range(2 * HELD_BYTES_MAX // BODY_BYTES_MAX)]
        for connection in hoarding:
            connection.send(half)
        good = server.send(HEAD + b"Content-Length: %d\r\n\r\n" % BODY_BYTES_MAX + b"x" * BODY_BYTES_MAX)
        resident = Path(f"/proc/{server.workers()[0]}/statm").read_text().split()[1]

        assert (good.status, good.body) == (200, str(BODY_BYTES_MAX).encode())
        assert int(resident) * 4096 < 4 * HELD_BYTES_MAX
        assert hoarding[0].answer().status == 503


MALFORMED = {
    "both lengths": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a coding behind chunked": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /length HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no request": b"\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "a NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rSet-Cookie: c\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a lower-case method": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 9000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 60 + b"\r\n",
    "headers without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEAD_BYTES_MAX // 6 + 1),
    "a long line": b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line without end": b"G" * (HEAD_BYTES_MAX + 1),
    "another expectation": b"GET / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_one_clear_request_is_a_problem_and_ends_the_connection(server: SmallServer, name: str) -> None:
    """Two readers could understand it differently: 4xx, never 5xx, and nothing that follows is read."""
    connection = server.connect()
    connection.send(MALFORMED[name] + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = connection.answer()

    assert answer.status in {400, 414, 417, 431}
    check_schema("v1/api/problem", orjson.loads(answer.body))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert b"smuggled" not in connection.rest()


def test_a_body_that_nobody_reads_is_not_taken_for_a_request(server: SmallServer) -> None:
    """Behind a body of unknown or refused length the connection ends, whatever the body looks like."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    for headers in (b"Transfer-Encoding: chunked", b"Content-Length: %d" % (BODY_BYTES_MAX + 1)):
        connection = server.connect()
        connection.send(b"POST /unread HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n" + smuggled)
        answer = connection.answer()

        assert (answer.status, answer.body) == (200, b"unread")
        assert connection.rest() == b""


def test_a_chunked_body_is_never_read_past_its_end(server: SmallServer) -> None:
    """A whole chunked body, and a request behind it, are two requests."""
    connection = server.connect()
    connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert connection.answer().body == b"3"
    assert connection.answer().body == b"/b"


def test_headers_of_a_proxy_do_not_move_the_path(server: SmallServer) -> None:
    """Also from loopback, where a proxy may sit that hands on whatever strangers write."""
    answer = server.send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /b\r\nPATH_INFO: /c\r\nX-Forwarded-Proto: https\r\n\r\n"
    )

    assert (answer.status, answer.body) == (200, b"/a")


def test_an_application_that_fails_says_so_in_our_words(server: SmallServer) -> None:
    """The answer is a problem without a word of the error; the next request is served."""
    answer = server.get("/fails")

    assert (answer.status, orjson.loads(answer.body)["code"]) == (500, "internal.unforeseen")
    assert b"RuntimeError" not in answer.body
    assert server.get("/hello").status == 200
