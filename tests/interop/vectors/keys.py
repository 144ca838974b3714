"""Vectors of public keys."""

import base64
import hashlib
from typing import Any

from interop.vectors.small_log import ORIGIN, SIGNER
from lockgate.audit.formats.cosignatures import witness_key_of
from lockgate.audit.formats.notes import NoteKey, make_signer

_P = 2**255 - 19
_Y_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_TOP_BIT = 1 << 255
# The worked example of golang.org/x/mod/sumdb/note.
_GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def keys() -> dict[str, Any]:
    """Return the file."""
    return {
        "description": "Section 3, and witness.md section 1. `type` is 1 for a log's key and 4 for a witness's; a key "
        "of one type is none of the other.",
        "valid": [
            _facts("a log's", SIGNER.verifier_key),
            _facts("a witness's", witness_key_of(SIGNER)),
            _facts("a name outside ASCII", make_signer("w\u00e4chter.example/\u03b1", bytes(32)).verifier_key),
            {
                "name": "of Go's documentation",
                "type": 1,
                "key": _GO_KEY,
                "key_name": "PeterNeumann",
                "key_id": "c74f20a3",
                "public_key": base64.b64decode(_GO_KEY.split("+", 2)[2])[1:].hex(),
            },
        ],
        "invalid": [{"name": name, "type": 1, "key": key} for name, key in _invalid().items()],
    }


def _facts(name: str, key: NoteKey) -> dict[str, Any]:
    return {
        "name": name,
        "type": key.signature_type[0],
        "key": str(key),
        "key_name": key.name,
        "key_id": key.key_id.hex(),
        "public_key": key.public_key.hex(),
    }


def _invalid() -> dict[str, str]:
    good = str(SIGNER.verifier_key)
    name, key_id, encoded = good.split("+", 2)
    public_key = SIGNER.verifier_key.public_key
    worthless = {
        "order 1": 1,
        "order 1, the sign bit set": 1 | _TOP_BIT,
        "order 2": _P - 1,
        "order 2, the sign bit set": (_P - 1) | _TOP_BIT,
        "order 4": 0,
        "order 4, the sign bit set": _TOP_BIT,
        "order 8": _Y_OF_ORDER_8,
        "order 8, the sign bit set": _Y_OF_ORDER_8 | _TOP_BIT,
        "order 8, another": _P - _Y_OF_ORDER_8,
        "order 8, another, the sign bit set": (_P - _Y_OF_ORDER_8) | _TOP_BIT,
        "another encoding of order 4": _P,
        "another encoding of order 1": _P + 1,
        "another encoding of a point": _P + 3,
        "no point of the curve": 2,
        "all bits set": 2**256 - 1,
    }
    return {
        "nothing": "",
        "another key ID": f"{name}+{int(key_id, 16) ^ 1:08x}+{encoded}",
        "a key ID in upper case": f"{name}+{key_id.upper()}+{encoded}",
        "a witness's key": str(witness_key_of(SIGNER)),
        "no name": _spelt("", public_key),
        "a name with a space": _spelt("gate example", public_key),
        "a name with U+00A0": _spelt("gate\u00a0example", public_key),
        "a name with U+0085": _spelt("gate\u0085example", public_key),
        "a name with U+200B": _spelt("gate\u200bexample", public_key),
        "a name of 256 characters": _spelt("n" * 256, public_key),
        "31 bytes": _spelt(ORIGIN, public_key[:31]),
        "33 bytes": _spelt(ORIGIN, public_key + b"\0"),
        "a newline at the end": f"{good}\n",
        "base64 for URLs": good[:-1] + "-",
        "a private key": "PRIVATE+KEY+" + good,
        **{label: _spelt(ORIGIN, y.to_bytes(32, "little")) for label, y in worthless.items()},
    }


def _spelt(name: str, public_key: bytes) -> str:
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public_key).hexdigest()[:8]
    encoded = base64.b64encode(b"\x01" + public_key).decode()
    return f"{name}+{key_id}+{encoded}"
