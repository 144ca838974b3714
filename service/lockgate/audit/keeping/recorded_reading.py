"""Reading for people, each read recorded: who watches the log is watched by it.

The record is durable before the answer leaves. If it cannot be written there is no answer.
"""

import uuid
from typing import Any, Final, Literal, TypeAlias

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.kind_names import EXPORT, READ
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.types import Actor, Receipt, RecordFilter, StoredRecord
from lockgate.audit.writing.log import AuditLog
from lockgate.clock import format_timestamp

ExportFormat: TypeAlias = Literal["folder", "ocsf", "csv"]
_TIMES: Final = ("since", "until")


class RecordedReader:
    """One log, read by one person or machine.

    Each method raises what the log's own raises, and also, having answered nothing:
        AuditError: The read could not be recorded.
        StorageError: The same.
    """

    def __init__(self, log: AuditLog, actor: Actor, trace: str | None = None) -> None:
        """Take the log, who reads it, and the request id of the read."""
        self._log = log
        self._actor = actor
        self._trace = trace

    def find(
        self, wanted: RecordFilter, *, after: int | None = None, limit: int, newest_first: bool = False
    ) -> tuple[StoredRecord, ...]:
        """Return a page of records, as `LogReader.find` does."""
        page = self._log.find(wanted, after=after, limit=limit, newest_first=newest_first)
        order = "desc" if newest_first else "asc"
        query = describe(wanted, after=after, limit=limit, order=order)
        self._record(READ, {"query": query, "count": len(page)})
        return page

    def receipt(self, seq: int, *, witnessed: bool = False) -> Receipt:
        """Return one record with its receipt, as `LogReader.receipt` does, or `LogReader.witnessed_receipt`."""
        receipt = self._log.witnessed_receipt(seq) if witnessed else self._log.receipt(seq)
        self._record(READ, {"query": f"seq={seq}", "count": 1})
        return receipt

    def tell_of_search(self, query: str, count: int) -> None:
        """Record that attachments were looked for.

        Args:
            query: What kind of search; a text that was looked for does not belong into the log.
            count: How many were found.
        """
        self._record(READ, {"query": query, "count": count})

    def announce_export(self, form: ExportFormat, wanted: RecordFilter) -> None:
        """Record that an export is about to be made; so it holds the record of itself."""
        size = read_checkpoint(self._log.checkpoint()).size
        self._record(EXPORT, {"size": size, "format": form, "filter": describe(wanted)})

    def _record(self, kind: str, body: dict[str, Any]) -> None:
        event = OwnEvent(id=str(uuid.uuid4()), kind=kind, actor=self._actor, body=body, trace=self._trace)
        self._log.append(event)


def describe(wanted: RecordFilter, **page: str | int | None) -> str:
    """Write what was asked for: `name=value` for each condition given, one a line.

    Raises:
        RecordInvalidError: A value has a line break, and could pass for two conditions.
    """
    conditions: dict[str, str | int | None] = {
        name: getattr(wanted, name) for name in ("kind", "actor", "subject", *_TIMES)
    }
    for name in _TIMES:
        time = getattr(wanted, name)
        conditions[name] = None if time is None else format_timestamp(time)
    lines = [f"{name}={value}" for name, value in (conditions | page).items() if value is not None]
    if any("\n" in line for line in lines):
        raise RecordInvalidError("want conditions without line breaks")
    return "\n".join(lines)
