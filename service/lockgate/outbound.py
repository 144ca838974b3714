"""One request to somebody else's server, bounded in every way: a witness, a time-stamping authority, an issuer.

Never in the path of a decision. No proxy, no credentials from the environment, no redirect, no content encoding; a
limit on the whole time however the answer trickles, and on its length.
"""

import ipaddress
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final
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
    # requests' time-out starts anew with each byte. A daemon thread can be left behind; it ends with its peer.
    thread = threading.Thread(target=run, name="lockgate-outbound", daemon=True)
    thread.start()
    thread.join(request.timeout_s)
    if run.answer is not None:
        return run.answer
    if isinstance(run.error, OutboundError):
        raise run.error
    if isinstance(run.error, requests.RequestException | OSError | ValueError):
        # Its text repeats addresses and header values.
        raise OutboundError(f"no answer ({type(run.error).__name__})") from run.error
    if run.error is not None:
        raise run.error
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


class _Exchange:
    """One request and its whole answer, run by a thread of its own."""

    def __init__(self, request: OutboundRequest) -> None:
        self._request = request
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def __call__(self) -> None:
        try:
            self.answer = self._run()
        except Exception as exc:  # noqa: BLE001 - carried over to the thread that waits, and raised there
            self.error = exc

    def _run(self) -> Answer:
        request = self._request
        headers = {"Accept-Encoding": "identity"}
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc
            if request.public_only:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _PublicAdapter())
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


class _PublicHTTPConnection(urllib3.connection.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _PublicHTTPSConnection(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


class _PublicAdapter(HTTPAdapter):
    """Speaks to public addresses alone.

    The socket is asked whom it reached, before a byte of the request is sent: a name may mean another address each
    time that it is looked up.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's own signature
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


def _check_peer(connection: urllib3.connection.HTTPConnection) -> None:
    if connection.sock is None or not is_public(connection.sock.getpeername()[0]):
        raise OutboundError("want a peer with a public address, got one of a private network")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.username is not None or parts.fragment:
        raise OutboundError("want an http or https URL without credentials and fragment")
