"""Permits, to accept and to refuse (docs/formats/permit.md). Made from fixed keys and the specification alone."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_SECOND_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
_UNKNOWN_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))

_REGISTRY = "models"
_ISSUED = 1_790_000_000
_LIFE_S = 60
_SKEW_S = 5
_CLAIMS: dict[str, Any] = {
    "iss": "gate.example/audit",
    "aud": _REGISTRY,
    "iat": _ISSUED,
    "nbf": _ISSUED,
    "exp": _ISSUED + _LIFE_S,
    "jti": "0199b5a2-7c00-7000-8000-000000000001",
    "promotion": "0199b5a2-7c00-7000-8000-000000000002",
    "registry": _REGISTRY,
    "model": "fraud detector",
    "alias": "champion",
    "version": "7",
    "digest": "sha256:" + hashlib.sha256(b"model").hexdigest(),
    "environment": "production",
}
_MOVE = {"model": "fraud detector", "alias": "champion", "version": "7"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    x = _base64url(key.public_key().public_bytes_raw())
    kid = _base64url(hashlib.sha256(_json({"crv": "Ed25519", "kty": "OKP", "x": x})).digest())
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}


def _header(key: Ed25519PrivateKey = _KEY, **changes: object) -> dict[str, object]:
    return {"alg": "EdDSA", "kid": _jwk(key)["kid"], "typ": "lockgate-permit+jwt", **changes}


def _sign(header: bytes, claims: bytes, key: Ed25519PrivateKey = _KEY) -> str:
    signed = f"{_base64url(header)}.{_base64url(claims)}"
    return f"{signed}.{_base64url(key.sign(signed.encode('ascii')))}"


def _permit(**changes: object) -> str:
    return _sign(_json(_header()), _json({**_CLAIMS, **changes}))


def _without(claim: str) -> str:
    return _sign(_json(_header()), _json({name: value for name, value in _CLAIMS.items() if name != claim}))


def _case(name: str, token: str, code: str = "", now: int = _ISSUED + 1, **move: str) -> dict[str, Any]:
    wanted = {"code": code} if code else {}
    return {"name": name, "token": token, "now": now, "move": {**_MOVE, **move}, **wanted}


def _valid() -> list[dict[str, Any]]:
    end = _ISSUED + _LIFE_S
    odd = "Bäcker/🥐 %2F"
    return [
        _case("as it is made", _permit()),
        _case("by the second key", _sign(_json(_header(_SECOND_KEY)), _json(_CLAIMS), _SECOND_KEY)),
        _case("the gate's clock is 5 s ahead", _permit(), now=_ISSUED - _SKEW_S),
        _case("the gate's clock is 5 s behind", _permit(), now=end + _SKEW_S - 1),
        _case("a model's name with other characters", _permit(model=odd), model=odd),
        _case("claims in another order", _sign(_json(_header()), _json(dict(reversed(_CLAIMS.items()))))),
        _case("a SHA-512", _permit(digest="sha512:" + hashlib.sha512(b"model").hexdigest())),
        _case("to take the pointer away", _permit(version="", digest=""), version=""),
    ]


def _malformed() -> list[dict[str, Any]]:
    token = _permit()
    header, claims, signature = token.split(".")
    tokens = {
        "nothing": "",
        "two parts": f"{header}.{claims}",
        "four parts": f"{token}.{signature}",
        "padding": f"{header}.{claims}.{signature}==",
        "another spelling of the signature": token[:-1] + chr(ord(token[-1]) + 1),
        "a space in front": f" {token}",
        "a newline behind": f"{token}\n",
        "no JSON": _sign(b"{", _json(_CLAIMS)),
        "a list for claims": _sign(_json(_header()), b"[]"),
        "a claim twice": _sign(_json(_header()), b'{"alias":"staging",' + _json(_CLAIMS)[1:]),
        "claims that are no UTF-8": _sign(_json(_header()), _json(_CLAIMS).replace(b"fraud", b"fra\xffd")),
        "alg none": _sign(_json(_header(alg="none")), _json(_CLAIMS)),
        "alg HS256": _sign(_json(_header(alg="HS256")), _json(_CLAIMS)),
        "a signed answer about what is live": _sign(_json(_header(typ="lockgate-live+jwt")), _json(_CLAIMS)),
        "another member in the header": _sign(_json(_header(crit=["exp"], b64=False)), _json(_CLAIMS)),
        "a key in the header": _sign(_json(_header(jwk=_jwk(_KEY))), _json(_CLAIMS)),
        "no kid": _sign(_json({"alg": "EdDSA", "typ": "lockgate-permit+jwt"}), _json(_CLAIMS)),
        "one claim more": _permit(scope="all"),
        "a list of audiences": _permit(aud=[_REGISTRY]),
        "exp a text": _permit(exp=str(_ISSUED + _LIFE_S)),
        "exp a fraction": _permit(exp=_ISSUED + 59.5),
        "iat true": _permit(iat=True),
        "exp beyond 60 s": _permit(exp=_ISSUED + _LIFE_S + 1),
        "exp not after nbf": _permit(nbf=_ISSUED + 9, exp=_ISSUED + 9),
        "nbf before iat": _permit(nbf=_ISSUED - 1),
        "a jti that is no UUID": _permit(jti="1"),
        "a jti in capitals": _permit(jti=str(_CLAIMS["jti"]).replace("b", "B")),
        "a version that is a number": _permit(version=7),
        "a digest in capitals": _permit(digest=str(_CLAIMS["digest"]).upper()),
        "a version without digest": _permit(digest=""),
        "a digest without version": _permit(version=""),
        "an empty model": _permit(model=""),
        "a model of 1,025 characters": _permit(model="m" * 1025),
        "more than 8,192 characters": _permit(model="m" * 7000),
    }
    tokens |= {f"without {claim}": _without(claim) for claim in _CLAIMS}
    return [_case(name, text, "permit.malformed") for name, text in tokens.items()]


def _refused() -> list[dict[str, Any]]:
    token = _permit()
    header, _, signature = token.split(".")
    other_claims = _permit(version="8").split(".")[1]
    unknown = _sign(_json(_header(_UNKNOWN_KEY)), _json(_CLAIMS), _UNKNOWN_KEY)
    pretended = _sign(_json(_header()), _json(_CLAIMS), _SECOND_KEY)
    later = {"iat": _ISSUED + 7, "nbf": _ISSUED + 7}
    return [
        _case("by a key that is not known", unknown, "permit.unknown_key"),
        _case("by a key under another one's kid", pretended, "permit.signature"),
        _case("claims exchanged", f"{header}.{other_claims}.{signature}", "permit.signature", version="8"),
        _case("for another audience", _permit(aud="deployer"), "permit.audience"),
        _case("for another registry", _permit(registry="elsewhere"), "permit.audience"),
        _case("an audience in other case", _permit(aud="Models"), "permit.audience"),
        _case("issued in the future", _permit(**later), "permit.not_yet_valid"),
        _case("expired", token, "permit.expired", now=_ISSUED + _LIFE_S + _SKEW_S),
        _case("another model", token, "permit.mismatch", model="fraud"),
        _case("another pointer", token, "permit.mismatch", alias="challenger"),
        _case("the pointer in other case", token, "permit.mismatch", alias="Champion"),
        _case("another version", token, "permit.mismatch", version="8"),
        _case("another spelling of the version", token, "permit.mismatch", version="07"),
        _case("a move, shown for taking away", token, "permit.mismatch", version=""),
    ]


def permits() -> dict[str, Any]:
    """Return the vectors of permits."""
    makers: tuple[Callable[[], list[dict[str, Any]]], ...] = (_malformed, _refused)
    return {
        "description": "permit.md. Each is shown to `registry` at `now`, in seconds, for `move`, for the first time.",
        "registry": _REGISTRY,
        "keys": [_jwk(_KEY), _jwk(_SECOND_KEY)],
        "valid": _valid(),
        "invalid": [case for make in makers for case in make()],
    }
