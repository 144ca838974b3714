"""The logs of a gate, and how its rooms tell them something: who did what about which model, when, in which request.

May be imported: everything named here; by pure files from `events`, which needs no log.
"""

from lockgate.gate_logs.errors import LogNotConfiguredError
from lockgate.gate_logs.events import Occasion, actor_of, make_event
from lockgate.gate_logs.logs import Logs

__all__ = ["LogNotConfiguredError", "Logs", "Occasion", "actor_of", "make_event"]
