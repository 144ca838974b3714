"""A structlog processor that appends each event to a log, or raises.

It is called directly, not through `logging`: `logging.Handler` swallows what goes wrong in it, and an audit event that
could not be written would be lost in silence.
"""

from typing import Final

from structlog.typing import EventDict, WrappedLogger

from lockgate.audit.formats.kind_names import APP_EVENT
from lockgate.audit.types import Actor, Event
from lockgate.audit.writing.log import AuditLog
from lockgate.canonical_json import JSON, SAFE_INTEGER_MAX
from lockgate.clock import Clock
from lockgate.ids import new_id

_ENVELOPE: Final = frozenset({"event", "level"})


class AuditProcessor:
    """Appends each event as an `app.event` record and passes it on unchanged.

    A fact that is no string, boolean, safe integer or None is recorded as `str` writes it; so do not give it secrets.
    """

    def __init__(self, log: AuditLog, *, actor: Actor, clock: Clock) -> None:
        self._log = log
        self._actor = actor
        self._clock = clock

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Append one event.

        Raises:
            AuditError: It was not recorded, for example because a value is longer than `v1/audit/app_event` allows.
            StorageError: It was not recorded: the database cannot be written.
        """
        del logger
        facts = [{"name": name, "value": _json(value)} for name, value in event_dict.items() if name not in _ENVELOPE]
        body = {
            "event": str(event_dict.get("event", "")),
            "level": str(event_dict.get("level", method_name)),
            "facts": facts,
        }
        self._log.append(Event(id=new_id(self._clock.now_ns()), kind=APP_EVENT, actor=self._actor, body=body))
        return event_dict


def _json(value: object) -> JSON:
    if value is None or isinstance(value, str | bool):
        return value
    if type(value) is int and abs(value) <= SAFE_INTEGER_MAX:
        return value
    return str(value)
