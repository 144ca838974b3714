"""Good bundles of every kind are verified, and say only what is authenticated."""

import base64
import hashlib
from typing import Any

import orjson
import pytest

from lockgate.demo.virtual_ca import VirtualSigner
from lockgate.digests import Digest
from lockgate.evidence import VerifiedSignature, VerifiedTime
from support.evidence import ISSUER, NOW, SIGNER, SUBJECT, World, statement_of

V01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
V02 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
V03_OLD = "application/vnd.dev.sigstore.bundle+json;version=0.3"


def _as_chain(bundle: dict[str, Any], media_type: str) -> dict[str, Any]:
    material = bundle["verificationMaterial"]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}
    return {**bundle, "mediaType": media_type}


def _verified(world: World, bundle: dict[str, Any], subject: Digest = SUBJECT) -> VerifiedSignature:
    result = world.check(bundle, subject)
    assert isinstance(result, VerifiedSignature), result
    return result


@pytest.mark.parametrize("kind", ["message", "message_v2", "statement", "statement_v2"])
def test_bundle_v03_is_verified(world: World, kind: str) -> None:
    """A bundle v0.3 is verified, be it over a digest or a statement, by either generation of log."""
    result = _verified(world, getattr(world, kind)())

    assert result.kind == kind.removesuffix("_v2")
    assert (result.identity, result.identity_type, result.issuer) == (SIGNER.identity, "email", ISSUER)
    assert result.subject == SUBJECT
    assert result.trust_domain == "test"


@pytest.mark.parametrize("media_type", [V01, V02])
@pytest.mark.parametrize("kind", ["message", "statement"])
def test_older_bundle_is_verified(world: World, kind: str, media_type: str) -> None:
    """Bundles v0.1 and v0.2, which carry the certificate in a chain, are verified."""
    assert _verified(world, _as_chain(getattr(world, kind)(), media_type)).identity == SIGNER.identity


def test_older_spelling_of_v03_is_verified(world: World) -> None:
    """The first spelling of the media type of v0.3 is the same format."""
    assert _verified(world, {**world.message(), "mediaType": V03_OLD}).identity == SIGNER.identity


def test_time_of_log_is_the_promised_one(world: World) -> None:
    """The time of a Rekor v1 entry is the one that the log's promise covers."""
    assert _verified(world, world.message()).times == (VerifiedTime(source="log", at=NOW),)


def test_time_of_timestamp_is_the_authoritys(world: World) -> None:
    """The time of a Rekor v2 entry is the timestamp authority's."""
    assert _verified(world, world.message_v2()).times == (VerifiedTime(source="timestamp_authority", at=NOW),)


def test_facts_of_the_log_entry_are_authenticated(world: World) -> None:
    """The log's id comes from the root and the entry's digest from the body, never from unauthenticated fields."""
    bundle = world.message_v2()
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    body = base64.b64decode(entry["canonicalizedBody"])
    entry["logIndex"] = "77"
    result = _verified(world, bundle)

    assert result.log_key_id == world.sigstore.log_v2.log_id.hex()
    assert result.log_entry_sha256 == hashlib.sha256(body).hexdigest()


def test_statement_is_parsed(world: World) -> None:
    """A verified statement comes back parsed, with its predicate type and its payload's digest."""
    payload = orjson.dumps(statement_of())
    result = _verified(world, world.statement(payload))

    assert result.statement == statement_of()
    assert result.predicate_type == "https://example.com/evaluation/v1"
    assert result.payload_sha256 == hashlib.sha256(payload).hexdigest()
    assert result.checks[-2:] == ("payload_type", "subject")


def test_statement_subject_by_sha512(world: World) -> None:
    """A statement whose subject has a SHA-512 digest is found by it, as npm's provenance is."""
    digest = Digest(algorithm="sha512", hex=hashlib.sha512(b"package").hexdigest())
    statement = statement_of(subject=[{"digest": {"gitCommit": "abc"}}, {"digest": {"sha512": digest.hex}}])

    assert _verified(world, world.statement(statement), digest).subject == digest


def test_intoto_entry_is_verified(world: World) -> None:
    """A statement that was logged as intoto/0.0.2, as npm and older cosign do, is verified."""
    assert _verified(world, world.intoto()).kind == "statement"


def test_second_entry_of_the_log_is_verified(world: World) -> None:
    """Inclusion is proven in trees of several sizes."""
    for _ in range(6):
        assert _verified(world, world.message()).kind == "message"


@pytest.mark.parametrize(
    ("identity", "identity_type"),
    [
        ("https://github.com/org/repo/.github/workflows/train.yml@refs/heads/main", "uri"),
        ("foo!oidc.local", "username"),
    ],
)
def test_identity_is_exact(world: World, identity: str, identity_type: Any) -> None:
    """URIs and usernames come out as they were certified; a username without its DER header."""
    signer = VirtualSigner(identity=identity, identity_type=identity_type, issuer=ISSUER)
    result = _verified(world, world.message(signer=signer))

    assert (result.identity, result.identity_type) == (identity, identity_type)
