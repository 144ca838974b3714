"""One request to somebody else's server, bounded in every way: to a witness, or to a time-stamping authority.

Never in the path of a request to us. No proxy, no credentials from the environment, no redirect, no content encoding; a
limit on the whole time however the answer trickles, and on its length.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from lockgate.audit.errors import OutboundError

_READ_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """What is sent, and what of an answer is taken."""

    url: str  # http or https; whom to believe is not decided by the connection but by a signature in the answer
    body: bytes
    content_type: str
    timeout_s: float  # for the whole exchange
    answer_bytes_max: int
    ca_file: Path | None = None  # certificate authorities (PEM) for https instead of the usual ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, of whatever status; nothing is believed."""

    status: int
    content_type: str  # without parameters, lower case
    body: bytes


def post(request: OutboundRequest) -> Answer:
    """Send a request and wait for its whole answer.

    Raises:
        OutboundError: The URL is none, or there is no whole answer within the limits.
    """
    _check_url(request.url)
    exchange = _Exchange(request)
    # requests' time-out starts anew with each byte. A daemon thread can be left behind; it ends with its peer.
    thread = threading.Thread(target=exchange, name="lockgate-outbound", daemon=True)
    thread.start()
    thread.join(request.timeout_s)
    if exchange.answer is not None:
        return exchange.answer
    if isinstance(exchange.error, OutboundError):
        raise exchange.error
    if isinstance(exchange.error, requests.RequestException | OSError | ValueError):
        # Its text repeats addresses and header values.
        raise OutboundError(f"no answer ({type(exchange.error).__name__})") from exchange.error
    if exchange.error is not None:
        raise exchange.error
    raise OutboundError(f"no whole answer within {request.timeout_s:g} s")


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
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc
            with session.post(
                request.url,
                data=request.body,
                headers={"Content-Type": request.content_type, "Accept-Encoding": "identity"},
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


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.username is not None or parts.fragment:
        raise OutboundError("want an http or https URL without credentials and fragment")
