"""What is looked up when somebody asks for metrics: what waits, how the log ends, whether this instance could decide.

The database may be down or slow just then, and a scrape must answer all the same, so the looking is done in a thread
of its own, at most one at a time. Whoever scrapes waits a little for it; what is not known then is absent, and
`lockgate_scrape_ok` is 0. Absent is not zero: an alert can tell an empty queue from one that nobody could see.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from importlib.metadata import version
from time import monotonic
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import RecordFilter
from lockgate.bootstrap import Services
from lockgate.clock import NS_PER_S, EpochNs, parse_timestamp
from lockgate.delivery.types import Backlog
from lockgate.errors import LockgateError
from lockgate.promotion import WaitingPromotions
from lockgate.readiness import ReadinessCheck
from lockgate.reconciling.types import Finding
from lockgate.web.gauges_findings import finding_metrics

FRESH_S: Final = 5.0  # several scrapers, or one that is impatient, cost one look in this time
WAIT_S_MAX: Final = 4.0  # of a scrape for the look; Prometheus gives up after ten seconds unless told otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """How one log ends."""

    origin: str
    size: int
    newest_at: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What the database says."""

    waiting: tuple[WaitingPromotions, ...]
    endings: tuple[_Ending, ...]
    backlogs: tuple[Backlog, ...]
    findings: tuple[Finding, ...]
    looked_at: Mapping[str, EpochNs]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one look found."""

    now: EpochNs
    checks: tuple[ReadinessCheck, ...]
    stored: _Stored | None  # None: the database could not be read


class Gauges:
    """Looks at one instance. Safe to share between threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._look: Future[_Seen] | None = None
        self._look_began_s = 0.0
        self._log_checked_at: EpochNs | None = None  # when the log's ending was last found whole

    def look(self) -> Iterator[Metric]:
        """Look, and return what was found."""
        yield from self._tell(self._latest())

    def look_without_database(self) -> Iterator[Metric]:
        """Return what can be told at once, when it is known that the database cannot be read."""
        yield from self._tell(None)

    def _tell(self, seen: _Seen | None) -> Iterator[Metric]:
        stored = seen.stored if seen else None
        yield _gauge(
            "lockgate_scrape_ok", "Whether everything that is looked up could be seen", float(stored is not None)
        )
        yield self._build_info()
        yield self._trust()
        yield self._issuers()
        if seen is not None:
            yield from self._checks(seen)
        if seen is not None and stored is not None:
            yield from self._waiting(stored, seen.now)
            yield from _endings(stored)
            yield from _deliveries(stored, seen.now)
            yield from finding_metrics(stored.findings, stored.looked_at, self._services.registries, seen.now)

    def _latest(self) -> _Seen | None:
        with self._lock:
            look = self._look
            if look is None or (look.done() and monotonic() - self._look_began_s > FRESH_S):
                look = self._look = Future()
                self._look_began_s = monotonic()
                threading.Thread(target=self._fulfil, args=(look,), name="gauges", daemon=True).start()
        try:
            return look.result(timeout=WAIT_S_MAX)
        except FutureTimeoutError:
            return None

    def _fulfil(self, look: Future[_Seen]) -> None:
        try:
            look.set_result(self._see())
        except BaseException as exc:  # noqa: BLE001 - handed to those who wait, who would else wait for ever
            look.set_exception(exc)

    def _see(self) -> _Seen:
        readiness = self._services.readiness
        now = readiness.clock.now_ns()
        checks = readiness.check()
        if any(check.name == "audit_log" and check.ok for check in checks):
            self._log_checked_at = now
        try:
            stored = self._read()
        except LockgateError as exc:
            structlog.get_logger().warning("gauges_failed", code=exc.code)
            stored = None
        except Exception as exc:  # noqa: BLE001 - a scrape must answer; what is wrong goes to the operator's log
            structlog.get_logger().error("gauges_failed", code=LockgateError.code, exc_info=exc)
            stored = None
        return _Seen(now=now, checks=checks, stored=stored)

    def _read(self) -> _Stored:
        endings = []
        for log in self._services.logs:
            for newest in log.find(RecordFilter(), limit=1, newest_first=True):
                record = parse_record(newest.body)
                endings.append(
                    _Ending(origin=log.origin, size=record["seq"] + 1, newest_at=parse_timestamp(record["ts"]))
                )
        return _Stored(
            waiting=self._services.register.waiting(),
            endings=tuple(endings),
            backlogs=self._services.deliveries.backlogs(),
            findings=self._services.findings.open_ones(),
            looked_at=self._services.findings.looked_at(),
        )

    def _build_info(self) -> Metric:
        try:
            revision: str = self._services.policy.revision()
        except LockgateError:
            revision = ""
        family = GaugeMetricFamily(
            "lockgate_build_info", "The version, and the policy revision in force", labels=("version", "policy_digest")
        )
        family.add_metric((version("lockgate"), revision), 1)
        return family

    def _trust(self) -> Metric:
        family = GaugeMetricFamily(
            "lockgate_trust_domain_expiry_timestamp_seconds",
            "From when a trust domain accepts no new signature; absent where it has no end",
            labels=("trust_domain",),
        )
        for name, domain in sorted(self._services.trust.verifier.domains.by_name.items()):
            if domain.valid_until is not None:
                family.add_metric((name,), domain.valid_until / NS_PER_S)
        return family

    def _issuers(self) -> Metric:
        family = GaugeMetricFamily(
            "lockgate_issuer_keys_age_seconds",
            "How long ago this process got an issuer's keys; absent where it has none yet",
            labels=("issuer",),
        )
        for name, age_s in sorted(self._services.authenticator.key_ages_s().items()):
            if age_s is not None:
                family.add_metric((name,), age_s)
        return family

    def _checks(self, seen: _Seen) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            "lockgate_ready", "Whether a part that a decision needs works, as /readyz finds it", labels=("part",)
        )
        for check in seen.checks:
            ready.add_metric((check.name,), float(check.ok))
        yield ready
        # A database that cannot be read says nothing about the log: then there is no verdict, not a bad one.
        verdicts = [
            check.ok
            for check in seen.checks
            if check.name == "audit_log" and (check.ok or not check.detail.startswith("storage."))
        ]
        for ok in verdicts:
            yield _gauge("lockgate_ledger_verify_ok", "Whether the log ends as it was signed last", float(ok))
        if self._log_checked_at is not None:
            yield _gauge(
                "lockgate_ledger_last_verified_timestamp_seconds",
                "When this process last found that the log ends as it was signed",
                self._log_checked_at / NS_PER_S,
            )

    def _waiting(self, stored: _Stored, now: EpochNs) -> Iterator[Metric]:
        requests = GaugeMetricFamily(
            "lockgate_open_requests",
            "Promotions that wait for approvals (pending), or whose time ran out unrecorded (expired)",
            labels=("to_env", "state"),
        )
        oldest = GaugeMetricFamily(
            "lockgate_oldest_open_request_seconds", "Age of the oldest promotion that waits", labels=("to_env",)
        )
        # Where nothing waits, that is said: no figure would mean that nobody could see.
        nothing = {
            name: WaitingPromotions(to_environment=name, pending=0, expired=0, oldest=None)
            for name in self._services.policy.engine.catalogue().environments
        }
        for name, one in sorted({**nothing, **{one.to_environment: one for one in stored.waiting}}.items()):
            requests.add_metric((name, "pending"), one.pending)
            requests.add_metric((name, "expired"), one.expired)
            if one.oldest is not None:
                oldest.add_metric((name,), max(now - one.oldest, 0) / NS_PER_S)
        yield requests
        yield oldest


def _endings(stored: _Stored) -> Iterator[Metric]:
    records = CounterMetricFamily("lockgate_ledger_records", "Records ever written to the audit log", labels=("log",))
    newest = GaugeMetricFamily(
        "lockgate_ledger_newest_record_timestamp_seconds", "The time of a log's newest record", labels=("log",)
    )
    for ending in stored.endings:
        records.add_metric((ending.origin,), ending.size)
        newest.add_metric((ending.origin,), ending.newest_at / NS_PER_S)
    yield records
    yield newest


def _deliveries(stored: _Stored, now: EpochNs) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "lockgate_deliveries_waiting", "Deliveries of events that are to be sent", labels=("subscriber",)
    )
    dead = GaugeMetricFamily(
        "lockgate_deliveries_dead", "Deliveries of events that were given up", labels=("subscriber",)
    )
    oldest = GaugeMetricFamily(
        "lockgate_delivery_oldest_seconds",
        "Age of the oldest record that a subscriber was not told of",
        labels=("subscriber",),
    )
    for backlog in stored.backlogs:
        waiting.add_metric((backlog.subscriber,), backlog.waiting)
        dead.add_metric((backlog.subscriber,), backlog.dead)
        if backlog.oldest is not None:
            oldest.add_metric((backlog.subscriber,), max(now - backlog.oldest, 0) / NS_PER_S)
    yield waiting
    yield dead
    yield oldest


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
