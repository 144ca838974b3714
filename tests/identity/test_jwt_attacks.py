"""What is done to tokens by those who have none: each refused, with its own code for us and no hint for them."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lockgate.clock import NS_PER_S
from lockgate.identity import Issuer, IssuerUnavailableError, TokenRefusal, parse_issuers
from lockgate.identity.id_tokens import TOKEN_BYTES_MAX, verify_id_token
from lockgate.identity.jwks import VerificationKey, parse_jwks
from support.clocks import START
from support.issuers import (
    AUDIENCE,
    GITHUB,
    ec_key,
    encoded,
    github_claims,
    issuer_table,
    key_set,
    rsa_key,
    rule_table,
)

KEY, OTHERS_KEY, EC_KEY = rsa_key(), rsa_key("key-other"), ec_key("key-ec")
NOW_S = START // NS_PER_S
CLAIMS = github_claims(START)
OTHER_URL = "https://other.example"
ISSUERS = parse_issuers(
    [
        issuer_table(algorithms=["RS256", "PS256", "ES256"]),
        issuer_table(name="other", kind="other", url=OTHER_URL, rule=[rule_table(roles=["admin"])]),
    ]
)
KEYS = {"github": parse_jwks(key_set(KEY, EC_KEY)), "other": parse_jwks(key_set(OTHERS_KEY))}
UNVERIFIED = "the token is not verified"


def find(issuer: Issuer, kid: str) -> VerificationKey | None:
    """Find a key of its issuer."""
    return KEYS[issuer.name].get(kid)


def refused(token: str) -> TokenRefusal:
    """Verify a token that must not count."""
    got = verify_id_token(token, ISSUERS, find, START)
    assert isinstance(got, TokenRefusal), got
    return got


def header(**changes: Any) -> bytes:
    """Write a header as it comes."""
    members = {"alg": "RS256", "typ": "JWT", "kid": "key-1", **changes}
    return orjson.dumps({name: value for name, value in members.items() if value is not None})


def signed(payload: bytes = orjson.dumps(CLAIMS), **changes: Any) -> str:
    """Sign with the right key, under any header."""
    return KEY.sign_parts(header(**changes), payload)


def unsigned(**changes: Any) -> str:
    """Write a token without a signature."""
    return f"{encoded(header(**changes))}.{encoded(orjson.dumps(CLAIMS))}."


def with_hmac(secret: bytes, algorithm: str = "HS256") -> str:
    """Sign with a shared secret."""
    text = f"{encoded(header(alg=algorithm))}.{encoded(orjson.dumps(CLAIMS))}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def public_key(encoding: serialization.Encoding) -> bytes:
    """Write the issuer's public key as an attacker finds it."""
    return KEY.private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", " none", "none\0", 0, ["none"], {}])
@pytest.mark.parametrize("signature", ["", "AA", "c2ln"])
def test_no_spelling_of_none_is_an_algorithm(algorithm: object, signature: str) -> None:
    """A token without a signature is none, however `alg` says so."""
    code = refused(unsigned(alg=algorithm) + signature).code

    assert code in {"identity.token_form", "identity.token_header", "identity.token_algorithm"}


@pytest.mark.parametrize(
    "secret",
    [
        public_key(serialization.Encoding.PEM),
        public_key(serialization.Encoding.PEM).strip(),
        public_key(serialization.Encoding.DER),
        orjson.dumps(KEY.jwk),
        b"",
        b"secret",
    ],
)
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_shared_secret(secret: bytes, algorithm: str) -> None:
    """A MAC under what everybody knows is no signature."""
    assert refused(with_hmac(secret, algorithm)).code == "identity.token_algorithm"


@pytest.mark.parametrize(
    ("kid", "algorithm"),
    [("key-1", "ES256"), ("key-ec", "RS256"), ("key-ec", "PS256"), ("key-1", "PS256"), ("key-1", "EdDSA")],
)
def test_a_key_is_not_used_with_another_kinds_algorithm(kid: str, algorithm: str) -> None:
    """An algorithm must be the issuer's and fit the key: RSA keys sign no ECDSA, and the other way round."""
    assert refused(signed(kid=kid, alg=algorithm)).code == "identity.token_algorithm"
    token = EC_KEY.sign_parts(header(kid=kid, alg=algorithm), orjson.dumps(CLAIMS))
    assert refused(token).code == "identity.token_algorithm"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kid": "key-2"}, "identity.token_key"),
        ({"kid": "../../../dev/null"}, "identity.token_key"),
        ({"kid": "/proc/self/environ"}, "identity.token_key"),
        ({"kid": "' OR 1=1 --"}, "identity.token_key"),
        ({"kid": "key-1\n"}, "identity.token_key"),
        ({"kid": "KEY-1"}, "identity.token_key"),
        ({"kid": "key-other"}, "identity.token_key"),  # a key of another configured issuer
        ({"kid": "ké"}, "identity.token_key"),
        ({"kid": "k" * 257}, "identity.token_header"),
        ({"kid": ""}, "identity.token_header"),
        ({"kid": None}, "identity.token_header"),
        ({"kid": 0}, "identity.token_header"),
        ({"kid": ["key-1"]}, "identity.token_header"),
        ({"kid": {"a": 1}}, "identity.token_header"),
        ({"jku": "https://evil.example/jwks"}, "identity.token_header"),
        ({"jwk": OTHERS_KEY.jwk}, "identity.token_header"),
        ({"x5u": "https://evil.example/cert"}, "identity.token_header"),
        ({"x5c": ["MIIB"]}, "identity.token_header"),
        ({"crit": ["exp"]}, "identity.token_header"),
        ({"crit": []}, "identity.token_header"),
        ({"b64": False}, "identity.token_header"),
        ({"cty": "JWT"}, "identity.token_header"),
        ({"zip": "DEF"}, "identity.token_header"),
        ({"typ": "at+jwt"}, "identity.token_header"),
        ({"typ": 7}, "identity.token_header"),
        ({"typ": ["JWT"]}, "identity.token_header"),
        ({"alg": "RS512"}, "identity.token_algorithm"),
        ({"alg": None}, "identity.token_header"),
    ],
)
def test_a_header_chooses_nothing(change: dict[str, Any], code: str) -> None:
    """A header names a key that its issuer published; it brings none along, and asks for nothing else."""
    assert refused(signed(**change)).code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iss": "https://evil.example"}, "identity.token_issuer"),
        ({"iss": f"{GITHUB}/"}, "identity.token_issuer"),
        ({"iss": GITHUB.upper()}, "identity.token_issuer"),
        ({"iss": f"{GITHUB}@evil.example"}, "identity.token_issuer"),
        ({"iss": [GITHUB]}, "identity.token_issuer"),
        ({"iss": None}, "identity.token_issuer"),
        ({"iss": OTHER_URL}, "identity.token_key"),  # signed by GitHub's key, said to be another's
        ({"aud": "https://somewhere.example"}, "identity.token_audience"),
        ({"aud": AUDIENCE + "/"}, "identity.token_audience"),
        ({"aud": [AUDIENCE, "https://somewhere.example"]}, "identity.token_audience"),
        ({"aud": [AUDIENCE, AUDIENCE]}, "identity.token_audience"),
        ({"aud": [[AUDIENCE]]}, "identity.token_audience"),
        ({"aud": []}, "identity.token_audience"),
        ({"aud": ""}, "identity.token_audience"),
        ({"aud": {AUDIENCE: True}}, "identity.token_audience"),
        ({"aud": None}, "identity.token_audience"),
        ({"exp": NOW_S - 31}, "identity.token_expired"),
        ({"exp": None}, "identity.token_claims"),
        ({"exp": 2**63}, "identity.token_claims"),
        ({"exp": 10**400}, "identity.token_form"),
        ({"exp": float(NOW_S + 300)}, "identity.token_claims"),
        ({"exp": str(NOW_S + 300)}, "identity.token_claims"),
        ({"exp": True}, "identity.token_claims"),
        ({"exp": -1}, "identity.token_claims"),
        ({"exp": NOW_S + 86_401}, "identity.token_lifetime"),
        ({"iat": None}, "identity.token_claims"),
        ({"iat": NOW_S + 31}, "identity.token_not_yet"),
        ({"iat": NOW_S - 90_000}, "identity.token_lifetime"),
        ({"nbf": NOW_S + 31}, "identity.token_not_yet"),
        ({"nbf": "0"}, "identity.token_claims"),
        ({"sub": None}, "identity.token_claims"),
        ({"sub": ""}, "identity.token_claims"),
        ({"sub": 7}, "identity.token_claims"),
    ],
)
def test_claims_that_do_not_fit_are_refused(change: dict[str, Any], code: str) -> None:
    """Another issuer, another audience or a second one, another time: not a token for us."""
    claims = {name: value for name, value in {**CLAIMS, **change}.items() if value is not None}
    got = refused(signed(repr_json(claims)))

    assert got.code == code
    told = code in {
        "identity.token_audience",
        "identity.token_claims",
        "identity.token_expired",
        "identity.token_lifetime",
        "identity.token_not_yet",
    }
    assert (got.detail != UNVERIFIED) is told  # only the issuer's own words are answered


def repr_json(document: dict[str, Any]) -> bytes:
    """Write JSON with integers of any size, which orjson has not."""
    return repr(document).replace("'", '"').replace("True", "true").encode()


def test_a_null_not_before_is_not_whole_seconds() -> None:
    """A claim that is there without a value is not a claim that is absent."""
    assert refused(signed(orjson.dumps({**CLAIMS, "nbf": None}))).code == "identity.token_claims"


def test_another_issuers_key_does_not_sign_for_this_one() -> None:
    """Who may sign for one configured issuer says nothing of another, whatever `iss` and `kid` say."""
    claims = orjson.dumps(CLAIMS)

    assert refused(OTHERS_KEY.sign_parts(header(kid="key-1"), claims)).code == "identity.token_signature"
    assert refused(OTHERS_KEY.sign_parts(header(kid="key-other"), claims)).code == "identity.token_key"


def flipped(token: str, part: int) -> str:
    """Change one part of a token in its middle."""
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


Spelling = Callable[[str], str]
SPELLINGS: dict[str, tuple[Spelling, str]] = {
    "signature stripped": (lambda token: token.rpartition(".")[0] + ".", "identity.token_form"),
    "two parts": (lambda token: token.rpartition(".")[0], "identity.token_form"),
    "signature of one byte": (lambda token: token.rpartition(".")[0] + ".AA", "identity.token_signature"),
    "signature changed": (lambda token: flipped(token, 2), "identity.token_signature"),
    "signature longer": (lambda token: token + "AAAA", "identity.token_signature"),
    "padded": (lambda token: token + "==", "identity.token_form"),
    "four parts": (lambda token: token + ".AA", "identity.token_form"),
    "five parts, as an encrypted token": (lambda token: token + ".AA.AA", "identity.token_form"),
    "empty first part": (lambda token: "." + token, "identity.token_form"),
    "empty second part": (lambda token: token.replace(".", "..", 1), "identity.token_form"),
    "base64, not base64url": (lambda token: token + "+/", "identity.token_form"),
    "not ASCII": (lambda token: token + "é", "identity.token_form"),
    "full-width": (lambda token: token.replace("e", "\uff45", 1), "identity.token_form"),
    "line break": (lambda token: token + "\n", "identity.token_form"),
    "space": (lambda token: " " + token, "identity.token_form"),
    "nothing": (lambda _token: "", "identity.token_form"),
    "dots": (lambda _token: "..", "identity.token_form"),
    "letters": (lambda _token: "a.b.c", "identity.token_form"),
    "header a list": (lambda _token: f"{encoded(b'[]')}.{encoded(b'{}')}.AA", "identity.token_form"),
    "claims a list": (lambda _token: f"{encoded(b'{}')}.{encoded(b'[]')}.AA", "identity.token_form"),
    "claims a number": (lambda _token: f"{encoded(b'{}')}.{encoded(b'7')}.AA", "identity.token_form"),
    "empty header": (lambda _token: f"{encoded(b'{}')}.{encoded(b'{}')}.AA", "identity.token_header"),
    "spare bits": (lambda _token: f"e31.{encoded(b'{}')}.AA", "identity.token_form"),  # "e30" is {}
    "huge": (lambda _token: "A" * (TOKEN_BYTES_MAX + 1), "identity.token_size"),
    "good and huge": (lambda token: token + "A" * TOKEN_BYTES_MAX, "identity.token_size"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_what_is_not_three_parts_is_no_token(name: str) -> None:
    """A token has one form and one spelling; what is stripped, added or changed makes it none."""
    make, code = SPELLINGS[name]

    assert refused(make(signed())).code == code


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"a","iss":"b"}',
        orjson.dumps(CLAIMS)[:-1] + b',"repository_id":"1"}',
        b'{"aud":' + b"[" * 20 + b"]" * 20 + b"}",
        b'{"a":NaN}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b"{" + b",".join(b'"%d":0' % number for number in range(700)) + b"}",
        KEY.sign(CLAIMS).encode(),  # a token in a token
        b'"' + KEY.sign(CLAIMS).encode() + b'"',
    ],
)
def test_claims_that_two_readers_could_read_differently_are_refused(payload: bytes) -> None:
    """Duplicate claims, depth, text that is none: also under a good signature."""
    assert refused(signed(payload)).code == "identity.token_form"


def test_a_duplicate_in_the_header_is_refused() -> None:
    """A header that says two things of one is no header."""
    twice = b'{"alg":"none","alg":"RS256","kid":"key-1"}'

    assert refused(KEY.sign_parts(twice, orjson.dumps(CLAIMS))).code == "identity.token_form"


def test_a_key_that_its_issuer_took_back_signs_nothing() -> None:
    """After a change of keys only the new ones count."""
    held = parse_jwks(key_set(rsa_key("key-2")))
    got = verify_id_token(signed(), ISSUERS, lambda _issuer, kid: held.get(kid), START)

    assert isinstance(got, TokenRefusal)
    assert got.code == "identity.token_key"


def test_keys_that_are_not_known_are_no_refusal() -> None:
    """While an issuer's keys are not known its tokens are neither good nor bad."""

    def down(issuer: Issuer, _kid: str) -> None:
        raise IssuerUnavailableError(issuer.name)

    with pytest.raises(IssuerUnavailableError) as caught:
        verify_id_token(signed(), ISSUERS, down, START)

    assert caught.value.code == "identity.issuer_unavailable"


@given(st.data())
@hypothesis_settings(deadline=None, max_examples=250)
def test_a_token_changed_anywhere_is_refused(data: st.DataObject) -> None:
    """Whatever one character of a good token becomes, it is refused with a code, and never read as another."""
    token = signed()
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    changed = token[:position] + character + token[position + 1 :]

    if changed != token:
        assert refused(changed).code.startswith("identity.token_")


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=20))
@hypothesis_settings(deadline=None, max_examples=200)
def test_anything_in_three_parts_is_refused(head: bytes, payload: bytes, signature: bytes) -> None:
    """Whatever the three parts hold, there is an answer."""
    assert refused(f"{encoded(head)}.{encoded(payload)}.{encoded(signature)}").code == "identity.token_form"
