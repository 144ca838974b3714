"""Bundles by managed keys are verified with a log entry, and without one only where the domain says so."""

import base64
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.demo.virtual_ca import moment_of
from lockgate.demo.virtual_log import encode_base64
from lockgate.demo.virtual_sigstore import pre_authentication_encoding
from lockgate.digests import Digest, sha256_hex, sha256_of
from lockgate.evidence import VerifiedSignature
from support.evidence import NOW, World, code_of, statement_of
from support.managed_bundles import KeySigner

STATEMENT = orjson.dumps(statement_of())
LOGGED = [
    ("message", "hashedrekord"),
    ("message", "hashedrekord_v2"),
    ("statement", "dsse"),
    ("statement", "intoto"),
    ("statement", "hashedrekord_v2"),
]


def _trust(world: World, signer: KeySigner, extra: str = "") -> None:
    (world.folder / "key.pem").write_bytes(signer.pem)
    world.domain_text = f'[[managed_keys]]\nfile = "key.pem"\n{extra}\n'


def _bundle(signer: KeySigner, content: str) -> dict[str, Any]:
    return signer.message() if content == "message" else signer.statement(STATEMENT)


def _day(days: int) -> str:
    return moment_of(EpochNs(NOW + days * 86_400 * NS_PER_S)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("content", "kind"), LOGGED)
def test_logged_signature_is_verified(world: World, content: str, kind: str) -> None:
    """A signature by a managed key, logged in any of the kinds of entry, is verified and named by its key."""
    signer = KeySigner()
    _trust(world, signer)
    result = world.check(signer.log_as(world.sigstore, kind, _bundle(signer, content)))

    assert isinstance(result, VerifiedSignature), result
    assert (result.identity, result.identity_type) == (f"key:{sha256_hex(signer.spki)}", "key")
    assert (result.issuer, result.claims, result.certificate_sha256) == ("", (), None)
    assert [time.at for time in result.times] == [NOW]
    assert result.log_entry_sha256 is not None


@pytest.mark.parametrize(("content", "kind"), LOGGED)
def test_entry_of_another_signature_is_refused(world: World, content: str, kind: str) -> None:
    """A log entry of another signature by the same key is refused."""
    signer = KeySigner()
    _trust(world, signer)
    bundle = signer.log_as(world.sigstore, kind, _bundle(signer, content))
    other = signer.log_as(world.sigstore, kind, _bundle(signer, content))
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]

    assert code_of(world.check(bundle)) == "log_entry_mismatch"


def test_entry_of_another_key_is_refused(world: World) -> None:
    """A log entry that names another key for the same signature is refused."""
    signer, other = KeySigner(), KeySigner()
    _trust(world, signer)
    bundle = signer.message()
    other.log_as(world.sigstore, "hashedrekord", bundle)

    assert code_of(world.check(bundle)) == "log_entry_mismatch"


def test_entry_of_another_kind_is_refused(world: World) -> None:
    """A statement cannot be logged as a message."""
    signer = KeySigner()
    _trust(world, signer)
    bundle = signer.log_as(world.sigstore, "hashedrekord", signer.statement(STATEMENT))

    assert code_of(world.check(bundle)) == "unsupported_log_entry"


@pytest.mark.parametrize(("extra", "code"), [("", "log_entry_invalid"), ("require_log = false", "verified")])
def test_signature_without_log_needs_consent(world: World, extra: str, code: str) -> None:
    """A signature without a log entry is verified only if the key's table says that it may be."""
    signer = KeySigner()
    _trust(world, signer, extra)

    assert code_of(world.check(signer.statement(STATEMENT))) == code


def test_present_entry_must_hold(world: World) -> None:
    """Where no log entry is needed, one that is there must hold all the same."""
    signer = KeySigner()
    _trust(world, signer, "require_log = false")
    bundle = signer.log_as(world.sigstore, "dsse", signer.statement(STATEMENT))
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["integratedTime"] = "1"

    assert code_of(world.check(bundle)) == "log_entry_invalid"


def test_logged_signature_needs_a_time(world: World) -> None:
    """An entry without a promise and without a timestamp does not say when."""
    signer = KeySigner()
    _trust(world, signer)
    bundle = signer.log_as(world.sigstore, "hashedrekord_v2", signer.message())
    del bundle["verificationMaterial"]["timestampVerificationData"]

    assert code_of(world.check(bundle)) == "no_verified_time"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (f"valid_from = {_day(-1)}\nvalid_until = {_day(1)}", "verified"),
        (f"valid_from = {_day(0)}\nvalid_until = {_day(0)}", "verified"),
        (f"valid_from = {_day(1)}", "outside_validity"),
        (f"valid_until = {_day(-1)}", "outside_validity"),
    ],
)
@pytest.mark.parametrize("logged", [True, False])
def test_key_window(world: World, extra: str, code: str, *, logged: bool) -> None:
    """A key counts within its window only: by the verified time, and by the present where there is none."""
    signer = KeySigner()
    _trust(world, signer, f"{extra}\nrequire_log = {str(logged).lower()}")
    bundle = signer.statement(STATEMENT)
    if logged:
        signer.log_as(world.sigstore, "dsse", bundle)

    assert code_of(world.check(bundle)) == code


def test_time_in_the_future_is_refused(world: World) -> None:
    """A promised time after the gate's clock is refused for managed keys, too."""
    signer = KeySigner()
    _trust(world, signer)
    bundle = signer.log_as(world.sigstore, "dsse", signer.statement(STATEMENT))
    world.clock.advance(-3600 * NS_PER_S)

    assert code_of(world.check(bundle)) == "time_in_future"


def test_log_window(world: World) -> None:
    """The log's own window holds for managed keys, too."""
    signer = KeySigner()
    _trust(world, signer)
    bundle = signer.log_as(world.sigstore, "dsse", signer.statement(STATEMENT))
    change = lambda root: root["tlogs"][0]["publicKey"].update(validFor={"start": _day(1)})  # noqa: E731

    assert code_of(world.check(bundle, change_root=change)) == "outside_validity"


def test_unknown_key_is_refused(world: World) -> None:
    """A key that the domain does not list is refused, by its hint, by its own bytes, or for want of any key."""
    signer, stranger = KeySigner(), KeySigner()
    assert code_of(world.check(signer.statement(STATEMENT))) == "key_unknown"

    _trust(world, signer, "require_log = false")
    assert code_of(world.check(stranger.statement(STATEMENT))) == "key_unknown"

    bundle = stranger.statement(STATEMENT)
    bundle["verificationMaterial"]["publicKey"] = {"rawBytes": encode_base64(stranger.pem)}
    assert code_of(world.check(bundle)) == "key_unknown"


def test_key_is_found_in_every_way(world: World) -> None:
    """A key is found by the hints that tools write, by a hint of the domain file, by its bytes, or by trial."""
    signer = KeySigner()
    _trust(world, signer, 'require_log = false\nhint = "release"')
    digest = bytes.fromhex(sha256_hex(signer.spki))
    for reference in (
        {"hint": signer.hint},
        {"hint": digest.hex()},
        {"hint": encode_base64(digest)},
        {"hint": "release"},
        {"rawBytes": encode_base64(signer.pem)},
        {"hint": ""},
    ):
        bundle = signer.statement(STATEMENT)
        bundle["verificationMaterial"]["publicKey"] = reference

        assert code_of(world.check(bundle)) == "verified", reference


def test_forged_signature_is_refused(world: World) -> None:
    """A signature by another key under a known key's hint is refused."""
    signer, stranger = KeySigner(), KeySigner()
    _trust(world, signer, "require_log = false")
    stranger.hint = signer.hint

    assert code_of(world.check(stranger.statement(STATEMENT))) == "signature_invalid"
    assert code_of(world.check(stranger.message())) == "signature_invalid"
    assert code_of(world.check(signer.message(), sha256_of(b"other"))) == "signature_invalid"


def test_stated_digest_must_be_the_artifacts(world: World) -> None:
    """A digest that the bundle states must be the artifact's."""
    signer = KeySigner()
    _trust(world, signer, "require_log = false")
    bundle = signer.message()
    bundle["messageSignature"]["messageDigest"] = {"algorithm": "SHA2_256", "digest": encode_base64(b"x" * 32)}

    assert code_of(world.check(bundle)) == "digest_mismatch"


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_larger_curves_sign_statements(world: World, curve: ec.EllipticCurve) -> None:
    """P-384 and P-521 sign with the hash that goes with them; neither can sign a SHA-256 digest."""
    signer = KeySigner(curve)
    _trust(world, signer, "require_log = false")

    assert code_of(world.check(signer.statement(STATEMENT))) == "verified"
    assert code_of(world.check(signer.message())) == "digest_mismatch"


def test_sha512_artifact_needs_p521(world: World) -> None:
    """An artifact that is known by SHA-512 cannot have been signed by a P-256 key."""
    signer = KeySigner()
    _trust(world, signer, "require_log = false")

    assert code_of(world.check(signer.message(), Digest(algorithm="sha512", hex="0" * 128))) == "digest_mismatch"


def test_ed25519_signs_statements_only(world: World) -> None:
    """Ed25519 signs whole messages, so it can sign statements, but not an artifact by its digest."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (world.folder / "key.pem").write_bytes(pem)
    world.domain_text = '[[managed_keys]]\nfile = "key.pem"\nrequire_log = false\n'
    bundle = KeySigner().statement(STATEMENT)
    bundle["verificationMaterial"]["publicKey"] = {"hint": ""}
    encoding = pre_authentication_encoding(bundle["dsseEnvelope"]["payloadType"], STATEMENT)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = encode_base64(key.sign(encoding))
    assert code_of(world.check(bundle)) == "verified"

    message = KeySigner().message()
    message["verificationMaterial"]["publicKey"] = {"hint": ""}
    assert code_of(world.check(message)) == "unsupported_bundle"


def test_statement_is_checked_too(world: World) -> None:
    """A managed key's envelope must hold a statement about the artifact, as any other."""
    signer = KeySigner()
    _trust(world, signer, "require_log = false")

    assert code_of(world.check(signer.statement(b"{}"))) == "payload_type"
    assert code_of(world.check(signer.statement(STATEMENT), sha256_of(b"other"))) == "subject_mismatch"


def _sign_as_model_signing_02(signer: KeySigner) -> dict[str, Any]:
    # DSSEV1 in capitals, and the payload as Python shows bytes.

    payload_type = "application/vnd.in-toto+json"
    text = f"DSSEV1 {len(payload_type)} {payload_type} {len(STATEMENT)} {STATEMENT!r}"
    bundle = signer.statement(STATEMENT)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = encode_base64(
        signer.key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    )
    return bundle


def test_old_encoding_needs_consent(world: World) -> None:
    """The encoding that model signing 0.2 signed by mistake counts only where the domain says so."""
    signer = KeySigner(ec.SECP384R1())
    bundle = _sign_as_model_signing_02(signer)
    _trust(world, signer, "require_log = false")
    assert code_of(world.check(bundle)) == "signature_invalid"

    world.domain_text = "legacy_model_signatures = true\n" + world.domain_text
    assert code_of(world.check(bundle)) == "verified"
    assert base64.b64decode(bundle["dsseEnvelope"]["payload"]) == STATEMENT
