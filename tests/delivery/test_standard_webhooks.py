"""Signatures as Standard Webhooks has them: made as others make them, and refused for everything that is amiss."""

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.errors import SecretInvalidError, SignatureInvalidError
from lockgate.delivery.standard_webhooks import SKEW_S_MAX, parse_secret, sign, verify

# A published example of the specification's own libraries: secret, id, time, body and the signature of them.
SECRET_TEXT: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID: Final = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME_S: Final = 1614265330
BODY: Final = b'{"test": 2432232314}'
SIGNATURE: Final = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

SECRET: Final = parse_secret(SECRET_TEXT)
OTHER: Final = b"o" * 24


def check(secrets: Sequence[bytes] = (SECRET,), *, now_s: int = TIME_S, **changes: Any) -> None:
    """Verify the published message, with something else in the place of a part."""
    parts: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "timestamp": str(TIME_S),
        "signature": SIGNATURE,
        "body": BODY,
        **changes,
    }
    verify(secrets, now=EpochNs(now_s * NS_PER_S), **parts)


def test_the_published_example() -> None:
    """What others sign verifies here, and is what we sign."""
    check()

    assert sign((SECRET,), message_id=MESSAGE_ID, timestamp_s=TIME_S, body=BODY) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIME_S),
        "webhook-signature": SIGNATURE,
    }


def test_one_of_several_signatures_is_enough() -> None:
    """While secrets change, each of those who know one of them verifies; versions that nobody knows are passed over."""
    both = sign((OTHER, SECRET), message_id=MESSAGE_ID, timestamp_s=TIME_S, body=BODY)["webhook-signature"]

    check((SECRET,), signature=f"v1a,AAAA {both}")
    check((OTHER,), signature=both)
    check((b"x" * 24, OTHER), signature=both)


@pytest.mark.parametrize("now_s", [TIME_S - SKEW_S_MAX, TIME_S + SKEW_S_MAX])
def test_clocks_may_differ_a_little(now_s: int) -> None:
    """Up to the limit, before and after."""
    check(now_s=now_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"now_s": TIME_S - SKEW_S_MAX - 1},
        {"now_s": TIME_S + SKEW_S_MAX + 1},
        {"timestamp": f"0{TIME_S}"},
        {"timestamp": f"+{TIME_S}"},
        {"timestamp": f"{TIME_S}.0"},
        {"timestamp": ""},
        {"timestamp": "9" * 5000},
        {"timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"timestamp": str(TIME_S + 1)},
        {"body": BODY + b" "},
        {"message_id": MESSAGE_ID + "x"},
        {"signature": SIGNATURE.removeprefix("v1,")},
        {"signature": SIGNATURE.replace("v1,", "v2,")},
        {"signature": SIGNATURE[:-2]},
        {"signature": "v1,"},
        {"signature": ""},
        {"signature": " ".join(["v1,AAAA"] * 16 + [SIGNATURE])},
        {"secrets": (OTHER,)},
        {"secrets": ()},
    ],
    ids=str,
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    """A time that is not now, a part that is not what was signed, a signature of another form or secret."""
    with pytest.raises(SignatureInvalidError) as caught:
        check(**changes)

    assert caught.value.code == "delivery.signature_invalid"


def test_parts_cannot_be_shifted() -> None:
    """A full stop in the id would let the time and the body be read as part of one another."""
    signed = sign((SECRET,), message_id="a.1", timestamp_s=TIME_S, body=BODY)

    with pytest.raises(SignatureInvalidError):
        check(message_id="a.1", signature=signed["webhook-signature"])


@given(timestamp=st.text(max_size=30), signature=st.text(max_size=200), message_id=st.text(max_size=30))
@settings(deadline=None, max_examples=200)
def test_whatever_comes_is_refused_by_name(timestamp: str, signature: str, message_id: str) -> None:
    """No text that a stranger sends in the three headers is an error of another kind."""
    with pytest.raises(SignatureInvalidError):
        check(timestamp=timestamp, signature=signature, message_id=message_id)


@pytest.mark.parametrize(
    "text",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa",
        "whsec_" + "A" * 88,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w",
        "whsec_",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    """Another form, too short or too long: the message shows nothing of it."""
    with pytest.raises(SecretInvalidError) as caught:
        parse_secret(text)

    assert "MfKQ" not in str(caught.value)
    assert caught.value.code == "delivery.secret_invalid"
