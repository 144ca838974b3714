"""Models and versions are registered, changed and retired here, above `registry` and the audit log.

Promises: nothing of a model changes without a record in the main log, in one transaction; nothing is ever deleted; what
is said of a version never changes; a call that is sent again under its idempotency key is done once.
"""

from lockgate.registration.records import MODEL, REGISTRATION_KINDS, VERSION, Call
from lockgate.registration.registration import Registered, Registration

__all__ = ["MODEL", "REGISTRATION_KINDS", "VERSION", "Call", "Registered", "Registration"]
