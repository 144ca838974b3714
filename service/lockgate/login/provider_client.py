"""Asking a provider: its discovery document, and the token that a code stands for. Each call is bounded."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.clock import NS_PER_S, Clock, EpochNs, is_expired
from lockgate.login.errors import LoginError, ProviderInvalidError, ProviderUnavailableError
from lockgate.login.oauth_messages import FORM, TokenRequest
from lockgate.login.providers import DISCOVERY_BYTES_MAX, Provider, parse_provider
from lockgate.outbound import Answer, OutboundError, OutboundRequest, exchange

TIMEOUT_S: Final = 5.0  # of one call; a person waits for it, and a thread of the service
ANSWER_BYTES_MAX: Final = 64 * 1024  # three tokens of the size that is taken, and room
FRESH_S: Final = 3600  # a provider that moves its endpoints keeps the old ones for longer
RETRY_S: Final = 10  # after a failure: nobody who asks in vain makes us ask more often
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ERROR_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom to ask, and how far it is trusted on the way."""

    issuer: str
    ca_file: Path | None = None
    public_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider gave; nothing of it is verified."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)  # "" if none came


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthRefusal:
    """Why the provider gave no token: a word of RFC 6749, section 5.2, or RFC 8628, section 3.5; "" for any other."""

    error: str


def fetch_provider(peer: Peer) -> Provider:
    """Ask an issuer how people log in.

    Raises:
        ProviderUnavailableError: It gave no whole answer within the limits, or one that is no document.
        ProviderInvalidError: Its document cannot be used.
    """
    answer = _exchange(peer, peer.issuer.rstrip("/") + _DISCOVERY, DISCOVERY_BYTES_MAX)
    if answer.status != HTTPStatus.OK:
        raise ProviderUnavailableError(f"want the status 200 from the provider, got {answer.status}")
    return parse_provider(answer.body, peer.issuer)


def redeem(peer: Peer, provider: Provider, request: TokenRequest) -> Tokens | OAuthRefusal:
    """Ask for tokens.

    Raises:
        ProviderUnavailableError: As `fetch_provider`.
        ProviderInvalidError: The answer is none of a token endpoint.
    """
    answer = _exchange(peer, provider.token_endpoint, ANSWER_BYTES_MAX, request.body, request.authorization)
    document = read_answer(answer)
    if answer.status != HTTPStatus.OK:
        error = document.get("error")
        fine = isinstance(error, str) and len(error) <= _ERROR_CHARS_MAX and error.replace("_", "").isalpha()
        return OAuthRefusal(error=str(error) if fine else "")
    id_token, access_token = document.get("id_token"), document.get("access_token", "")
    if not isinstance(id_token, str) or not isinstance(access_token, str):
        raise ProviderInvalidError("want an ID token from the provider; is the scope 'openid' asked for?")
    return Tokens(id_token=id_token, access_token=access_token)


def post_form(peer: Peer, url: str, body: bytes) -> Answer:
    """Send a form.

    Raises:
        ProviderUnavailableError: There is no whole answer within the limits.
    """
    return _exchange(peer, url, ANSWER_BYTES_MAX, body)


def read_answer(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON object that an endpoint answers with, well or ill.

    Raises:
        ProviderUnavailableError: It is out of order, or busy.
        ProviderInvalidError: It is no JSON object.
    """
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise ProviderUnavailableError(f"want an answer from the provider, got the status {answer.status}")
    try:
        document = parse_json(answer.body, bytes_max=ANSWER_BYTES_MAX)
    except MalformedJSONError as exc:
        raise ProviderInvalidError(f"want JSON from the provider, with the status {answer.status}") from exc
    if not isinstance(document, dict):
        raise ProviderInvalidError("want a JSON object from the provider")
    return document


class ProviderCache:
    """Holds what an issuer says of itself. Safe to share between threads: one asks, and the others do not wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._peer: Peer | None = None
        self._known: Provider | None = None
        self._due = EpochNs(0)

    def get(self, peer: Peer) -> Provider:
        """Return what an issuer says, or said: endpoints outlive a short silence.

        Raises:
            ProviderUnavailableError: It never said anything, and cannot be asked, or is asked by somebody else now.
            ProviderInvalidError: It never said anything that can be used.
        """
        now = self._clock.now_ns()
        with self._lock:
            if peer != self._peer:
                self._peer, self._known, self._due = peer, None, EpochNs(0)
            known, is_due = self._known, is_expired(self._due, now)
            if is_due:
                self._due = EpochNs(now + RETRY_S * NS_PER_S)
        if is_due:
            try:
                known = fetch_provider(peer)
            except LoginError:
                if known is None:
                    raise
            else:
                with self._lock:
                    if peer == self._peer:
                        self._known, self._due = known, EpochNs(now + FRESH_S * NS_PER_S)
        if known is None:
            raise ProviderUnavailableError("the provider was asked a moment ago, in vain as yet; try again soon")
        return known


def _exchange(
    peer: Peer, url: str, bytes_max: int, body: bytes | None = None, authorization: str | None = None
) -> Answer:
    request = OutboundRequest(
        url=url,
        timeout_s=TIMEOUT_S,
        answer_bytes_max=bytes_max,
        body=body,
        content_type=None if body is None else FORM,
        authorization=authorization,
        ca_file=peer.ca_file,
        public_only=peer.public_only,
    )
    try:
        return exchange(request)
    except OutboundError as exc:
        raise ProviderUnavailableError(f"the provider gave no usable answer: {exc}") from exc
