"""The guard in the way of MLflow's native routes, which Flask never sees: uploads of files.

It is the innermost middleware: who calls is known by then. Flask's routes pass through to `flask_routes`.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio.to_thread
from fastapi import FastAPI
from mlflow.exceptions import MlflowException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount

from lockgate_mlflow_guard import log
from lockgate_mlflow_guard.answers import Refusal
from lockgate_mlflow_guard.guard import Guard, unavailable, unknown_route
from lockgate_mlflow_guard.json_text import format_object
from lockgate_mlflow_guard.routes import ARTIFACTS, READING_METHODS, Judged, is_guarded, judge_artifact

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1

_logger: Final = logging.getLogger("lockgate_mlflow_guard")


def stand_before(app: FastAPI, guard: Guard) -> None:
    """Let the guard judge each call of a native route. Call it before the app serves."""
    native = [route for route in app.routes if not isinstance(route, Mount)]
    # `add_middleware` would put it in front of basic-auth, where everybody would learn what is protected.
    app.user_middleware.append(Middleware(_NativeRoutes, guard=guard, native=native))


class _NativeRoutes:
    """An ASGI middleware."""

    def __init__(self, app: Application, guard: Guard, native: list[BaseRoute]) -> None:
        self._app = app
        self._guard = guard
        self._native = native

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or refuse it."""
        if scope["type"] not in {"http", "websocket"} or not is_guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            # MLflow has none there, and what would come through one could not be judged.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        judged = await anyio.to_thread.run_sync(self._judge, scope)
        if isinstance(judged, Response):
            await judged(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope) -> Response | None:
        if scope["method"] in READING_METHODS:
            return None
        if not any(route.matches(scope)[0] == Match.FULL for route in self._native):
            return None  # Flask's
        _, artifacts, artifact_path = scope["path"].partition(ARTIFACTS)
        actor = str(scope.get("state", {}).get("username", ""))
        try:
            if artifacts:
                judged = judge_artifact(self._guard, artifact_path)
            else:
                judged = Judged(act=scope["method"], outcome=unknown_route(), facts={"path": scope["path"]})
        except MlflowException as exc:
            return Response(exc.serialize_as_json(), exc.get_http_status_code(), media_type="application/json")
        except Exception as exc:  # whatever it is, a call that was not judged does not pass
            _logger.exception(
                format_object({"event": "guard_failed", "act": "write_files", "error": type(exc).__name__})
            )
            judged = Judged(act="write_files", outcome=unavailable(), facts={})
        if not isinstance(judged.outcome, Refusal):
            return None
        log.tell(act=judged.act, actor=actor, outcome=judged.outcome, **judged.facts)
        return Response(format_object(judged.outcome.document), judged.outcome.status, media_type="application/json")
