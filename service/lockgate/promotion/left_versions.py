"""What rollbacks moved away from, by the records of their holds. Who can write the tables cannot write the log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.promotion.kinds import HOLD

_PAGE: Final = 64  # records looked at together: more than the holds that most models ever had
RECORDS_MAX: Final = 1024  # looked back at in each log: a rollback a day for more than a year


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftVersion:
    """A version that a rollback moved away from.

    Attributes:
        version: "" where nobody knows.
        promotion_id: What had brought it; "" = out of band.
    """

    version: str
    digest: str
    promotion_id: str


def find_left(logs: Logs, model: str, environment: str) -> tuple[tuple[EpochNs, LeftVersion], ...]:
    """Return everything that rollbacks left, each with the time at which one did.

    Of a pruned log only what is left is looked at.

    Raises:
        StorageError: The database cannot be read.
    """
    return tuple(_left_in(_hold_bodies(logs, model, environment)))


def find_left_under_hold(logs: Logs, model: str, environment: str) -> tuple[LeftVersion, ...]:
    """Return what rollbacks left since a person lifted a hold there last. Raises as `find_left`."""
    since = []
    for body in _hold_bodies(logs, model, environment):
        if body["change"] == "lifted":
            break
        since.append(body)
    return tuple(left for _, left in _left_in(since))


def _left_in(bodies: list[Mapping[str, Any]]) -> Iterator[tuple[EpochNs, LeftVersion]]:
    for body in bodies:
        for left in body.get("left", ()):  # holds of before this was recorded have none, and so have those of findings
            yield (
                parse_timestamp(body["changed_at"]),
                LeftVersion(version=left["version"], digest=left["digest"], promotion_id=left["promotion_id"]),
            )


def _hold_bodies(logs: Logs, model: str, environment: str) -> list[Mapping[str, Any]]:
    # Both logs, the newest first: a rollback may be of before the environment had a log of its own.
    bodies = [
        body
        for name in sorted({MAIN_LOG, logs.name_for(environment)})
        for body in _bodies_in(logs.named(name), model)
        if body["environment"] == environment
    ]
    return sorted(bodies, key=lambda body: str(body["changed_at"]), reverse=True)


def _bodies_in(log: AuditLog, model: str) -> Iterator[Mapping[str, Any]]:
    wanted = RecordFilter(kind=HOLD, subject=f"model:{model}")
    after: int | None = None
    for _ in range(RECORDS_MAX // _PAGE):
        page = log.find(wanted, after=after, limit=_PAGE, newest_first=True)
        for record in page:
            body: Mapping[str, Any] = parse_canonical(record.body)["body"]
            yield body
        if len(page) < _PAGE:
            return
        after = page[-1].seq
