"""Where a request ends: found at the same byte however it is cut, and never another than gunicorn's parser finds."""

from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import NoMoreData, ParseException
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.serving.framing import HEAD_BYTES_MAX, Frame

BODY_BYTES_MAX = 1000
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def framed(data: bytes) -> Frame:
    """Feed all at once."""
    frame = Frame(body_bytes_max=BODY_BYTES_MAX)
    frame.feed(data)
    return frame


def post(body: bytes, *headers: bytes) -> bytes:
    """Write a request with a body."""
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: x", *headers, b"", b"")) + body


@pytest.mark.parametrize(
    ("data", "body_bytes"),
    [
        (GET, 0),
        (b"\r\n" + GET, 0),
        (post(b"hello", b"Content-Length: 5"), 5),
        (post(b"hello", b"CONTENT-LENGTH:5"), 5),
        (post(b"hello", b"X: Content-Length: 9", b"content-length: \t5 \t"), 5),
        (post(b"", b"Content-Length: 0"), 0),
    ],
)
def test_a_whole_request_is_whole_at_its_last_byte(data: bytes, body_bytes: int) -> None:
    """One byte less is not whole, one byte more changes nothing."""
    assert not framed(data[:-1]).whole
    assert (framed(data).whole, framed(data).body_bytes) == (True, body_bytes)
    assert framed(data + b"G").take() == data + b"G"


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked",),
        (b"transfer-encoding : chunked",),
        (b"Content-Length: -5",),
        (b"Content-Length: +5",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5,5",),
        (b"Content-Length: 1_0",),
        (b"Content-Length: \xb2",),
        (b"Content-Length:",),
        (b"Content-Length: 9999999999999999999999",),
        (b"Content-Length: 1001",),
    ],
)
def test_no_client_is_waited_for_whose_body_is_refused_anyway(headers: tuple[bytes, ...]) -> None:
    """Odd, doubled, missing and too large lengths are whole at the end of the head, and left to the parser."""
    frame = framed(post(b"", *headers))

    assert (frame.whole, frame.body_bytes) == (True, 0)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: x\n\n", b"\n", b"GET / HTTP/1.1\r\nHost: x\n"])
def test_a_bare_line_feed_is_left_to_the_parser_at_once(data: bytes) -> None:
    """Such a head never ends as RFC 9112 has it: nobody waits for its deadline."""
    assert framed(data).whole


@pytest.mark.parametrize("piece", [b"a", b"a" * 1000, b"a: b\r\n"])
def test_a_head_without_end_is_too_large_at_the_limit(piece: bytes) -> None:
    """Whatever it is made of, and not before the limit."""
    frame = Frame(body_bytes_max=BODY_BYTES_MAX)
    while len(frame) + len(piece) <= HEAD_BYTES_MAX:
        frame.feed(piece)
    before = frame.too_large
    frame.feed(piece)

    assert (before, frame.too_large, frame.whole) == (False, True, False)


@pytest.mark.parametrize(
    ("headers", "expects"),
    [
        ((b"Content-Length: 5", b"Expect: 100-continue"), True),
        ((b"expect:100-CONTINUE", b"Content-Length: 5"), True),
        ((b"Content-Length: 5", b"Expect: 100-continue; x"), False),
        ((b"Content-Length: 1001", b"Expect: 100-continue"), False),
        ((b"Content-Length: 5",), False),
    ],
)
def test_a_client_that_waits_for_a_word_gets_it_if_its_body_is_wanted(
    headers: tuple[bytes, ...],
    expects: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A body that is refused by its length is not asked for."""
    assert framed(post(b"", *headers)).expects_continue is expects


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        (b"GET /livez HTTP/1.1", True),
        (b"GET /livez?x HTTP/1.1", False),
        (b"GET /livezz HTTP/1.1", False),
        (b"POST /livez HTTP/1.1", False),
        (b"GET //livez HTTP/1.1", False),
    ],
)
def test_only_the_plain_path_is_a_probe(line: bytes, asks: bool) -> None:  # noqa: FBT001 - a column of the table
    """Everything else goes the way of all requests."""
    assert framed(line + b"\r\nHost: x\r\n\r\n").asks_for(b"/livez") is asks


TOKEN = st.text("abcABC-", min_size=1, max_size=8).map(str.encode)
VALUE = st.text("abc 123:,;=\t", max_size=12).map(str.encode)
LINE = st.tuples(TOKEN, VALUE).map(lambda pair: b"X-" + pair[0] + b": " + pair[1])
ODD_LINE = st.sampled_from(
    [
        b"Content-Length: 3",
        b"Content-Length : 3",
        b"content-length:03",
        b"Content-Length: 3, 3",
        b"Content-Length: 1001",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b" Content-Length: 7",
        b"X\rContent-Length: 7",
        b"Content-Length\r: 7",
        b"Expect: 100-continue",
        b"",
    ]
)
REQUEST = st.tuples(st.lists(LINE | ODD_LINE, max_size=5), st.binary(max_size=12)).map(lambda it: post(it[1], *it[0]))


def cuts(data: bytes, at: list[int]) -> Iterator[bytes]:
    """Cut data into pieces."""
    begin = 0
    for end in [*sorted(position % (len(data) + 1) for position in at), len(data)]:
        if data[begin:end]:
            yield data[begin:end]
        begin = max(begin, end)


@settings(max_examples=300, deadline=None)
@given(REQUEST, st.lists(st.integers(0, 10_000), max_size=6))
def test_the_end_is_the_same_however_the_request_is_cut(data: bytes, at: list[int]) -> None:
    """What one packet says, six packets say."""
    pieces = Frame(body_bytes_max=BODY_BYTES_MAX)
    for piece in cuts(data, at):
        pieces.feed(piece)
    once = framed(data)

    assert (pieces.whole, pieces.body_bytes, pieces.take()) == (once.whole, once.body_bytes, once.take())


@settings(max_examples=500, deadline=None)
@given(REQUEST)
def test_the_parser_never_needs_more_than_a_whole_request(data: bytes) -> None:
    """Gunicorn reads a declared body in full from the bytes that were called whole, refuses the request, or stops."""
    frame = framed(data)
    if not frame.whole:
        return
    try:
        request = next(RequestParser(Config(), _OnlyThese(frame.take()), ("127.0.0.1", 1)))
        body = request.body.read() if request.body is not None else b""
    except (ParseException, NoMoreData):
        return
    declared = [value for name, value in request.headers if name == "CONTENT-LENGTH"]

    assert not declared or len(body) == int(declared[0])


class _OnlyThese(Iterator[bytes]):
    def __init__(self, data: bytes) -> None:
        self._pieces = [data]

    def __next__(self) -> bytes:
        if not self._pieces:
            raise NoMoreData(b"")
        return self._pieces.pop()


@pytest.mark.timeout(20)  # it took seventy seconds with a pattern that tries each run of blanks again and again
def test_blanks_are_read_once() -> None:
    """A head of blanks is read as quickly as any other: the loop that reads it serves everybody."""
    frame = framed(b"GET / HTTP/1.1\r\nContent-Length: x" + b" " * 60_000 + b"x\r\n\r\n")

    assert frame.whole
