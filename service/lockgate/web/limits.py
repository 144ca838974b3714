"""How much one caller may ask of one process: requests a minute, requests at once; and strangers, by their address.

Counted in the memory of each process: nothing is asked of the database for it, and a process that restarts forgets
(docs/limits.md). Probes that take nobody's thread are never limited.
"""

import contextlib
import hashlib
import ipaddress
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from flask import Flask, Response, g, request
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from lockgate.clock import NS_PER_S
from lockgate.config import Settings
from lockgate.errors import LockgateError
from lockgate.serving import PROBE, WAITED_S
from lockgate.system_clock import SystemClock
from lockgate.web.metrics import Metrics

REQUESTS_PER_MINUTE: Final = 600  # of one principal: ten pipelines that each ask every second
REQUESTS_AT_ONCE: Final = 4  # of one principal: half of a process's threads are always for others
STRANGERS_PER_MINUTE: Final = 600  # calls of nobody we know from one address; each costs a look into the database
WAIT_S_MAX: Final = 5  # for a thread; by then most callers have given up, and the thread is better used for others
USAGE_ROWS_PER_DAY: Final = 50_000  # of one principal: a hundred versions that are told of each five minutes, and more
REGISTRY_CALLS_MAX: Final = (
    2  # that wait for other people's registries, of a process's eight threads: the others decide
)
KNOWN_MAX: Final = 10_000  # callers who are let past the limit on their address; 100 bytes each
_IPV6_PREFIX: Final = 64  # one subscriber has so many addresses, so they count as one (RFC 6177)
_SERVER_ERROR: Final = 500

Reason: TypeAlias = Literal["rate", "at_once", "strangers", "busy", "registries", "usage"]


class LimitedError(LockgateError):
    """A limit was reached: nothing was done, and the same request may be sent again later.

    Attributes:
        status: The HTTP status.
        title: What a problem is titled.
        reason: For the counter.
        retry_after_s: When it may be worth another try.
    """

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests"
    reason: ClassVar[Reason]

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitedError(LimitedError):
    """This caller asked too often."""

    code = "http.rate_limited"
    reason = "rate"


class TooManyAtOnceError(LimitedError):
    """This caller has too many requests in flight."""

    code = "http.too_many_at_once"
    title = "Too many requests at once"
    reason = "at_once"


class StrangersLimitedError(LimitedError):
    """Too many calls from this address came without a usable proof of identity."""

    code = "http.rate_limited"
    reason = "strangers"


class BusyError(LimitedError):
    """The request waited too long for a thread."""

    code = "http.busy"
    status = 503
    title = "Too many at once"
    reason = "busy"


class UsageLimitedError(LimitedError):
    """This caller told too many counts of uses."""

    code = "usage.too_many_rows"
    reason = "usage"


class RegistriesBusyError(LimitedError):
    """Too many requests of this process wait for registries already."""

    code = "registry.busy"
    status = 503
    title = "Too many at once"
    reason = "registries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process lets through.

    Attributes:
        requests: Of one principal.
        at_once: Requests of one principal in flight.
        strangers: Calls from one address that prove no identity.
        usage: Rows of reports of uses of one principal.
    """

    requests: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(REQUESTS_PER_MINUTE))
    at_once: int = REQUESTS_AT_ONCE
    strangers: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(STRANGERS_PER_MINUTE))
    usage: RateLimitItem = field(default_factory=lambda: RateLimitItemPerDay(USAGE_ROWS_PER_DAY))


def limits_of(settings: Settings, *, workers: int) -> Limits:
    """Return what each process lets through, so that all of an instance together keep the limit about.

    Args:
        settings: Of the instance.
        workers: How many processes share the callers.
    """
    return Limits(
        requests=RateLimitItemPerMinute(math.ceil(settings.requests_per_minute / workers)),
        at_once=settings.requests_at_once,
        strangers=RateLimitItemPerMinute(math.ceil(STRANGERS_PER_MINUTE / workers)),
        usage=RateLimitItemPerDay(math.ceil(USAGE_ROWS_PER_DAY / workers)),
    )


class Limiter:
    """Counts callers. `arrive` goes before authentication, `admit` right behind it."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._rates = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._clock = SystemClock()  # the rates' own
        self._lock = threading.Lock()
        self._at_once: Counter[str] = Counter()
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._registry_calls = threading.BoundedSemaphore(REGISTRY_CALLS_MAX)

    def register(self, app: Flask) -> None:
        """Have answers tell what is left, and requests counted out when they end."""
        app.after_request(self._tell)
        app.teardown_request(self._leave)

    def arrive(self) -> None:
        """Refuse who waited too long, and strangers from an address that many came from.

        Raises:
            BusyError: The request waited too long for a thread.
            StrangersLimitedError: The address is over its limit, and the caller's proof is not one that was good
                lately: behind a proxy, friend and foe come from one address.
        """
        if request.environ.get(PROBE):
            return
        if request.environ.get(WAITED_S, 0) > WAIT_S_MAX:
            self._refuse(BusyError(f"want a thread within {WAIT_S_MAX} s; try again", retry_after_s=2))
        if not self._rates.test(self._limits.strangers, "strangers", _address()) and not self._is_known():
            wait_s = self._reset_s(self._limits.strangers, "strangers", _address())
            self._refuse(
                StrangersLimitedError("want fewer calls without a usable token from this address", retry_after_s=wait_s)
            )

    def admit(self) -> None:
        """Count the caller in.

        Raises:
            RateLimitedError: They asked too often.
            TooManyAtOnceError: They have too many requests in flight.
        """
        principal = g.get("principal")
        if principal is None:
            return
        subject: str = principal.subject
        self._remember()
        if not self._rates.hit(self._limits.requests, "principal", subject):
            self._refuse(
                RateLimitedError(
                    f"want at most {self._limits.requests.amount} requests a minute",
                    retry_after_s=self._reset_s(self._limits.requests, "principal", subject),
                )
            )
        with self._lock:
            if self._at_once[subject] < self._limits.at_once:
                self._at_once[subject] += 1
                g.counted_in = subject
        if "counted_in" not in g:
            self._refuse(TooManyAtOnceError(f"want at most {self._limits.at_once} requests at once"))

    def admit_usage(self, rows: int) -> None:
        """Count the rows of a report of uses in.

        Raises:
            UsageLimitedError: The caller told too many lately.
        """
        subject: str = g.principal.subject
        if not self._rates.hit(self._limits.usage, "usage", subject, cost=rows):
            self._refuse(
                UsageLimitedError(
                    f"want at most {self._limits.usage.amount} rows of uses a day",
                    retry_after_s=self._reset_s(self._limits.usage, "usage", subject),
                )
            )

    @contextlib.contextmanager
    def asking_registries(self) -> Iterator[None]:
        """Let the block ask other people's registries and feature stores, however slow, while few others do.

        Raises:
            RegistriesBusyError: As many do already as may at once.
        """
        if not self._registry_calls.acquire(blocking=False):
            self._refuse(
                RegistriesBusyError(f"want at most {REGISTRY_CALLS_MAX} requests that wait for registries; try again")
            )
        try:
            yield
        finally:
            self._registry_calls.release()

    def _refuse(self, error: LimitedError) -> None:
        self._metrics.limited.labels(error.reason).inc()
        raise error

    def _tell(self, response: Response) -> Response:
        principal = g.get("principal")
        if principal is not None:
            item = self._limits.requests
            left = self._rates.get_window_stats(item, "principal", principal.subject).remaining
            reset_s = self._reset_s(item, "principal", principal.subject)
            # The names and the form of draft-ietf-httpapi-ratelimit-headers-10.
            response.headers["RateLimit-Policy"] = f'"principal";q={item.amount};w={item.get_expiry()}'
            response.headers["RateLimit"] = f'"principal";r={left};t={reset_s}'
        elif not request.environ.get(PROBE) and response.status_code < _SERVER_ERROR:  # our failures are no guesses
            self._rates.hit(self._limits.strangers, "strangers", _address())
        return response

    def _leave(self, _error: BaseException | None) -> None:
        subject = g.pop("counted_in", None)
        if subject is not None:
            with self._lock:
                self._at_once[subject] -= 1
                if not self._at_once[subject]:
                    del self._at_once[subject]  # lest whoever ever called be kept

    def _reset_s(self, item: RateLimitItem, *who: str) -> int:
        reset = self._rates.get_window_stats(item, *who).reset_time
        return max(1, math.ceil(reset - self._clock.now_ns() / NS_PER_S))

    def _is_known(self) -> bool:
        with self._lock:
            return _proof() in self._known

    def _remember(self) -> None:
        with self._lock:
            self._known[_proof()] = None
            self._known.move_to_end(_proof())
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)


def _proof() -> bytes:
    # The digest, so that no token stays in memory for this. Whichever of the two headers proves who calls.
    given = [request.headers.get(name, "") for name in ("Authorization", "Cookie")]
    return hashlib.sha256("\n".join(given).encode()).digest()


def _address() -> str:
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:  # a Unix socket has none
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped  # a socket of both protocols shows an IPv4 caller so
    return str(address)
