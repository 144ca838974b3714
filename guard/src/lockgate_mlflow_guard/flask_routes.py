"""The guard in the way of Flask's routes: behind MLflow's own checks of who calls, in front of every handler.

Not as one middleware around everything: there the guard would have to route and parse a second time, and what two
parsers read in two ways is a way past one of them. Here Flask has routed, MLflow has authenticated, and MLflow's own
parser reads the body.
"""

import logging
from typing import Final

import flask
from mlflow.exceptions import MlflowException

from lockgate_mlflow_guard import log
from lockgate_mlflow_guard.answers import Refusal
from lockgate_mlflow_guard.guard import Guard, unavailable, unknown_route
from lockgate_mlflow_guard.json_text import format_object
from lockgate_mlflow_guard.routes import HARMLESS, JUDGES, READING_METHODS, Judged, is_guarded

_logger: Final = logging.getLogger("lockgate_mlflow_guard")


def stand_before(app: flask.Flask, guard: Guard) -> None:
    """Let the guard judge each call before its handler runs. Call it after MLflow's basic-auth was put on the app."""

    def judge_call() -> flask.Response | None:
        request = flask.request
        # No endpoint: no handler will run, Flask answers 404 or 405.
        if request.method in READING_METHODS or request.endpoint is None:
            return None
        if request.endpoint not in JUDGES:
            if request.endpoint in HARMLESS or not is_guarded(str(request.url_rule)):
                return None
            return _refuse(unknown_route(), act=request.endpoint)
        try:
            judged = JUDGES[request.endpoint](guard)
        except MlflowException as exc:
            # What MLflow itself cannot read or find it refuses in these words, one step later.
            return flask.Response(exc.serialize_as_json(), exc.get_http_status_code(), mimetype="application/json")
        except Exception as exc:  # whatever it is, a call that was not judged does not pass
            _logger.exception(
                format_object({"event": "guard_failed", "act": request.endpoint, "error": type(exc).__name__})
            )
            return _refuse(unavailable(), act=request.endpoint)
        return _answer(judged)

    app.before_request(judge_call)


def _answer(judged: Judged) -> flask.Response | None:
    if judged.outcome is None:
        return None
    if isinstance(judged.outcome, Refusal):
        return _refuse(judged.outcome, act=judged.act, **judged.facts)
    log.tell(act=judged.act, actor=_actor(), outcome=judged.outcome, **judged.facts)
    return None


def _refuse(refusal: Refusal, *, act: str, **facts: str) -> flask.Response:
    log.tell(act=act, actor=_actor(), outcome=refusal, **facts)
    return flask.Response(format_object(refusal.document), refusal.status, mimetype="application/json")


def _actor() -> str:
    return str(getattr(flask.g, "mlflow_authenticated_user", "") or "")
