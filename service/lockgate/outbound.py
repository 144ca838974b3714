"""One request to somebody else's server, bounded in every way: a witness, an issuer, a registry, a webhook's receiver.

Never in the path of a decision. No proxy, no credentials from the environment, no redirect, no content encoding; a
limit on the whole time however the answer trickles, and on its length.
"""

import contextlib
import ipaddress
import queue
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, cast

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from lockgate.errors import LockgateError
from lockgate.outbound_urls import split_url

_READ_BYTES: Final = 65_536  # what is in memory beyond a limit before the limit is seen
_PARTS_AHEAD: Final = 8  # read before anyone takes them: half a megabyte, enough that neither side waits for the other
QUOTED_CHARS_MAX: Final = 300  # of somebody else's words in a line of the log
SECRET_STRETCH_CHARS: Final = 8  # of a secret, together, are told nobody; fewer are of no use to anybody
_LOOKED_THROUGH_CHARS: Final = 2000  # of those words, for secrets
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last four bytes
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out of global unicast addresses (RFC 4291)
# Special purposes that `ipaddress` of Python 3.11 does not know, or not whole.
_SPECIAL: Final = (
    ipaddress.ip_network("3fff::/20"),  # documentation, RFC 9637
    ipaddress.ip_network("192.0.0.0/24"),  # IETF protocol assignments, RFC 6890
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, given up by RFC 7526
)


class OutboundError(LockgateError):
    """Somebody else's server gave no whole answer within the limits."""

    code: ClassVar[str] = "outbound.failed"


class PeerPrivateError(OutboundError):
    """What a name stands for is an address of a private network, where none may be asked. Nothing was sent."""

    code: ClassVar[str] = "outbound.peer_private"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """What is sent, and what of an answer is taken."""

    url: str  # http or https; whom to believe is not decided by the connection but by a signature in the answer
    timeout_s: float  # for the whole exchange
    answer_bytes_max: int
    body: bytes | None = field(default=None, repr=False)  # posted; None: nothing is sent, only asked for
    method: str = ""  # "" = GET without a body, POST with one
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # further ones; those named below win
    authorization: str | None = field(default=None, repr=False)  # the header of this name
    content_type: str | None = None  # of the body
    ca_file: Path | None = None  # certificate authorities (PEM) for https instead of the usual ones
    public_only: bool = False  # whether the peer's address must be one of the public internet


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, of whatever status; nothing is believed."""

    status: int
    content_type: str  # without parameters, lower case
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An answer whose body is still coming.

    Attributes:
        chunks: The body, to be read once. It raises `OutboundError` where the rest does not come within the limits, so
            what was read counts only once it ended well.
    """

    status: int
    content_type: str  # without parameters, lower case
    chunks: Iterator[bytes]


def exchange(request: OutboundRequest) -> Answer:
    """Send a request and wait for its whole answer.

    Raises:
        OutboundError: The URL is none, the peer's address is not public where it must be, or there is no whole answer
            within the limits.
    """
    with download(request) as incoming:
        body = b"".join(incoming.chunks)
        return Answer(status=incoming.status, content_type=incoming.content_type, body=body)


@contextlib.contextmanager
def download(request: OutboundRequest) -> Iterator[Download]:
    """Send a request and let the block read the answer's body piece by piece, never whole in memory.

    The time limit is for the whole, also for what the block does between two pieces.

    Raises:
        OutboundError: As for `exchange`; also from within the block, where the body is read.
    """
    _check_url(request.url)
    run = _Exchange(request)
    run.start()
    try:
        head = run.take_head()
        yield Download(status=head.status, content_type=head.content_type, chunks=run.take_chunks())
    finally:
        run.hang_up()


def quote_answer(text: str, request: OutboundRequest) -> str:
    """Return somebody else's words for a line of the log: short, printable, and without what the request showed them.

    Pages for debugging repeat a request's headers, whole or cut: so each stretch of a header is cut out, not the whole
    value alone. Only the log may have even these words: what stands in an error ends in answers and in audit records.

    Args:
        text: What they said.
        request: What they were sent.
    """
    shown = text[:_LOOKED_THROUGH_CHARS].lower() if len(text.lower()) != len(text) else text[:_LOOKED_THROUGH_CHARS]
    lowered = shown.lower()
    secrets = [value.lower() for value in (request.authorization or "", *request.headers.values())]
    hidden = [False] * len(shown)
    for begin in range(len(lowered) - SECRET_STRETCH_CHARS + 1):
        stretch = slice(begin, begin + SECRET_STRETCH_CHARS)
        if any(lowered[stretch] in secret for secret in secrets):
            hidden[stretch] = [True] * SECRET_STRETCH_CHARS
    marked = "".join(
        "\0" if gone else one if one.isprintable() else " " for one, gone in zip(shown, hidden, strict=True)
    )
    return re.sub("\0+", "[secret]", marked)[:QUOTED_CHARS_MAX]


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet, also where it wraps an IPv4 address.

    Raises:
        ValueError: `address` is no IP address.

    Source: RFC 6890, and the IANA special-purpose registries of November 2026; `ipaddress` follows older ones.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])  # without the zone of a link-local address
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour or ip
    # Of IPv6 only what was given out: a translation or tunnel elsewhere, of today or to come, leads anywhere.
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in special for special in _SPECIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    status: int
    content_type: str


_Part: TypeAlias = _Head | bytes | Exception | None  # in this order; None is the end, an error may come at any time


class _Exchange(threading.Thread):
    """One request and its answer, asked for in a thread of its own and taken part by part in another.

    The libraries' time-out starts anew with each byte, of the headers too. So whoever waits hangs up, and the thread
    ends at once. Only a look-up of a name, and the attempts to connect to what it found, end by time-outs of their own.
    """

    def __init__(self, request: OutboundRequest) -> None:
        super().__init__(name="lockgate-outbound", daemon=True)
        self._request = request
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._hung_up = False
        self._deadline_s = time.monotonic() + request.timeout_s
        self._parts: queue.Queue[_Part] = queue.Queue(_PARTS_AHEAD)

    def run(self) -> None:
        """Ask, and hand over the answer or the error."""
        try:
            self._ask()
            self._put(None)
        except Exception as exc:  # noqa: BLE001 - carried over to the thread that waits, and raised there
            with contextlib.suppress(OutboundError):  # nobody waits any more
                self._put(exc)
        finally:
            self._close_line()

    def take_head(self) -> _Head:
        """Wait for the status and the headers.

        Raises:
            OutboundError: They do not come.
        """
        return cast("_Head", self._take())

    def take_chunks(self) -> Iterator[bytes]:
        """Wait for one piece of the body after the other.

        Raises:
            OutboundError: The next one does not come.
        """
        while (chunk := self._take()) is not None:
            yield cast("bytes", chunk)

    def connected(self, sock: socket.socket) -> None:
        """Look whom we reached, before a byte is sent, and remember how to hang up.

        Raises:
            OutboundError: The peer's address is not public where it must be, or nobody waits any more.
        """
        if self._request.public_only and not is_public(sock.getpeername()[0]):
            raise PeerPrivateError("want a peer with a public address, got one of a private network")
        with self._lock:
            if self._hung_up:
                raise OutboundError("connected too late")
            self._line = sock.dup()  # the socket itself changes hands when TLS begins

    def hang_up(self) -> None:
        """End the connection, also one that is only about to be made, and the thread with it."""
        with self._lock:
            self._hung_up = True
        self._close_line()
        # A thread that waits for room goes on, and finds at its next part that nobody waits any more.
        with contextlib.suppress(queue.Empty):
            while True:
                self._parts.get_nowait()

    def _close_line(self) -> None:
        with self._lock:
            line, self._line = self._line, None
            if line is not None:
                with contextlib.suppress(OSError), line:
                    line.shutdown(socket.SHUT_RDWR)

    def _put(self, part: _Part) -> None:
        with self._lock:
            if self._hung_up:
                raise OutboundError("nobody waits for the answer any more")
        self._parts.put(part)

    def _take(self) -> _Part:
        left_s = self._deadline_s - time.monotonic()
        late = OutboundError(f"no whole answer within {self._request.timeout_s:g} s")
        if left_s <= 0:  # also where a part is there: a fast peer could go on for ever
            raise late
        try:
            part = self._parts.get(timeout=left_s)
        except queue.Empty:
            raise late from None
        if isinstance(part, requests.RequestException | OSError | ValueError):
            # Its text repeats addresses and header values.
            raise OutboundError(f"no answer ({type(part).__name__})") from part
        if isinstance(part, Exception):
            raise part
        return part

    def _ask(self) -> None:
        request = self._request
        headers = {**request.headers, "Accept-Encoding": "identity"}
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
            with session.request(
                request.method or ("GET" if request.body is None else "POST"),
                request.url,
                data=request.body,
                headers=headers,
                timeout=request.timeout_s,
                allow_redirects=False,
                verify=str(request.ca_file) if request.ca_file else True,
                stream=True,
            ) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise OutboundError("want an answer without content encoding")
                content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                self._put(_Head(status=response.status_code, content_type=content_type))
                left_bytes = request.answer_bytes_max
                for chunk in response.iter_content(_READ_BYTES):
                    left_bytes -= len(chunk)
                    if left_bytes < 0:
                        raise OutboundError(f"want an answer of at most {request.answer_bytes_max} bytes, got more")
                    self._put(chunk)


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _noted(super()._new_conn())


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _noted(super()._new_conn())


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    """Tells the exchange of each connection.

    The socket itself is asked whom it reached: a name may mean another address each time that it is looked up.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's own signature
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def _noted(sock: socket.socket) -> socket.socket:
    try:
        cast("_Exchange", threading.current_thread()).connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_url(url: str) -> None:
    # Less than settings must keep: whom to believe is decided by a signature in the answer, so plain http may do.
    parts = split_url(url)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise OutboundError("want an http or https URL without credentials and fragment")
