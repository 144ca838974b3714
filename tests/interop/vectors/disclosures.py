"""Vectors of salted disclosures."""

import base64
from typing import Any

from lockgate.audit.formats.disclosures import commit, commitment_of
from lockgate.canonical_json import canonicalize

_SALT = bytes(range(16))


def disclosures() -> dict[str, Any]:
    """Return the file."""
    return {
        "description": "privacy.md section 1. Whatever is below `invalid` is no disclosure of its commitment.",
        "valid": [
            {"name": name, "document": document, "commitment": commitment, "discloses": [label, value]}
            for name, (document, commitment, label, value) in _valid().items()
        ],
        "invalid": [
            {"name": name, "document": document, "commitment": commitment_of(document.encode())}
            for name, document in _invalid().items()
        ]
        + [{"name": "another commitment", "document": _worked(), "commitment": commitment_of(b"another")}],
    }


def _worked() -> str:
    return commit("identity", "ann@example.com", _salt).document.decode()


def _salt(count: int) -> bytes:
    return _SALT[:count]


def _valid() -> dict[str, tuple[str, str, str, Any]]:
    nested: Any = "deep"
    for _ in range(7):
        nested = [nested]
    values: dict[str, tuple[str, Any]] = {
        "the worked example": ("identity", "ann@example.com"),
        "the longest name": ("n" * 64, ""),
        "null": ("a", None),
        "a number": ("n_1", -(2**53 - 1)),
        "an object": ("address", {"city": "K\u00f6ln", "lines": ["\u2028", "\U0001f600"]}),
        "eight levels": ("deep", nested),
    }
    made = {name: commit(label, value, _salt) for name, (label, value) in values.items()}
    return {name: (one.document.decode(), one.commitment, one.name, one.value) for name, one in made.items()}


def _invalid() -> dict[str, str]:
    salt, worked = _encoded(_SALT), _worked()
    nested: Any = "deep"
    for _ in range(8):
        nested = [nested]
    lists: dict[str, list[Any]] = {
        "a list of two": [salt, "identity"],
        "a list of four": [salt, "identity", "ann", "bob"],
        "a salt of 15 bytes": [_encoded(_SALT[:15]), "identity", "ann"],
        "a salt of 17 bytes": [_encoded(_SALT + b"\0"), "identity", "ann"],
        "a salt with padding": [f"{salt}==", "identity", "ann"],
        "a salt with spare bits": [f"{salt[:-1]}x", "identity", "ann"],
        "a salt that is no text": [1, "identity", "ann"],
        "a salt outside ASCII": [f"{salt[:-1]}\u00e9", "identity", "ann"],
        "an empty name": [salt, "", "ann"],
        "a name in upper case": [salt, "Identity", "ann"],
        "a name of 65 characters": [salt, "n" * 65, "ann"],
        "a name that is no text": [salt, None, "ann"],
    }
    texts = {
        "white space": f'["{salt}", "identity","ann"]',
        "an escape that is not needed": f'["{salt}","identity","\\u0061nn"]',
        "a float": f'["{salt}","identity",1.0]',
        "nine levels": f'["{salt}","identity",{"[" * 8}{"]" * 8}]',
        "no list": f'{{"salt":"{salt}"}}',
        "no JSON": "ann",
        "longer than the limit": f'["{salt}","text","{"x" * 12_288}"]',
    }
    return {
        "nothing": "",
        "padding": f"{worked}==",
        "another alphabet": base64.b64encode(canonicalize([salt, "identity", "\u00ff?>"])).decode().rstrip("="),
        "spare bits": f"{worked[:-1]}R",
        "a newline": f"{worked}\n",
        **{name: _encoded(canonicalize(parts)) for name, parts in lists.items()},
        **{name: _encoded(text.encode()) for name, text in texts.items()},
    }


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
