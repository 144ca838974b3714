"""The names of the log's own kinds of record. What each body holds: `schemas/v1/audit/`."""

from typing import Final

GENESIS: Final = "log.genesis"
APP_EVENT: Final = "app.event"
KEY_ROTATE: Final = "log.key.rotate"
KEY_COMPROMISE: Final = "log.key.compromise"
HEARTBEAT: Final = "log.heartbeat"
ANCHOR: Final = "log.anchor"
ERASE: Final = "log.erase"
PRUNE: Final = "log.prune"
RECOVER: Final = "log.recover"
SEAL: Final = "log.seal"
RESUME: Final = "log.resume"
EXPORT: Final = "log.export"
READ: Final = "log.read"
KIND: Final = "log.kind"
