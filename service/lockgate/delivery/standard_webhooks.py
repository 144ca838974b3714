"""Signatures of messages as Standard Webhooks has them: HMAC-SHA256 over id, time and the exact body. Pure.

    webhook-id: 0199c0de-…              the same each time that a message is sent
    webhook-timestamp: 1763884800       when this attempt was made, seconds since the epoch
    webhook-signature: v1,K5oZ… v1,Ceo5…   one for each secret that is good at the moment

Source: Standard Webhooks, "Signature scheme" and "Verifying signatures".
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.errors import SecretInvalidError, SignatureInvalidError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how a secret begins, not one
SECRET_BYTES_MIN: Final = 24  # of the standard, as is the next
SECRET_BYTES_MAX: Final = 64
SKEW_S_MAX: Final = 300  # how far a receiver's clock and ours may differ; what is older may be a replay
SIGNATURES_MAX: Final = 16  # looked at in one message; two secrets are good at once, never many
_VERSION: Final = "v1,"


def parse_secret(text: str) -> bytes:
    """Read a secret.

    Args:
        text: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        SecretInvalidError: It is none.
    """
    encoded = text.removeprefix(SECRET_PREFIX)
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # not chained: a traceback might show it
        secret = b""
    if not text.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        want = f"want {SECRET_PREFIX} and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes in base64"
        raise SecretInvalidError(want)
    return secret


def sign(secrets: Sequence[bytes], *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message.

    Args:
        secrets: The current one, and the former one while receivers change over.
        message_id: Holds no full stop, so that the parts of what is signed cannot be shifted.
        timestamp_s: When this attempt is made, seconds since the epoch.
        body: What is sent.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(
            _VERSION + base64.b64encode(_mac(secret, message_id, timestamp_s, body)).decode() for secret in secrets
        ),
    }


def verify(  # noqa: PLR0913 - the parts of a message
    secrets: Sequence[bytes], *, message_id: str, timestamp: str, signature: str, body: bytes, now: EpochNs
) -> None:
    """Make sure that a message comes from whoever holds one of the secrets, and was sent just now.

    That it was not received before, the caller must see to, by `message_id`.

    The steps:
      (1) The time is written in the one way, and within `SKEW_S_MAX` of ours.
      (2) One of the signatures is ours; the time that takes tells nothing.

    Args:
        secrets: Each that may have signed.
        message_id: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`.
        signature: The header `webhook-signature`.
        body: The exact bytes that came.
        now: Our time.

    Raises:
        SignatureInvalidError: A step fails.
    """
    # (1) The time.
    if not timestamp.isascii() or not timestamp.isdecimal() or str(int(timestamp[:20])) != timestamp:
        raise SignatureInvalidError("want webhook-timestamp in seconds since the epoch")
    if abs(now // NS_PER_S - int(timestamp)) > SKEW_S_MAX:
        raise SignatureInvalidError(f"want a message of the last {SKEW_S_MAX} s")
    # (2) A signature. Parts that have no full stop cannot be shifted into one another.
    given = [part for part in signature.split(" ")[:SIGNATURES_MAX] if part.startswith(_VERSION)]
    good = [_mac(secret, message_id, int(timestamp), body) for secret in secrets]
    matches = [
        hmac.compare_digest(_VERSION.encode() + base64.b64encode(mac), part.encode()) for mac in good for part in given
    ]
    if "." in message_id or not any(matches):
        raise SignatureInvalidError("want a signature of the secret that was agreed on")


def _mac(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> bytes:
    return hmac.new(secret, f"{message_id}.{timestamp_s}.".encode() + body, hashlib.sha256).digest()
