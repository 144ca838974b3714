"""An issuer's keys: which are taken, which are passed over, and what refuses the whole set."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lockgate.identity.errors import JWKSInvalidError
from lockgate.identity.jwks import JWKS_BYTES_MAX, KEYS_MAX, parse_jwks
from support.issuers import ec_key, ed_key, encoded, key_set, rsa_key

GOOD = rsa_key().jwk


def document(*keys: object) -> bytes:
    """Write a key set."""
    return orjson.dumps({"keys": keys})


def changed(**changes: Any) -> dict[str, Any]:
    """Write the good key under another name, changed; None removes a member."""
    return {name: value for name, value in {**GOOD, "kid": "changed", **changes}.items() if value is not None}


def test_each_kind_of_key_is_fit_for_its_own_algorithms() -> None:
    """A key is used with the algorithms of its type and curve, and only with `alg` where it names one."""
    keys = parse_jwks(
        document(
            changed(alg=None),
            changed(kid="narrow", alg="PS256"),
            ec_key().jwk,
            ec_key("k384", "ES384").jwk,
            ec_key("k521", "ES512").jwk,
            ed_key().jwk,
        )
    )

    assert {kid: key.algorithms for kid, key in keys.items()} == {
        "changed": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "narrow": ("PS256",),
        "key-ec": ("ES256",),
        "k384": ("ES384",),
        "k521": ("ES512",),
        "key-ed": ("EdDSA",),
    }


@pytest.mark.parametrize(
    "key",
    [
        changed(kid=None),
        changed(kid=""),
        changed(kid=7),
        changed(kid="k" * 257),
        changed(use="enc"),
        changed(key_ops=["encrypt"]),
        changed(key_ops="verify"),
        changed(kty="XYZ"),
        changed(kty=None),
        changed(kty=["RSA"]),
        changed(alg="HS256"),
        changed(alg="ES256"),
        changed(alg=["RS256"]),
        changed(n="!"),
        changed(n=None),
        changed(crv="P-256"),
        {**ec_key("other").jwk, "x": "AA"},
        {**ec_key("other").jwk, "crv": "secp256k1"},
        {**ec_key("other").jwk, "crv": "P-384"},
        {**ed_key("other").jwk, "crv": "X25519"},
        rsa_key("short", bits=1024).jwk,
    ],
)
def test_a_key_that_is_not_for_us_is_passed_over(key: dict[str, Any]) -> None:
    """Issuers publish keys for others too; those change nothing, and alone they are no key set."""
    assert parse_jwks(document(GOOD, key)).keys() == {"key-1"}
    with pytest.raises(JWKSInvalidError, match="want at least one usable key"):
        parse_jwks(document(key))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (document(GOOD, {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), "want public keys alone"),
        (document(GOOD, changed(d="AQAB")), "want public keys alone"),
        (document(GOOD, {**ec_key().jwk, "d": "AQAB"}), "want public keys alone"),
        (document(GOOD, GOOD), "want each kid once"),
        (document(*[changed(kid=str(number)) for number in range(KEYS_MAX + 1)]), "want at most 64 keys, got 65"),
        (document(), "want at least one usable key"),
        (document("x"), "want a JSON Web Key Set"),
        (b'{"keys": {}}', "want a JSON Web Key Set"),
        (b"[]", "want a JSON Web Key Set"),
        (b"", "want a JSON Web Key Set"),
        (b"<!doctype html><title>Log in</title>", "want a JSON Web Key Set"),
        (b'{"keys": [], "keys": []}', "twice in one object"),
        (b'{"keys": []}' + b" " * JWKS_BYTES_MAX, "want at most 262144 bytes"),
        (b'{"keys": ' + b"[" * 20 + b"]" * 20 + b"}", "levels of nesting"),
    ],
)
def test_what_is_no_key_set_is_refused_whole(data: bytes, words: str) -> None:
    """A secret among the keys, two keys of one name, too much, or something else altogether."""
    with pytest.raises(JWKSInvalidError) as caught:
        parse_jwks(data)

    assert caught.value.code == "identity.jwks_invalid"
    assert words in str(caught.value)


TELLING = ["RSA", "EC", "OKP", "P-256", "Ed25519", "RS256", "sig", encoded(bytes(256)), encoded(b"\xff" * 256)]
MEMBERS = st.dictionaries(
    st.sampled_from(["kid", "kty", "n", "e", "crv", "x", "y", "alg", "use", "key_ops", "d", "k"]),
    st.one_of(
        st.none(),
        st.integers(-(2**53), 2**53),
        st.text(max_size=8),
        st.lists(st.text(max_size=4), max_size=2),
        st.sampled_from(TELLING),
    ),
)


@given(st.lists(MEMBERS, max_size=3))
@hypothesis_settings(deadline=None, max_examples=150)
def test_hostile_keys_give_keys_or_one_error(entries: list[dict[str, Any]]) -> None:
    """Whatever a set holds, the answer is a set of usable keys or JWKSInvalidError."""
    try:
        keys = parse_jwks(document(*entries))
    except JWKSInvalidError:
        return

    assert keys
    assert all(key.algorithms and kid == key.kid for kid, key in keys.items())


def test_a_set_of_several_keys_is_taken_as_it_is_published() -> None:
    """While keys change, an issuer publishes the old and the new one."""
    assert parse_jwks(key_set(rsa_key(), rsa_key("key-2"))).keys() == {"key-1", "key-2"}
