"""Flask: turns HTTP into calls and results into HTTP. Decides nothing.

Promises: every answer, good or bad, is valid under a schema of `schemas/v1/api/`; every error is an RFC 9457 problem
with a stable code; nothing but health is open. May be imported: `create_app`.
"""

from lockgate.web.app import create_app

__all__ = ["create_app"]
