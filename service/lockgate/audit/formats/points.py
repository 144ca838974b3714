"""Which 32 bytes are an Ed25519 public key that binds its holder. Pure.

Under a public key of low order one signature verifies for many messages, so that its holder can deny what he signed;
a key with two spellings has two key IDs. Libraries accept both kinds. They are refused when a key is imported.

Source: RFC 8032, section 5.1.3 (decoding); "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), section 3.
"""

from typing import Final

from lockgate.audit.errors import KeyInvalidError

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_KEY_BYTES: Final = 32

# The y of the points of order 8; the other two are its negative. Those of order 1, 2 and 4 are 1, -1 and 0.
_Y_OF_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_Y_OF_LOW_ORDER: Final = frozenset({1, _P - 1, 0, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})


def check_public_key(data: bytes) -> None:
    """Make sure that bytes are the canonical encoding of a point on the curve, and not one of low order.

    Raises:
        KeyInvalidError: They are not.
    """
    if len(data) != _KEY_BYTES:
        raise KeyInvalidError(f"want a public key of {_KEY_BYTES} bytes, got {len(data)}")
    y = int.from_bytes(data, "little") & (1 << 255) - 1
    if y >= _P:
        raise KeyInvalidError("want a public key in its canonical encoding")
    if y in _Y_OF_LOW_ORDER:
        raise KeyInvalidError("want a public key that is not of low order")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    root = pow(x_squared, (_P + 3) // 8, _P)
    if x_squared not in {root * root % _P, (root * _SQRT_MINUS_ONE) ** 2 % _P}:
        raise KeyInvalidError("want a public key that is a point on the curve")
