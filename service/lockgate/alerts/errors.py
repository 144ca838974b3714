"""Why alerts were not taken."""

from typing import ClassVar

from lockgate.config.table_arrays import TableInvalidError
from lockgate.errors import LockgateError


class AlertError(LockgateError):
    """Alerts were not taken; nothing was asked for."""

    code: ClassVar[str] = "alert.failed"


class AlertUnauthenticatedError(AlertError):
    """The sender does not show the token of a source, or there is no such source: it is not told which."""

    code: ClassVar[str] = "alert.unauthenticated"


class AlertSourceUnusableError(AlertError):
    """The source's token cannot be read at the moment, so nobody can show it."""

    code: ClassVar[str] = "alert.source_unusable"


class AlertPayloadError(AlertError):
    """What came is no notification of Alertmanager's version 4."""

    code: ClassVar[str] = "alert.payload_invalid"


class AlertTargetsError(AlertError):
    """One notification is about more models and environments than a group of alerts should be."""

    code: ClassVar[str] = "alert.too_many_targets"


class AlertSettingsError(TableInvalidError):
    """The settings of a source cannot be used."""

    code: ClassVar[str] = "alert.settings_invalid"
