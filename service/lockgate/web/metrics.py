"""What is counted, by Prometheus' rules. No label names a model, a version or a person, and each has few values.

A label's value is one of ours: an environment, rule or role of the policy in force, a route of this application, a
stable code. What a caller wrote becomes `other`, so that nobody can make the number of series grow.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from flask import Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from lockgate.clock import NS_PER_S, EpochNs, parse_timestamp
from lockgate.lifecycle.types import ObservationAnswer, RolloutAnswer
from lockgate.observing import Step
from lockgate.policy import PolicyCatalogue
from lockgate.promotion import ApprovalAnswer, Decision, PromotionAnswer, Verdict
from lockgate.web.gauges import Gauges

OTHER: Final = "other"
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
# From a pipeline that rolls back by itself to people who had to be woken.
_ROLLBACK_S: Final = (10, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 4 * _HOUR, _DAY)
# People answer within minutes, a working day, a week; requests and approvals end after at most 90 days.
_PEOPLE_S: Final = (
    _MINUTE,
    5 * _MINUTE,
    15 * _MINUTE,
    _HOUR,
    4 * _HOUR,
    8 * _HOUR,
    _DAY,
    2 * _DAY,
    3 * _DAY,
    7 * _DAY,
    14 * _DAY,
)
# From a step in memory to the longest budget of one, four seconds for the policy and five for the log's lock.
_STEP_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_POLICY_QUERIES: Final[Mapping[Step, str]] = {"policy.evaluate": "promotion", "policy.authorize": "authz"}


class Metrics:
    """The counters of one process, and what is looked up when somebody asks for them."""

    def __init__(self, gauges: Gauges, *, several_processes: bool) -> None:
        """Make every counter.

        Args:
            gauges: What is looked up.
            several_processes: Whether counters are shared with other processes of this instance.
        """
        # When a counter began is told by one process alone and never by several: no figure rests on it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._several_processes = several_processes
        self._gauges = gauges
        self.registry = registry = CollectorRegistry()
        # --- HTTP
        self.http_requests = Counter(
            "lockgate_http_requests", "HTTP requests", ("method", "route", "status"), registry=registry
        )
        self.http_seconds = Histogram(
            "lockgate_http_request_seconds", "Time to answer an HTTP request", ("route",), registry=registry
        )
        self.http_in_flight = Gauge(
            "lockgate_http_requests_in_flight",
            "HTTP requests being answered now",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.problems = Counter("lockgate_problems", "Requests answered with a problem", ("code",), registry=registry)
        self.limited = Counter("lockgate_limited", "Requests refused by a limit", ("reason",), registry=registry)
        self.authentications = Counter(
            "lockgate_authentications",
            "Callers' proofs of identity, and how they ended",
            ("outcome",),
            registry=registry,
        )
        # --- the gate
        self.promotion_requests = Counter(
            "lockgate_promotion_requests",
            "Promotion requests taken in, by how they were answered first",
            ("to_env", "kind", "outcome"),
            registry=registry,
        )
        self.decisions = Counter("lockgate_decisions", "Decisions recorded", ("to_env", "verdict"), registry=registry)
        self.rule_results = Counter(
            "lockgate_rule_results",
            "What became of each rule in each decision (enforce) or forecast (dry_run)",
            ("rule", "verdict", "mode"),
            registry=registry,
        )
        self.signature_verifications = Counter(
            "lockgate_signature_verifications",
            "Evidence verified, or refused with a code",
            ("result",),
            registry=registry,
        )
        self.approval_latency = Histogram(
            "lockgate_approval_latency_seconds",
            "From a request to an approval or rejection of it",
            ("to_env", "role"),
            buckets=_PEOPLE_S,
            registry=registry,
        )
        self.lead_time = Histogram(
            "lockgate_lead_time_seconds",
            "From a request to the decision that allows it",
            ("to_env",),
            buckets=_PEOPLE_S,
            registry=registry,
        )
        # --- rollouts
        self.rollouts = Counter(
            "lockgate_rollouts",
            "Steps after an allow: permits asked for, reports and observations, by where they led",
            ("to_env", "outcome"),
            registry=registry,
        )
        self.rollback_seconds = Histogram(
            "lockgate_rollback_seconds",
            "From the request of a rollback to its version seen running",
            ("to_env",),
            buckets=_ROLLBACK_S,
            registry=registry,
        )
        # --- steps
        self._policy_seconds = Histogram(
            "lockgate_opa_request_seconds",
            "Time for the policy to answer, over HTTP or compiled in",
            ("query",),
            buckets=_STEP_S,
            registry=registry,
        )
        self._evidence_seconds = Histogram(
            "lockgate_evidence_verification_seconds",
            "Time to verify all evidence of one decision",
            buckets=_STEP_S,
            registry=registry,
        )
        self._append_seconds = Histogram(
            "lockgate_ledger_append_seconds",
            "Time until a record is durable, waiting for other writers included",
            buckets=_STEP_S,
            registry=registry,
        )

    def exposition(self, *, database: bool = True) -> Response:
        """Return the counters of all processes of this instance, and what is looked up, in Prometheus' text form.

        Args:
            database: Whether to look there.
        """
        counted = self.registry
        if self._several_processes:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        looked_up = _Told(self._gauges.look() if database else self._gauges.look_without_database())
        text = generate_latest(counted) + generate_latest(looked_up)
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    def count_step(self, name: Step, seconds: float) -> None:
        """Count one step of a request."""
        match name:
            case "policy.evaluate" | "policy.authorize":
                self._policy_seconds.labels(_POLICY_QUERIES[name]).observe(seconds)
            case "evidence.verify":
                self._evidence_seconds.observe(seconds)
            case "audit.append":
                self._append_seconds.observe(seconds)

    def count_request(self, answer: PromotionAnswer, catalogue: PolicyCatalogue) -> None:
        """Count a promotion request; one that was answered before counts as that and makes no new decision."""
        subject = answer.decision.document["subject"]
        outcome = answer.decision.verdict.value if answer.fresh else "replayed"
        self.promotion_requests.labels(_one_of(subject["to"], catalogue.environments), subject["kind"], outcome).inc()
        self.count_decision(answer, catalogue)

    def count_decision(self, answer: PromotionAnswer, catalogue: PolicyCatalogue) -> None:
        """Count a decision, if it was made just now."""
        if not answer.fresh:
            return
        decision = answer.decision
        to_env = _one_of(decision.document["subject"]["to"], catalogue.environments)
        self.decisions.labels(to_env, decision.verdict.value).inc()
        if decision.verdict is Verdict.ALLOW:
            decided = parse_timestamp(decision.document["decided_at"])
            self.lead_time.labels(to_env).observe(_seconds(answer.promotion.created, decided))
        self._count_reasons(decision, catalogue, "enforce")

    def count_approval(self, answer: ApprovalAnswer, catalogue: PolicyCatalogue) -> None:
        """Count an approval or rejection and the decision that it led to."""
        promotion, approval = answer.outcome.promotion, answer.approval
        to_env = _one_of(promotion.request.transition.to_environment, catalogue.environments)
        latency = self.approval_latency.labels(to_env, _one_of(approval.role, catalogue.roles))
        latency.observe(_seconds(promotion.created, approval.approved))
        self.count_decision(answer.outcome, catalogue)

    def count_rollout(self, answer: RolloutAnswer, catalogue: PolicyCatalogue) -> None:
        """Count a permit asked for or a report taken down, and the decision that it led to."""
        promotion = answer.outcome.promotion
        to_env = _one_of(promotion.request.transition.to_environment, catalogue.environments)
        self.rollouts.labels(to_env, promotion.state.value).inc()
        self.count_decision(answer.outcome, catalogue)

    def count_observation(self, answer: ObservationAnswer, catalogue: PolicyCatalogue) -> None:
        """Count what somebody saw running; of a rollback that it confirmed, the time that it took."""
        to_env = _one_of(answer.interval.environment, catalogue.environments)
        self.rollouts.labels(to_env, answer.result).inc()
        promotion = answer.promotion
        if promotion is not None and promotion.request.transition.kind == "rollback" and answer.seconds is not None:
            self.rollback_seconds.labels(to_env).observe(answer.seconds)

    def count_forecast(self, decision: Decision, catalogue: PolicyCatalogue) -> None:
        """Count what a dry run found."""
        self._count_reasons(decision, catalogue, "dry_run")

    def _count_reasons(self, decision: Decision, catalogue: PolicyCatalogue, mode: str) -> None:
        document: dict[str, Any] = decision.document
        known = [rule.rule_id for rule in catalogue.rules]
        for rule in document["rules"]:
            self.rule_results.labels(_one_of(rule["rule_id"], known), rule["status"], mode).inc()
        for _ in document["evidence"]["signatures"]:
            self.signature_verifications.labels("verified").inc()
        for refusal in document["evidence"]["refusals"]:
            self.signature_verifications.labels(refusal["code"]).inc()


class _Told(Collector):
    """Metrics that were made already, as the library wants them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._metrics


def _one_of(value: str, known: Iterable[str]) -> str:
    return value if value in known else OTHER


def _seconds(begin: EpochNs, end: EpochNs) -> float:
    return max(end - begin, 0) / NS_PER_S
