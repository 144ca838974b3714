"""Calls that register something, read from their requests; and the names in their paths."""

from flask import g, request
from werkzeug.routing import BaseConverter

from lockgate.names import ENVIRONMENT_PATTERN, NAME_PATTERN
from lockgate.registration import Call
from lockgate.web.authentication import caller
from lockgate.web.parameters import json_body


class NameConverter(BaseConverter):
    """A model or version by name in a path, `<name:…>`; names have no colon, so that `:retire` is part of none."""

    regex = NAME_PATTERN


class EnvironmentConverter(BaseConverter):
    """An environment by name in a path, `<environment:…>`."""

    regex = ENVIRONMENT_PATTERN


def call_of_request() -> Call:
    """Return who wants what changed, under which idempotency key."""
    return Call(
        principal=caller(),
        body=json_body(),
        idempotency_key=request.headers.get("Idempotency-Key"),
        trace=g.trace,
    )
