"""What the logs say of live intervals. Who can write the table cannot write the log, so a row alone says nothing.

An interval is two facts: the record that it began with, and that the next one of its model and environment begins where
it ends. Both are looked up from the row; where the row is another one's, or is missing, the records say so.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from lockgate.audit import LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import EpochNs
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.lifecycle.intervals import INTERVAL_KINDS, LiveInterval, begun_by
from lockgate.lifecycle.types import RecordPlace

RECORDS_MAX: Final = 5_000  # of a model's other environments, looked through for the next interval: some 50 ms
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInterval:
    """What the log says of an interval.

    Attributes:
        record: The one that it began with; None where it was pruned, or is in a log that is not configured any more.
        place: Where that record is.
        is_proven: The log has all of it: how it began, and that it ends where it says. Else, as far as is left to look
            through, nothing speaks against it.
    """

    record: dict[str, Any] | None
    place: RecordPlace | None
    is_proven: bool


def check_interval(logs: Logs, interval: LiveInterval, when: EpochNs | None = None) -> RecordedInterval:
    """Make sure that an interval is as the log has it.

    The steps:
      (1) The record that it names says that it began: what, where, when.
      (2) The next interval of the model in the environment begins where it ends; if it lasts, there is none.
      (3) It holds the instant that is asked about.

    Args:
        logs: Of the gate.
        interval: As its row has it.
        when: The instant; None: now.

    Raises:
        LogInconsistentError: A step fails.
        StorageError: The database cannot be read.
    """
    # (1) How it began.
    record, place = _find(logs, interval)
    if record is not None and (
        record["kind"] not in INTERVAL_KINDS or begun_by(interval.log, record) != replace(interval, ends=None)
    ):
        raise _differs(interval.model, interval.environment)
    # (2) Where it ends.
    search = _Search(model=interval.model, environment=interval.environment)
    begins: list[EpochNs] = []
    is_whole = True
    for name in _names(logs, interval.environment, interval.log):
        own = name == interval.log
        after = place.seq if own and place is not None else None
        behind = None if own else interval.begins  # records of another log follow it if they are later
        found, searched = search.first(logs, name, after=after, behind=behind)
        begins += found
        is_whole = is_whole and searched
    ends = min(begins, default=None)
    is_earlier = ends is not None and (interval.ends is None or ends < interval.ends)
    if is_earlier or (is_whole and ends != interval.ends):
        raise _differs(interval.model, interval.environment)
    # (3) The instant.
    if when is not None and not (interval.begins <= when and (interval.ends is None or when < interval.ends)):
        raise _differs(interval.model, interval.environment)
    return RecordedInterval(record=record, place=place, is_proven=is_whole and record is not None)


def check_nothing(logs: Logs, model: str, environment: str, when: EpochNs | None) -> bool:
    """Make sure that, as far as the logs say, nothing had been seen by an instant; tell whether all was looked through.

    Of pruned logs what is left is all.

    Args:
        logs: Of the gate.
        model: The model.
        environment: Where.
        when: The instant; None: by now.

    Raises:
        LogInconsistentError: Something had.
        StorageError: The database cannot be read.
    """
    search = _Search(model=model, environment=environment)
    is_whole = True
    for name in _names(logs, environment):
        found, searched = search.first(logs, name, after=None, behind=None)
        if any(when is None or begins <= when for begins in found):
            raise _differs(model, environment)
        is_whole = is_whole and searched
    return is_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    model: str
    environment: str

    def first(
        self, logs: Logs, name: str, *, after: int | None, behind: EpochNs | None
    ) -> tuple[tuple[EpochNs, ...], bool]:
        """Return when the first intervals of a log behind a position or an instant begin, one of each kind of record.

        Also tells whether all was looked through that there is.
        """
        begins: list[EpochNs] = []
        is_whole = True
        for kind in sorted(INTERVAL_KINDS):
            found, searched = self._first_of(logs, name, kind, after, behind)
            begins += () if found is None else (found,)
            is_whole = is_whole and searched
        return tuple(begins), is_whole

    def _first_of(
        self, logs: Logs, name: str, kind: str, after: int | None, behind: EpochNs | None
    ) -> tuple[EpochNs | None, bool]:
        # A record is never written before what it tells begins, so that those of before need not be read.
        wanted = RecordFilter(kind=kind, subject=f"model:{self.model}", since=behind)
        here = b'"environment":' + canonicalize(self.environment)
        for _ in range(RECORDS_MAX // _PAGE):
            page = logs.named(name).find(wanted, after=after, limit=_PAGE)
            for stored in page:
                if here not in stored.body:  # its bytes are canonical: cheaper than to read it
                    continue
                begun = begun_by(name, parse_canonical(stored.body))
                if begun.environment == self.environment and (behind is None or begun.begins > behind):
                    return begun.begins, True
            if len(page) < _PAGE:
                return None, True
            after = page[-1].seq
        return None, False


def _find(logs: Logs, interval: LiveInterval) -> tuple[dict[str, Any] | None, RecordPlace | None]:
    try:
        stored = logs.named(interval.log).record_by_id(interval.record_id)
    except (RecordPrunedError, LogNotConfiguredError):
        return None, None
    except RecordUnknownError as exc:
        raise _differs(interval.model, interval.environment) from exc
    record: dict[str, Any] = parse_canonical(stored.body)
    return record, RecordPlace(kind=record["kind"], id=interval.record_id, seq=stored.seq)


def _names(logs: Logs, environment: str, *more: str) -> Collection[str]:
    # The main log, too: intervals may be of before the environment had a log of its own.
    return {MAIN_LOG, logs.name_for(environment), *more}.intersection(logs.names())


def _differs(model: str, environment: str) -> LogInconsistentError:
    return LogInconsistentError(f"want what is live of {model[:128]} in {environment[:64]} as the log has it")
