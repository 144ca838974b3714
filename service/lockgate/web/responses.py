"""Answers as JSON, each validated against its schema before it leaves."""

from typing import Any, ClassVar

import orjson
from flask import Response

from lockgate.errors import LockgateError
from lockgate.schemas import SchemaError, check_schema


class AnswerInvalidError(LockgateError):
    """We made an answer that breaks its schema: a defect of ours, so nothing is sent rather than nonsense."""

    code: ClassVar[str] = "internal.answer"


def json_response(schema: str, document: dict[str, Any], *, status: int = 200) -> Response:
    """Write an answer.

    Args:
        schema: The name of the schema that the document must keep.
        document: What to say.
        status: The HTTP status.

    Raises:
        AnswerInvalidError: The document breaks its schema.
    """
    try:
        check_schema(schema, document)
    except SchemaError as exc:
        raise AnswerInvalidError(f"{schema} at {exc.pointer or '/'}: {exc}") from exc
    return Response(orjson.dumps(document), status=status, mimetype="application/json")
