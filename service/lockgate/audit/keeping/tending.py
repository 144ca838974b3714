"""Tending a log: what it needs besides its writers, by one process beside them.

In each round: look whether the log is whole at its end; write a heartbeat where there was silence, so that a log that
was cut short differs from one of which nothing was asked, or where the gate has other logs than the last one names; ask
witnesses to cosign; have a checkpoint stamped by an authority, and signed by a program. Each act finds out from the log
itself whether it is due, so that rounds may be missed, doubled or interrupted. One act that fails never stops the
others. Nothing of this is needed for a record to be durable and provable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import Engine

from lockgate.audit import store
from lockgate.audit.errors import AuditError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import verify_cosignatures
from lockgate.audit.formats.kind_names import HEARTBEAT
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.anchors import (
    CLOCK_SKEW_NS,
    AnchorType,
    TimestampAuthorities,
    anchor_event,
    ask_authorities,
    due_checkpoint,
    is_young,
)
from lockgate.audit.keeping.bundles import BundleProgram, BundleRefusal, ask_for_bundle
from lockgate.audit.keeping.witness_client import Collection, collect_cosignatures
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.types import Actor, RecordFilter
from lockgate.audit.writing.log import AuditLog
from lockgate.clock import NS_PER_S, Clock, EpochNs, parse_timestamp
from lockgate.errors import LockgateError
from lockgate.ids import new_id
from lockgate.storage import read_transaction, write_transaction

TENDER: Final = Actor(type="system", id="tend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """How often, in seconds."""

    heartbeat_s: float  # a record at least
    cosign_s: float  # witnesses are asked at most
    anchor_s: float  # a checkpoint is anchored, where the log grew

    @property
    def round_s(self) -> float:
        """How long to wait between two rounds: a heartbeat is written in the third quarter of its interval."""
        return min(self.heartbeat_s / 4, self.cosign_s, self.anchor_s)


class Tender:
    """Tends one log. Several may tend the same one: then there are more heartbeats and anchors than need be."""

    def __init__(  # noqa: PLR0913 - each argument is one thing that tending needs
        self,
        *,
        log: AuditLog,
        engine: Engine,
        clock: Clock,
        intervals: Intervals,
        policy: LogPolicy | None = None,
        authorities: TimestampAuthorities | None = None,
        bundles: BundleProgram | None = None,
    ) -> None:
        """Take what tending needs.

        Args:
            log: The log, to write to.
            engine: Its database.
            clock: The one that the log's records have their times from.
            intervals: How often.
            policy: Its witnesses are asked for cosignatures; None for nobody.
            authorities: Are asked for timestamps; None for nobody.
            bundles: Is asked for Sigstore bundles; None for nobody.
        """
        self._log = log
        self._lines: structlog.stdlib.BoundLogger = structlog.get_logger().bind(log=log.origin)
        self._engine = engine
        self._clock = clock
        self._intervals = intervals
        self._policy = policy
        self._authorities = authorities
        self._bundles = bundles
        self._asked_s: float | None = None  # when the witnesses were asked last
        # By this clock, unlike the records' times, which never go back: while the clock is behind the log, those tell
        # nothing, and these keep each round from doing everything again.
        self._beat_at = EpochNs(0)
        self._anchored_at: dict[AnchorType, EpochNs] = {}

    def tend(self) -> bool:
        """Do all that is due.

        Returns:
            Whether everything that was due was done; if not, the log lines say what was not.
        """
        acts: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("check", self._check),
            ("heartbeat", self._beat),
            ("cosign", self._cosign),
            ("anchor", self._anchor),
            ("bundle", self._bundle),
        )
        done = [self._attempt(name, act) for name, act in acts]  # every one, whatever came of those before
        return all(done)

    def _attempt(self, name: str, act: Callable[[], bool]) -> bool:
        try:
            return act()
        except LockgateError as exc:
            self._lines.error("tending_failed", act=name, code=exc.code, detail=str(exc))
        except Exception:  # noqa: BLE001 - a defect in one act must not end the others
            self._lines.exception("tending_failed", act=name, code=LockgateError.code)
        return False

    def _check(self) -> bool:
        self._log.check_head()
        return True

    def _beat(self) -> bool:
        interval_s = self._intervals.heartbeat_s
        newest = self._log.find(RecordFilter(), limit=1, newest_first=True)
        now = self._clock.now_ns()
        newest_at = parse_timestamp(parse_record(newest[0].body)["ts"]) if newest else EpochNs(0)
        if newest_at - now > CLOCK_SKEW_NS:
            self._lines.warning("clock_behind_log", behind_s=(newest_at - now) // NS_PER_S)
        is_young_enough = any(is_young(at, int(interval_s / 2 * NS_PER_S), now) for at in (newest_at, self._beat_at))
        origins = self._other_logs()
        if is_young_enough and origins == self._logs_named():
            return True
        body: dict[str, Any] = {"interval_s": int(interval_s)}
        if origins:
            body["origins"] = origins
        receipt = self._log.append(OwnEvent(id=new_id(now), kind=HEARTBEAT, actor=TENDER, body=body))
        self._beat_at = now
        self._lines.info("heartbeat_recorded", seq=receipt.seq)
        return True

    def _other_logs(self) -> list[str]:
        """Return the gate's other logs, if this is its main one: those whose names continue this one's."""
        with read_transaction(self._engine) as connection:
            return [log for log in store.read_logs(connection) if log.startswith(f"{self._log.origin}/")]

    def _logs_named(self) -> list[str]:
        newest = self._log.find(RecordFilter(kind=HEARTBEAT), limit=1, newest_first=True)
        named: list[str] = parse_record(newest[0].body)["body"].get("origins", []) if newest else []
        return named

    def _cosign(self) -> bool:
        if self._policy is None or not any(witness.url for witness in self._policy.witnesses):
            return True
        now_s = monotonic()
        if self._asked_s is not None and now_s - self._asked_s < self._intervals.cosign_s:
            return True
        with read_transaction(self._engine) as connection:
            previous = store.read_newest_cosigned(connection, self._log.origin)
        if previous is not None and self._is_complete(previous, self._policy):
            return True
        self._asked_s = now_s
        collection = collect_cosignatures(self._log, self._policy, self._keep_cosigned, previous=previous)
        self._tell(collection)
        return not collection.refusals

    def _is_complete(self, cosigned: bytes, policy: LogPolicy) -> bool:
        """Tell whether a cosigned note is the newest checkpoint, with the lines of every witness that can be asked."""
        newest = read_checkpoint(self._log.checkpoint())
        asked = [witness.key for witness in policy.witnesses if witness.url]
        try:
            return read_checkpoint(cosigned) == newest and len(verify_cosignatures(cosigned, asked)) == len(asked)
        except AuditError:  # somebody changed what is kept: then it is asked for anew
            return False

    def _keep_cosigned(self, size: int, note: bytes) -> None:
        with write_transaction(self._engine) as connection:
            store.add_cosigned(connection, self._log.origin, size, note)

    def _tell(self, collection: Collection) -> None:
        if collection.cosigned:
            self._lines.info(
                "checkpoint_cosigned",
                size=collection.size,
                witnesses=[one.witness for one in collection.cosigned],
                quorum_met=collection.quorum_met,
            )
        for witness, refusal in collection.refusals:
            # A contradiction is not the witness's trouble: it saw a history of this log that this one does not go on.
            tell = self._lines.error if refusal.contradicts else self._lines.warning
            tell(
                "witness_contradicts" if refusal.contradicts else "witness_failed",
                witness=witness,
                size=collection.size,
                code=refusal.code,
                detail=refusal.detail,
            )

    def _anchor(self) -> bool:
        if self._authorities is None or (note := self._due("rfc3161")) is None:
            return True
        timestamp, refusals = ask_authorities(note, self._authorities)
        for refusal in refusals:
            self._lines.warning("authority_failed", url=refusal.url, code=refusal.code, detail=refusal.detail)
        if timestamp is None:
            return False
        self._record("rfc3161", note, timestamp.token, timestamp.time)
        return True

    def _bundle(self) -> bool:
        if self._bundles is None or (note := self._due("sigstore")) is None:
            return True
        bundle = ask_for_bundle(note, self._bundles)
        if isinstance(bundle, BundleRefusal):
            self._lines.warning("bundle_failed", code=bundle.code, detail=bundle.detail)
            return False
        self._record("sigstore", note, bundle.evidence, bundle.time)
        return True

    def _due(self, anchor_type: AnchorType) -> bytes | None:
        self._log.check_head()  # nobody is asked about a log that could not record the answer
        now, interval_ns = self._clock.now_ns(), int(self._intervals.anchor_s * NS_PER_S)
        if is_young(self._anchored_at.get(anchor_type, EpochNs(0)), interval_ns, now):
            return None
        return due_checkpoint(self._log, anchor_type, interval_ns, now)

    def _record(self, anchor_type: AnchorType, note: bytes, evidence: bytes, time: EpochNs | None) -> None:
        now = self._clock.now_ns()
        if time is not None and abs(now - time) > CLOCK_SKEW_NS:  # while it is less than what a verifier allows
            self._lines.warning("clock_contradicted", ahead_s=(now - time) // NS_PER_S)
        receipt = self._log.append(anchor_event(anchor_type, note, evidence, time=time, actor=TENDER, now=now))
        self._anchored_at[anchor_type] = now
        self._lines.info("checkpoint_anchored", type=anchor_type, size=read_checkpoint(note).size, seq=receipt.seq)
