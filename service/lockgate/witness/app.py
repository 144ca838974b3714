"""The witness over HTTP: two routes, plain text. Everybody may ask; the log's signature is the only credential."""

from http import HTTPStatus
from typing import Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from lockgate.audit.formats.submissions import SUBMISSION_BYTES_MAX
from lockgate.errors import LockgateError
from lockgate.witness.rules import Refusal, RefusalCode
from lockgate.witness.witness import Witness

TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"
_STATUS: Final[dict[RefusalCode, HTTPStatus]] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "log_unknown": HTTPStatus.NOT_FOUND,
    "signature_untrusted": HTTPStatus.FORBIDDEN,
    "old_size_above": HTTPStatus.BAD_REQUEST,
    "old_size_stale": HTTPStatus.CONFLICT,
    "root_differs": HTTPStatus.CONFLICT,
    "proof_invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
}


def create_witness_app(witness: Witness) -> Flask:
    """Make the application."""
    app = Flask("lockgate_witness", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = SUBMISSION_BYTES_MAX
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.post("/add-checkpoint")
    def add_checkpoint() -> Response:
        answer = witness.add_checkpoint(request.get_data(cache=False))
        if not isinstance(answer, Refusal):
            return _text(answer.line)
        structlog.get_logger().info(
            "checkpoint_refused",
            code=answer.code,
            detail=answer.detail,
            # With the checkpoint that was cosigned it may prove that the log misbehaved; the witness alone has both.
            evidence=answer.evidence.decode() if answer.evidence else None,
        )
        if answer.size is not None:
            return Response(f"{answer.size}\n", status=_STATUS[answer.code], content_type=SIZE)
        return _text(f"{answer.code}: {answer.detail}\n", _STATUS[answer.code])

    @app.get("/<string(length=64):origin_sha256>/checkpoint")
    def checkpoint(origin_sha256: str) -> Response:
        note = witness.cosigned(origin_sha256)
        if note is None:
            return _text("this witness cosigned no checkpoint of such a log\n", HTTPStatus.NOT_FOUND)
        return _text(note.decode())

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response:
        return _text(f"{error.name}\n", HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))

    @app.errorhandler(LockgateError)
    def fail(error: LockgateError) -> Response:
        structlog.get_logger().error("witness_failed", code=error.code, detail=str(error))
        return _text("the witness cannot answer now; try again\n", HTTPStatus.SERVICE_UNAVAILABLE)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        route = request.url_rule.rule if request.url_rule else "unmatched"
        structlog.get_logger().info("http_request", method=request.method, route=route, status=response.status_code)
        return response

    return app


def _text(content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(content, status=status, content_type=TEXT)
