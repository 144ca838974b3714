"""The guarded routes again, under every other spelling: of the path, the method, the body and its type."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from support.guard_attacks import Target, attacks, guarded_routes, spell_paths
from support.mlflow_routes import RouteTable


def _as_it_is(path: str) -> str:
    return path


def _encode_letters(path: str) -> str:
    route, question, query = path.partition("?")
    return re.sub(r"[a-z]", lambda letter: f"%{ord(letter[0]):02x}", route) + question + query


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disguise:
    """How a call is spelled; what is not named is as the ordinary client sends it.

    Attributes:
        method: "" for the route's own.
    """

    path: Callable[[str], str] = _as_it_is
    method: str = ""
    small_method: bool = False
    body: Callable[[dict[str, Any]], bytes] = _body
    headers: Mapping[str, str] = field(default_factory=dict)


_DISGUISES: Final[dict[str, _Disguise]] = {
    "letters of the path encoded": _Disguise(path=_encode_letters),
    "path in capitals": _Disguise(path=str.upper),
    "two slashes": _Disguise(path=lambda path: path.replace("/mlflow", "//mlflow", 1)),
    "a slash behind": _Disguise(path=lambda path: f"{path}/"),
    "a dot in the path": _Disguise(path=lambda path: path.replace("/mlflow", "/./mlflow", 1)),
    "a way back in the path": _Disguise(path=lambda path: path.replace("/mlflow", "/x/../mlflow", 1)),
    "a semicolon": _Disguise(path=lambda path: f"{path};x=y"),
    "the method in small letters": _Disguise(small_method=True),
    "another method": _Disguise(method="PROPFIND"),
    "GET with a body": _Disguise(method="GET", headers={"X-HTTP-Method-Override": "POST"}),
    "HEAD with a body": _Disguise(method="HEAD"),
    "POST that says DELETE": _Disguise(method="POST", headers={"X-HTTP-Method-Override": "DELETE"}),
    "JSON in JSON": _Disguise(body=lambda body: json.dumps(json.dumps(body)).encode()),
    "names that stand twice, first harmless": _Disguise(body=lambda body: _double(_harmless(body), body)),
    "names that stand twice, last harmless": _Disguise(body=lambda body: _double(body, _harmless(body))),
    "names in camelCase": _Disguise(body=lambda body: _body({_camel(name): value for name, value in body.items()})),
    "both spellings of a name": _Disguise(body=lambda body: _body(dict.fromkeys(map(_camel, body), "x") | body)),
    "UTF-16": _Disguise(body=lambda body: json.dumps(body).encode("utf-16")),
    "a byte order mark": _Disguise(body=lambda body: b"\xef\xbb\xbf" + _body(body)),
    "letters escaped": _Disguise(body=lambda body: _body(body).replace(b"a", b"\\u0061")),
    "called text": _Disguise(headers={"Content-Type": "text/plain"}),
    "called a form": _Disguise(headers={"Content-Type": "application/x-www-form-urlencoded"}),
    "JSON with a charset": _Disguise(headers={"Content-Type": "application/json; charset=utf-16"}),
    "two permits": _Disguise(headers={"Lockgate-Permit": "a.b.c, d.e.f"}),
    "no JSON": _Disguise(body=lambda _: b"{"),
    "a list": _Disguise(body=lambda body: json.dumps([body]).encode()),
    "nothing": _Disguise(body=lambda _: b""),
    "deep nesting": _Disguise(body=lambda _: b"[" * 100_000),
}


def _harmless(body: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(body, "harmless")


def _double(first: dict[str, Any], last: dict[str, Any]) -> bytes:
    return b"{" + b",".join(part for part in (_body(first)[1:-1], _body(last)[1:-1]) if part) + b"}"


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)


@pytest.mark.parametrize("disguise", _DISGUISES)
def test_disguised(table: RouteTable, target: Target, disguise: str) -> None:
    """However a call is spelled, it changes nothing of what is protected; how it is answered is MLflow's business."""
    how = _DISGUISES[disguise]
    before = target.look()
    wanted = attacks(target)
    for route in guarded_routes(table):
        path = next(spell_paths(route, target))
        document = wanted[route.endpoint or "_upload_artifact"][0]
        method = how.method or (route.method.lower() if how.small_method else route.method)
        target.mlflow.send(method, how.path(path), body=how.body(document), headers=how.headers)

    assert target.look() == before
