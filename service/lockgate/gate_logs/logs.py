"""Which audit log holds a promotion's records: that of its target environment, if that has its own, else the main one.

It is chosen when a promotion is requested, and kept with it. All its records are in that log, so that each of its
transactions locks one log; and another setting later moves nothing that is under way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.audit import AuditLog
from lockgate.canonical_json import parse_canonical
from lockgate.config import MAIN_LOG
from lockgate.gate_logs.errors import LogNotConfiguredError


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """The logs of a gate; an environment's log has the environment's name.

    Attributes:
        main: Holds what concerns no environment, and every promotion into one that has no log of its own.
        by_environment: Each holds the promotions into its environment.
    """

    main: AuditLog
    by_environment: Mapping[str, AuditLog] = field(default_factory=dict)

    def name_for(self, environment: str) -> str:
        """Return the name of the log for promotions into an environment."""
        return environment if environment in self.by_environment else MAIN_LOG

    def named(self, name: str) -> AuditLog:
        """Return a log.

        Raises:
            LogNotConfiguredError: There is no such log. To write to the main one instead would split a promotion.
        """
        if name == MAIN_LOG:
            return self.main
        log = self.by_environment.get(name)
        if log is None:
            raise LogNotConfiguredError(f"want an environment with a log of its own, got {name[:80]!r}")
        return log

    def body(self, name: str, record_id: str) -> Mapping[str, Any]:
        """Return the body of a record.

        Raises:
            LogNotConfiguredError: There is no such log.
            RecordUnknownError: It has no such record.
            RecordPrunedError: It has no such record any more.
            StorageError: The database cannot be read.
        """
        body: Mapping[str, Any] = parse_canonical(self.named(name).record_by_id(record_id).body)["body"]
        return body

    def names(self) -> tuple[str, ...]:
        """Return the names of all, the main one first."""
        return (MAIN_LOG, *sorted(self.by_environment))

    def __iter__(self) -> Iterator[AuditLog]:
        return map(self.named, self.names())
