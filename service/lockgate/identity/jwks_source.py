"""Where issuers' keys come from: fetched from them in the background, or read from files.

Never in the path of a request: a request takes the keys that are at hand, or is told that there are none.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import structlog

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.clock import NS_PER_S, Clock, EpochNs, is_expired
from lockgate.errors import LockgateError
from lockgate.identity.errors import IssuerUnavailableError, JWKSInvalidError
from lockgate.identity.issuers import Issuer
from lockgate.identity.jwks import JWKS_BYTES_MAX, VerificationKey, parse_jwks
from lockgate.outbound import OutboundRequest, exchange

REFRESH_S: Final = 300  # issuers publish a key hours before they sign with it; a key taken back is gone after this
EARLY_REFRESH_S: Final = 30  # for a key that is not known; whoever makes names up causes no more calls than this
KEPT_S_MAX: Final = 86_400  # while the issuer cannot be reached: a day of its trouble is not ours
FETCH_TIMEOUT_S: Final = 5.0
DISCOVERY_BYTES_MAX: Final = 64 * 1024  # the largest of the public ones are below 4 KiB
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ENDING_S_MAX: Final = 1.0  # to wait for the thread; a fetch in flight is left to end by itself


@dataclass(slots=True)
class _Held:
    """What is known of one issuer's keys; changed under the lock alone."""

    keys: Mapping[str, VerificationKey]
    fetched: EpochNs | None = None  # when they were last read with success
    tried: EpochNs | None = None
    wanted: bool = False  # a token named a key that is not here, and nobody has looked since


class JWKSSource:
    """Holds the keys of all issuers, and keeps them fresh. Safe to share between threads."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock, *, strict: bool = True) -> None:
        """Read the keys that lie in files.

        Args:
            issuers: Whose keys.
            clock: Says how old they are.
            strict: Whether a file that cannot be used is an error; if not, its issuer's keys are unknown until it can.

        Raises:
            JWKSInvalidError: A file cannot be read, or is no key set.
        """
        self._issuers = tuple(issuers)
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._held = {issuer.name: _Held(keys={}) for issuer in issuers}
        for issuer in issuers:
            if issuer.jwks_file is not None:
                with contextlib.suppress(*(() if strict else (JWKSInvalidError,))):
                    self._keep(issuer, _read_file(issuer), clock.now_ns())

    def find(self, issuer: Issuer, kid: str) -> VerificationKey | None:
        """Return a key by its name, or None if the issuer has none of this name.

        Raises:
            IssuerUnavailableError: Its keys are not known now, or are being looked for again because of this name.
        """
        now = self._clock.now_ns()
        with self._lock:
            held = self._held[issuer.name]
            if held.fetched is None or is_expired(EpochNs(held.fetched + KEPT_S_MAX * NS_PER_S), now):
                self._start()
                raise IssuerUnavailableError(f"the keys of the issuer {issuer.name} are not known; try again")
            key = held.keys.get(kid)
            if key is None and (held.wanted or _is_due(held, EARLY_REFRESH_S, now)):
                held.wanted = True
                self._start()
                self._wake.set()
                raise IssuerUnavailableError(f"the keys of the issuer {issuer.name} are looked for again; try again")
            return key

    def take_over(self, former: "JWKSSource") -> None:
        """Take the fetched keys of issuers whose keys come from where they did, so that no token waits for a fetch."""
        with former._lock, self._lock:  # noqa: SLF001 - of the same class
            for issuer in self._issuers:
                if issuer.jwks_file is None and any(_same_source(issuer, other) for other in former._issuers):  # noqa: SLF001
                    self._held[issuer.name] = replace(former._held[issuer.name], wanted=False)  # noqa: SLF001

    def start(self) -> None:
        """Begin to fetch, if there is anything to fetch, in a thread of this process. Do it after a fork."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """Let the thread end, and wait a little for it."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(_ENDING_S_MAX)

    def ages_s(self) -> Mapping[str, float | None]:
        """Return how old each issuer's keys are, in seconds; None where there are none yet."""
        now = self._clock.now_ns()
        with self._lock:
            fetched = {name: held.fetched for name, held in self._held.items()}
        return {name: None if then is None else (now - then) / NS_PER_S for name, then in fetched.items()}

    def refresh_due(self) -> None:
        """Fetch or read again what is due. What fails is logged and changes nothing."""
        for issuer in self._issuers:
            now = self._clock.now_ns()
            with self._lock:
                held = self._held[issuer.name]
                if not held.wanted and not _is_due(held, REFRESH_S, now):
                    continue
                held.tried = now
            try:
                keys = _read_file(issuer) if issuer.jwks_file is not None else _fetch_keys(issuer)
            except LockgateError as exc:
                structlog.get_logger().warning(
                    "issuer_keys_not_read", issuer=issuer.name, code=exc.code, detail=str(exc)[:500]
                )
                with self._lock:
                    held.wanted = False
            else:
                with self._lock:
                    self._keep(issuer, keys, now)

    def _keep(self, issuer: Issuer, keys: Mapping[str, VerificationKey], now: EpochNs) -> None:
        self._held[issuer.name] = _Held(keys=keys, fetched=now, tried=now)

    def _start(self) -> None:
        # Also in the child of a fork, where a thread of the parent's is not alive.
        if self._stopped or not self._issuers or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._keep_fresh, name="lockgate-issuer-keys", daemon=True)
        self._thread.start()

    def _keep_fresh(self) -> None:
        while not self._stopped:
            self.refresh_due()
            # What failed is tried again sooner than what succeeded: `_is_due` decides.
            self._wake.wait(EARLY_REFRESH_S)
            self._wake.clear()


def _same_source(one: Issuer, other: Issuer) -> bool:
    return _source(one) == _source(other)


def _source(issuer: Issuer) -> Issuer:
    # Without what says how its tokens are read. All the rest counts, also what an issuer may have one day.
    return replace(issuer, kind="other", audience="", algorithms=(), lifetime_s_max=0, rules=())


def _is_due(held: _Held, interval_s: int, now: EpochNs) -> bool:
    if held.fetched is None or held.tried != held.fetched:
        interval_s = EARLY_REFRESH_S  # the last try failed
    return held.tried is None or is_expired(EpochNs(held.tried + interval_s * NS_PER_S), now)


def _read_file(issuer: Issuer) -> Mapping[str, VerificationKey]:
    if issuer.jwks_file is None:
        raise JWKSInvalidError(f"the issuer {issuer.name} has no jwks_file")
    try:
        with issuer.jwks_file.open("rb") as file:
            data = file.read(JWKS_BYTES_MAX + 1)
    except OSError as exc:
        raise JWKSInvalidError(f"the issuer {issuer.name}: cannot read its jwks_file: {exc.strerror}") from exc
    return parse_jwks(data)


def _fetch_keys(issuer: Issuer) -> Mapping[str, VerificationKey]:
    """Ask an issuer for its keys.

    Raises:
        OutboundError: It gave no whole answer within the limits, or its address is not public.
        JWKSInvalidError: The answer is no key set, or names an address that its keys cannot have.
    """
    return parse_jwks(_get(issuer, issuer.jwks_url or _discover(issuer), JWKS_BYTES_MAX))


def _discover(issuer: Issuer) -> str:
    body = _get(issuer, issuer.url.rstrip("/") + _DISCOVERY, DISCOVERY_BYTES_MAX)
    try:
        document = parse_json(body, bytes_max=DISCOVERY_BYTES_MAX)
    except MalformedJSONError as exc:
        raise JWKSInvalidError("want a discovery document in JSON") from exc
    if not isinstance(document, dict) or document.get("issuer") != issuer.url:
        raise JWKSInvalidError("want a discovery document of this very issuer")
    url = document.get("jwks_uri")
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        theirs = (parts.scheme, parts.hostname, parts.port)
        ours = urlsplit(issuer.url)
        fine = theirs == (ours.scheme, ours.hostname, ours.port)
    except ValueError:
        fine = False
    if not fine or not isinstance(url, str):
        raise JWKSInvalidError("want keys on the issuer's own host; set jwks_url if they are elsewhere")
    return url


def _get(issuer: Issuer, url: str, bytes_max: int) -> bytes:
    answer = exchange(
        OutboundRequest(
            url=url,
            timeout_s=FETCH_TIMEOUT_S,
            answer_bytes_max=bytes_max,
            ca_file=issuer.ca_file,
            public_only=not issuer.private_network,
        )
    )
    if answer.status != HTTPStatus.OK:
        raise JWKSInvalidError(f"want the status 200 from the issuer, got {answer.status}")
    return answer.body
