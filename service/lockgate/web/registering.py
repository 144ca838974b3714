"""Calls that register something, read from their requests."""

import re
from typing import Final

from flask import g, request

from lockgate.registration import Call
from lockgate.registry.errors import ModelUnknownError, VersionUnknownError
from lockgate.web.authentication import caller
from lockgate.web.parameters import json_body

_NAME: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII
)  # of models and versions, as promotions name them


def call_of_request() -> Call:
    """Return who wants what changed, under which idempotency key."""
    return Call(
        principal=caller(),
        body=json_body(),
        idempotency_key=request.headers.get("Idempotency-Key"),
        trace=g.trace,
    )


def model_name(name: str) -> str:
    """Return a model's name from a path.

    Raises:
        ModelUnknownError: No model could have it.
    """
    if not _NAME.fullmatch(name):
        raise ModelUnknownError("want the name of a model that is registered")
    return name


def version_name(version: str) -> str:
    """Return a version's name from a path.

    Raises:
        VersionUnknownError: No version could have it.
    """
    if not _NAME.fullmatch(version):
        raise VersionUnknownError("want a version of the model that is registered")
    return version
