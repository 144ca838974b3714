"""Digests of artifacts, and the one text form they have: `<algorithm>:<lower-case hex>`."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal, NewType, TypeAlias

from lockgate.errors import LockgateError

Sha256Hex = NewType("Sha256Hex", str)
"""64 lower-case hexadecimal digits."""

DigestAlgorithm: TypeAlias = Literal["sha256", "sha512"]

_HEX_DIGITS: Final[dict[DigestAlgorithm, int]] = {"sha256": 64, "sha512": 128}
_HEX: Final = re.compile(r"[0-9a-f]*", re.ASCII)


class DigestError(LockgateError):
    """A digest is not in the one accepted form."""

    code = "digest.malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What an artifact's bytes hash to; two artifacts are the same if and only if their digests are equal."""

    algorithm: DigestAlgorithm
    hex: str

    def __str__(self) -> str:
        """Return `<algorithm>:<hex>`."""
        return f"{self.algorithm}:{self.hex}"


def parse_digest(text: str) -> Digest:
    """Read `sha256:<64 hex digits>` or `sha512:<128 hex digits>`, lower case only.

    Raises:
        DigestError: `text` has another form. An upper-case digest is another form: one value, one spelling.
    """
    algorithm, colon, digits = text.partition(":")
    match algorithm:
        case "sha256" | "sha512" if colon:
            want = _HEX_DIGITS[algorithm]
            if len(digits) != want or not _HEX.fullmatch(digits):
                raise DigestError(
                    f"want {want} lower-case hex digits after '{algorithm}:', got {len(digits)} characters"
                )
            return Digest(algorithm=algorithm, hex=digits)
        case _:
            raise DigestError("want sha256:<hex> or sha512:<hex>")


def sha256_hex(data: bytes) -> Sha256Hex:
    """Return the SHA-256 of `data` in lower-case hex."""
    return Sha256Hex(hashlib.sha256(data).hexdigest())


def sha256_of(data: bytes) -> Digest:
    """Return the SHA-256 digest of `data`."""
    return Digest(algorithm="sha256", hex=sha256_hex(data))
