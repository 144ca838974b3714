"""One request to somebody else's server, bounded in every way: a witness, a time-stamping authority, an issuer.

Never in the path of a decision. No proxy, no credentials from the environment, no redirect, no content encoding; a
limit on the whole time however the answer trickles, and on its length.
"""

import contextlib
import ipaddress
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from lockgate.errors import LockgateError

_READ_BYTES: Final = 4096
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last four bytes


class OutboundError(LockgateError):
    """Somebody else's server gave no whole answer within the limits."""

    code: ClassVar[str] = "outbound.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """What is sent, and what of an answer is taken."""

    url: str  # http or https; whom to believe is not decided by the connection but by a signature in the answer
    timeout_s: float  # for the whole exchange
    answer_bytes_max: int
    body: bytes | None = field(default=None, repr=False)  # posted; None: nothing is sent, only asked for
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


def exchange(request: OutboundRequest) -> Answer:
    """Send a request and wait for its whole answer.

    Raises:
        OutboundError: The URL is none, the peer's address is not public where it must be, or there is no whole answer
            within the limits.
    """
    _check_url(request.url)
    run = _Exchange(request)
    run.start()
    try:
        run.join(request.timeout_s)
        answer, error = run.answer, run.error  # as they are before we hang up, which is an error there
    finally:
        run.hang_up()
    if answer is not None:
        return answer
    if isinstance(error, OutboundError):
        raise error
    if isinstance(error, requests.RequestException | OSError | ValueError):
        # Its text repeats addresses and header values.
        raise OutboundError(f"no answer ({type(error).__name__})") from error
    if error is not None:
        raise error
    raise OutboundError(f"no whole answer within {request.timeout_s:g} s")


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet, also where it wraps an IPv4 address.

    Raises:
        ValueError: `address` is no IP address.

    Source: RFC 6890, and the IANA special-purpose registries that Python's `ipaddress` follows.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])  # without the zone of a link-local address
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


class _Exchange(threading.Thread):
    """One request and its whole answer, in a thread of its own.

    The libraries' time-out starts anew with each byte, of the headers too. So whoever waits hangs up, and the thread
    ends at once. Only a look-up of a name, and the attempts to connect to what it found, end by time-outs of their own.
    """

    def __init__(self, request: OutboundRequest) -> None:
        super().__init__(name="lockgate-outbound", daemon=True)
        self._request = request
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._hung_up = False
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Ask, and keep the answer or the error."""
        try:
            self.answer = self._ask()
        except Exception as exc:  # noqa: BLE001 - carried over to the thread that waits, and raised there
            self.error = exc
        finally:
            self.hang_up()

    def connected(self, sock: socket.socket) -> None:
        """Look whom we reached, before a byte is sent, and remember how to hang up.

        Raises:
            OutboundError: The peer's address is not public where it must be, or nobody waits any more.
        """
        if self._request.public_only and not is_public(sock.getpeername()[0]):
            raise OutboundError("want a peer with a public address, got one of a private network")
        with self._lock:
            if self._hung_up:
                raise OutboundError("connected too late")
            self._line = sock.dup()  # the socket itself changes hands when TLS begins

    def hang_up(self) -> None:
        """End the connection, also one that is only about to be made."""
        with self._lock:
            self._hung_up = True
            line, self._line = self._line, None
            if line is not None:
                with contextlib.suppress(OSError), line:
                    line.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> Answer:
        request = self._request
        headers = {"Accept-Encoding": "identity"}
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
            with session.request(
                "GET" if request.body is None else "POST",
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
                body = b""
                for chunk in response.iter_content(_READ_BYTES):
                    body += chunk
                    if len(body) > request.answer_bytes_max:
                        raise OutboundError(f"want an answer of at most {request.answer_bytes_max} bytes, got more")
                content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return Answer(status=response.status_code, content_type=content_type, body=body)


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
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.username is not None or parts.fragment:
        raise OutboundError("want an http or https URL without credentials and fragment")
