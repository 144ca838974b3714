"""RFC 3161 tokens: believed only about the right bytes, from the right authority, in answer to our own request."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import TimestampTrustError
from lockgate.audit.formats.timestamps import (
    TOKEN_BYTES_MAX,
    TRUST_BYTES_MAX,
    Timestamp,
    TimestampRefusal,
    make_timestamp_request,
    open_timestamp_response,
    parse_timestamp_trust,
    verify_timestamp,
)
from lockgate.clock import EpochNs
from support.timestamp_authority import AT, OPEN_SINCE, Authority, imprint_of

MESSAGE = b"gate.example/audit\n7\nroot\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority."""
    return Authority()


@pytest.fixture(scope="module")
def token(authority: Authority) -> bytes:
    """A good token of it."""
    request = make_timestamp_request(MESSAGE)
    opened = open_timestamp_response(authority.answer(request.body), MESSAGE, request.nonce, authority.trust)
    assert isinstance(opened, Timestamp)
    return opened.token


def _open(authority: Authority, **changes: Any) -> Timestamp | TimestampRefusal:
    request = make_timestamp_request(MESSAGE)
    return open_timestamp_response(authority.answer(request.body, **changes), MESSAGE, request.nonce, authority.trust)


def _code(opened: Timestamp | TimestampRefusal) -> str:
    return "" if isinstance(opened, Timestamp) else opened.code


def test_good_answer_gives_token_and_time(authority: Authority, token: bytes) -> None:
    """A granted answer to our own request gives its time, and its token verifies again by itself."""
    opened = _open(authority)

    assert isinstance(opened, Timestamp)
    assert opened.time == AT
    assert verify_timestamp(token, MESSAGE, authority.trust) == Timestamp(token=token, time=AT)


def test_openssl_verifies_the_same_token(authority: Authority, token: bytes, tmp_path: Path) -> None:
    """What is kept is a token that OpenSSL reads and believes."""
    (tmp_path / "token").write_bytes(token)
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "roots.pem").write_bytes(authority.pem)
    command = [
        "openssl",
        "ts",
        "-verify",
        "-data",
        "message",
        "-token_in",
        "-in",
        "token",
        "-CAfile",
        "roots.pem",
        "-attime",
    ]
    done = subprocess.run([*command, str(AT // 10**9)], cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, b"Verification: OK" in done.stdout + done.stderr) == (0, True), done.stderr


def test_two_requests_differ(authority: Authority) -> None:
    """Each request has a nonce of its own, and an answer to one does not count for another."""
    first, second = make_timestamp_request(MESSAGE), make_timestamp_request(MESSAGE)

    opened = open_timestamp_response(authority.answer(first.body), MESSAGE, second.nonce, authority.trust)

    assert first.nonce != second.nonce
    assert _code(opened) == "audit.timestamp_nonce"


def test_answer_without_nonce_is_refused(authority: Authority) -> None:
    """An answer that leaves the nonce out could be an old one."""
    assert _code(_open(authority, nonce=None)) == "audit.timestamp_nonce"


def test_token_about_other_bytes_is_refused(authority: Authority, token: bytes) -> None:
    """A token says nothing of any other message, in an answer and by itself."""
    assert _code(_open(authority, message_imprint=imprint_of(b"other"))) == "audit.timestamp_message"
    assert _code(verify_timestamp(token, MESSAGE + b"\n", authority.trust)) == "audit.timestamp_message"


def test_token_of_another_authority_is_refused(token: bytes) -> None:
    """Only the configured roots count."""
    assert _code(verify_timestamp(token, MESSAGE, Authority().trust)) == "audit.timestamp_untrusted"


def test_token_from_before_the_certificate_is_refused(authority: Authority) -> None:
    """A token dated before its certificate began is not believed."""
    assert _code(_open(authority, at=EpochNs(OPEN_SINCE - 10**9))) == "audit.timestamp_untrusted"


def test_no_is_no(authority: Authority) -> None:
    """An authority that rejects is named as that."""
    request = make_timestamp_request(MESSAGE)
    opened = open_timestamp_response(authority.refusal(), MESSAGE, request.nonce, authority.trust)

    assert _code(opened) == "audit.timestamp_not_granted"


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"<html>", b"\x30" * 40, bytes(TOKEN_BYTES_MAX + 1)])
def test_junk_is_malformed(authority: Authority, junk: bytes) -> None:
    """What is no DER of the right kind is malformed, as an answer and as a token."""
    assert _code(open_timestamp_response(junk, MESSAGE, 1, authority.trust)) == "audit.timestamp_malformed"
    assert _code(verify_timestamp(junk, MESSAGE, authority.trust)) == "audit.timestamp_malformed"


def test_nothing_stands_beside_a_token(authority: Authority, token: bytes) -> None:
    """A token has one spelling: nothing before it, behind it, or twice."""
    for spelling in (token + b"\0", token + token, token + b"\x05\0", b"\x05\0" + token, token[:-1]):
        assert _code(verify_timestamp(spelling, MESSAGE, authority.trust)) == "audit.timestamp_malformed"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_token_is_never_another_time(authority: Authority, token: bytes, data: st.DataObject) -> None:
    """Whatever bytes of a token are changed, it is refused, or says the same as before; nothing else is raised."""
    place = data.draw(st.integers(0, len(token) - 1))
    changed = bytearray(token)
    changed[place] ^= data.draw(st.integers(1, 255))
    opened = verify_timestamp(bytes(changed), MESSAGE, authority.trust)

    assert isinstance(opened, TimestampRefusal) or opened.time == AT


def test_trust_needs_a_root(authority: Authority) -> None:
    """Certificates without a root among them, junk and floods of it are refused; a doubled one is taken once."""
    intermediate, root = authority.pem.split(b"-----END CERTIFICATE-----\n")[:2]
    end = b"-----END CERTIFICATE-----\n"
    assert parse_timestamp_trust(authority.pem + root + end) == authority.trust
    for pem in (intermediate + end, b"", b"junk", b"x" * (TRUST_BYTES_MAX + 1)):
        with pytest.raises(TimestampTrustError):
            parse_timestamp_trust(pem)
