"""An OIDC issuer on loopback: its keys, its documents, and tokens with the claims that GitHub Actions makes."""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from lockgate.clock import NS_PER_S, EpochNs
from support.gate_server import Call, Reply, json_reply, serve_gate

AUDIENCE: Final = "https://lockgate.example"
GITHUB: Final = "https://token.actions.githubusercontent.com"
REPOSITORY_ID: Final = "4711"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key pair of an issuer."""

    kid: str
    algorithm: str
    private: PrivateKey

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as it is published."""
        maker: Any = get_default_algorithms()[self.algorithm]
        jwk: dict[str, Any] = maker.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: object, **header: Any) -> str:
        """Sign claims, or any bytes in their place; `header` replaces members of the header, None removes one."""
        payload = claims if isinstance(claims, bytes) else orjson.dumps(claims)
        members = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **header}
        kept = {name: value for name, value in members.items() if value is not None}
        return self.sign_parts(orjson.dumps(kept), payload)

    def sign_parts(self, header: bytes, payload: bytes) -> str:
        """Sign a header and a payload as they are, whatever the header says."""
        signed = f"{encoded(header)}.{encoded(payload)}"
        algorithm: Any = get_default_algorithms()[self.algorithm]
        return f"{signed}.{encoded(algorithm.sign(signed.encode(), self.private))}"


@cache
def rsa_key(kid: str = "key-1", algorithm: str = "RS256", bits: int = 2048) -> SigningKey:
    """Make an RSA key; the same for the same arguments."""
    return SigningKey(kid=kid, algorithm=algorithm, private=rsa.generate_private_key(65537, bits))


@cache
def ec_key(kid: str = "key-ec", algorithm: str = "ES256") -> SigningKey:
    """Make an elliptic-curve key, as `rsa_key`."""
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    return SigningKey(kid=kid, algorithm=algorithm, private=ec.generate_private_key(curve))


@cache
def ed_key(kid: str = "key-ed") -> SigningKey:
    """Make an Ed25519 key, as `rsa_key`."""
    return SigningKey(kid=kid, algorithm="EdDSA", private=ed25519.Ed25519PrivateKey.generate())


def key_set(*keys: SigningKey) -> bytes:
    """Write the set that publishes some keys."""
    return orjson.dumps({"keys": [key.jwk for key in keys]})


def encoded(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def github_claims(now: EpochNs, url: str = GITHUB, **changes: Any) -> dict[str, Any]:
    """Claim what a workflow of GitHub Actions does, for five minutes; a change to None removes a claim."""
    now_s = now // NS_PER_S
    claims = {
        "iss": url,
        "aud": AUDIENCE,
        "sub": "repo:octo/fraud-detector:ref:refs/heads/main",
        "iat": now_s,
        "nbf": now_s - 5,
        "exp": now_s + 300,
        "jti": "0d5b0b3c-9a39-4c06-9e5c-5d8a2c8a3a11",
        "repository": "octo/fraud-detector",
        "repository_id": REPOSITORY_ID,
        "repository_owner": "octo",
        "repository_owner_id": "65",
        "ref": "refs/heads/main",
        "event_name": "push",
        "job_workflow_ref": "octo/fraud-detector/.github/workflows/release.yml@refs/heads/main",
        "runner_environment": "github-hosted",
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def rule_table(**changes: Any) -> dict[str, Any]:
    """Write a rule: this repository's main branch requests."""
    rule = {
        "claims": {"repository_id": REPOSITORY_ID, "ref": "refs/heads/main"},
        "principal": "github/{repository_id}",
        "type": "machine",
        "roles": ["requester"],
    }
    return {name: value for name, value in {**rule, **changes}.items() if value is not None}


def issuer_table(**changes: Any) -> dict[str, Any]:
    """Write an issuer's settings; a change to None removes one."""
    table = {
        "name": "github",
        "kind": "github",
        "url": GITHUB,
        "audience": AUDIENCE,
        "rule": [rule_table()],
    }
    return {name: value for name, value in {**table, **changes}.items() if value is not None}


@dataclass(slots=True)
class LoopbackIssuer:
    """A running issuer; what it publishes may be changed at any time."""

    url: str
    keys: tuple[SigningKey, ...]
    replies: dict[str, Reply] = field(default_factory=dict)  # by path, instead of what it would say
    calls: list[Call] = field(default_factory=list)

    def answer(self, call: Call) -> Reply:
        """Answer as an issuer does."""
        if call.path in self.replies:
            return self.replies[call.path]
        if call.path == "/.well-known/openid-configuration":
            return json_reply({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})
        if call.path == "/jwks":
            return Reply(body=key_set(*self.keys))
        return Reply(status=404)

    def table(self, **changes: Any) -> Mapping[str, Any]:
        """Write the settings that trust it."""
        return issuer_table(**{"url": self.url, "private_network": True, **changes})


@contextlib.contextmanager
def serve_issuer(*keys: SigningKey) -> Iterator[LoopbackIssuer]:
    """Run an issuer on a free loopback port until the block ends."""
    issuer = LoopbackIssuer(url="", keys=keys or (rsa_key(),))
    with serve_gate(issuer.answer) as server:
        issuer.url, issuer.calls = server.url, server.calls
        yield issuer
