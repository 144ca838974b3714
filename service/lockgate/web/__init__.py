"""Flask: turns HTTP into calls and results into HTTP. Decides nothing.

Promises: every answer, good or bad, is valid under a schema of `schemas/v1/api/`; every error is an RFC 9457 problem
with a stable code; nothing but health is open. May be imported: `lockgate.web.app.create_app` and
`lockgate.web.server.Server`. This file imports nothing: the metrics library must not be loaded before the server has
said where its processes share their counters.
"""
