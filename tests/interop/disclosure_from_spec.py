"""The second verifier's reading of docs/formats/privacy.md, section 1."""

import base64
import binascii
import hashlib
import re
from typing import Any

from interop.verifier_from_spec import RefusedError, parse_canonical, want


def open_disclosure(document: bytes, commitment: str) -> list[Any]:
    """Return the name and the value that a document discloses; `RefusedError` if it does not."""
    want(len(document) <= 16_384 and f"sha256:{hashlib.sha256(document).hexdigest()}" == commitment)
    parts = parse_canonical(_base64url(document.decode("ascii", "replace")))
    want(isinstance(parts, list) and len(parts) == 3)
    salt, name, value = parts
    want(isinstance(salt, str) and len(_base64url(salt)) == 16)
    want(isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]{0,63}", name))
    return [name, value]


def _base64url(text: str) -> bytes:
    want(re.fullmatch("[A-Za-z0-9_-]+", text))
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise RefusedError(str(exc)) from exc
    want(base64.urlsafe_b64encode(data).decode().rstrip("=") == text)
    return data
