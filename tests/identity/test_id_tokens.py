"""Tokens of issuers that count: each algorithm, each edge of time; attacks are in `test_jwt_attacks.py`."""

from typing import Any

import pytest

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.identity import Issuer, TokenRefusal, parse_issuers
from lockgate.identity.id_tokens import KeyFinder, VerifiedToken, verify_id_token
from lockgate.identity.issuers import ALGORITHMS
from lockgate.identity.jwks import parse_jwks
from support.clocks import START
from support.issuers import AUDIENCE, SigningKey, ec_key, ed_key, github_claims, issuer_table, key_set, rsa_key

KEY = rsa_key()
NOW_S = START // NS_PER_S


def finder(*keys: SigningKey) -> KeyFinder:
    """Find these keys, whoever the issuer is."""
    held = parse_jwks(key_set(*keys))
    return lambda _issuer, kid: held.get(kid)


def issuers(**changes: Any) -> tuple[Issuer, ...]:
    """Make one issuer."""
    return parse_issuers([issuer_table(**changes)])


def outcome(now: int = START, *, lifetime_s_max: int = 86_400, **claims: Any) -> str:
    """Return the code for a token with changed claims; `ok` if it counts."""
    token = KEY.sign(github_claims(START, **claims))
    got = verify_id_token(token, issuers(lifetime_s_max=lifetime_s_max), finder(KEY), EpochNs(now))
    return got.code if isinstance(got, TokenRefusal) else "ok"


def test_a_good_token_says_what_its_issuer_says() -> None:
    """The claims of a verified token are the issuer's, with their times."""
    claims = github_claims(START)
    got = verify_id_token(KEY.sign(claims), issuers(), finder(KEY), START)

    assert isinstance(got, VerifiedToken)
    assert got.claims == claims
    assert (got.issuer.name, got.key.kid) == ("github", "key-1")
    assert (got.issued, got.expires) == (claims["iat"] * NS_PER_S, claims["exp"] * NS_PER_S)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_verifies_where_the_issuer_may_use_it(algorithm: str) -> None:
    """Every algorithm of the list works, and only where the issuer's settings name it."""
    if algorithm == "EdDSA":
        key = ed_key()
    else:
        key = ec_key("k", algorithm) if algorithm.startswith("ES") else rsa_key("k", algorithm)
    token = key.sign(github_claims(START))
    others = [other for other in ALGORITHMS if other != algorithm]

    assert isinstance(verify_id_token(token, issuers(algorithms=[algorithm]), finder(key), START), VerifiedToken)
    refused = verify_id_token(token, issuers(algorithms=others), finder(key), START)
    assert isinstance(refused, TokenRefusal)
    assert refused.code == "identity.token_algorithm"


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE]])
def test_an_audience_may_be_a_list_of_one(audience: object) -> None:
    """Kubernetes writes a list."""
    assert outcome(aud=audience) == "ok"


@pytest.mark.parametrize("header", [{"typ": None}, {"typ": "jwt"}, {"x5t": "AA"}, {"x5t#S256": "AA"}])
def test_what_issuers_write_into_headers_is_harmless(header: dict[str, Any]) -> None:
    """Kubernetes writes no type, GitHub a certificate's fingerprint; neither is used."""
    got = verify_id_token(KEY.sign(github_claims(START), **header), issuers(), finder(KEY), START)

    assert isinstance(got, VerifiedToken)


@pytest.mark.parametrize(
    ("claims", "now_s", "code"),
    [
        ({}, NOW_S + 300, "ok"),  # at `exp` itself: within the leeway
        ({}, NOW_S + 329, "ok"),
        ({}, NOW_S + 330, "identity.token_expired"),
        ({}, NOW_S - 30, "ok"),
        ({}, NOW_S - 31, "identity.token_not_yet"),
        ({"nbf": NOW_S + 30}, NOW_S, "ok"),
        ({"nbf": NOW_S + 31}, NOW_S, "identity.token_not_yet"),
        ({"nbf": None}, NOW_S, "ok"),  # Google writes none
        ({"iat": NOW_S + 31}, NOW_S, "identity.token_not_yet"),
        ({"exp": NOW_S + 600}, NOW_S, "ok"),
        ({"exp": NOW_S + 601}, NOW_S, "identity.token_lifetime"),
        ({"exp": NOW_S + 2**40}, NOW_S, "identity.token_claims"),
        ({"exp": NOW_S - 10, "iat": NOW_S}, NOW_S, "ok"),  # expired before it was issued, within the leeway
        ({"exp": 0}, NOW_S, "identity.token_expired"),
    ],
)
def test_times_have_half_a_minute_of_leeway_and_no_more(claims: dict[str, Any], now_s: int, code: str) -> None:
    """A token counts from `iat` and `nbf` to `exp`, 30 s earlier and later, and lives no longer than it may."""
    assert outcome(now_s * NS_PER_S, lifetime_s_max=600, **claims) == code


def test_of_two_issuers_with_one_url_the_audience_chooses() -> None:
    """One provider may serve CI and the login of people, for two audiences with rules of their own."""
    both = parse_issuers(
        [issuer_table(name="login", audience="client-1"), issuer_table(), issuer_table(name="third", audience="3")]
    )
    got = verify_id_token(KEY.sign(github_claims(START)), both, finder(KEY), START)
    stray = verify_id_token(KEY.sign(github_claims(START, aud="4")), both, finder(KEY), START)

    assert isinstance(got, VerifiedToken)
    assert got.issuer.name == "github"
    assert isinstance(stray, TokenRefusal)
    assert stray.code == "identity.token_audience"
