"""Where files are, in one spelling, so that two names of one place can be compared. Pure but for links in folders.

Every doubt is settled towards "the same place": the worst of it is a refusal too many.
"""

import os
import urllib.parse
from typing import Final, TypeAlias

Location: TypeAlias = tuple[str, ...]
"""Scheme, host, and the parts of the path, without case."""

_ARTIFACTS_ROUTE: Final = "/mlflow-artifacts/artifacts/"
_DECODINGS_MAX: Final = 10  # MLflow itself decodes a path this often


class LocationError(Exception):
    """A text names no place that could be compared."""


def locate(uri: str, *, destination: str) -> Location:
    """Say where a URI of MLflow's leads.

    Args:
        uri: Of a run, a logged model or a version: `mlflow-artifacts:/1/models/m-…`, `s3://…`, `file:…`, or a path.
        destination: Where the server itself keeps the files of `mlflow-artifacts:`.

    Raises:
        LocationError: It has no end of percent signs, or no meaning as a URI.
    """
    uri = _decode(uri)
    try:
        parsed = urllib.parse.urlsplit(uri)
    except ValueError as exc:
        raise LocationError("want a URI") from exc
    if parsed.scheme == "mlflow-artifacts":
        # Whatever host it names: MLflow, too, takes every one for itself.
        return locate_below(destination, parsed.path)
    if parsed.scheme in {"http", "https"} and _ARTIFACTS_ROUTE in parsed.path:
        return locate_below(destination, parsed.path.partition(_ARTIFACTS_ROUTE)[2])
    if parsed.scheme in {"", "file"}:
        return _parts("file", "", os.path.realpath(parsed.path))
    return _parts(parsed.scheme, parsed.netloc, parsed.path)


def locate_below(root: str, path: str) -> Location:
    """Say where a relative path below a root leads.

    Raises:
        LocationError: As `locate`.
    """
    root = _decode(root)
    scheme = urllib.parse.urlsplit(root).scheme
    if scheme == "mlflow-artifacts":
        raise LocationError("a server's own files cannot lie in another server's")
    joined = root.partition("?")[0].rstrip("/") + "/" + _decode(path).lstrip("/")
    return locate(joined, destination="")


def overlap(one: Location, other: Location) -> bool:
    """Tell whether one lies within the other, or is it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _parts(scheme: str, host: str, path: str) -> Location:
    names = [name for name in path.replace("\\", "/").split("/") if name not in {"", "."}]
    if ".." in names:
        raise LocationError("want a path without ..")
    return tuple(part.casefold() for part in (scheme, host, *names))


def _decode(text: str) -> str:
    for _ in range(_DECODINGS_MAX):
        decoded = urllib.parse.unquote(text)
        if decoded == text:
            return text
        text = decoded
    raise LocationError(f"want a text that {_DECODINGS_MAX} decodings bring to an end")
