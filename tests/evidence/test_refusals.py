"""Every refusal code has a bundle that is refused with it, by the step that is meant to."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from lockgate.clock import EpochNs
from lockgate.demo.virtual_ca import VirtualCA, VirtualCTLog
from lockgate.demo.virtual_log import VirtualLog
from lockgate.demo.virtual_sigstore import VirtualCredential, VirtualSigner, VirtualSigstore
from lockgate.digests import Digest, sha256_of
from lockgate.evidence import EvidenceVerifier, Refusal
from lockgate.evidence.limits import BUNDLE_BYTES_MAX, STATEMENT_BYTES_MAX, SUBJECTS_MAX, TIMESTAMPS_MAX
from support.evidence import NOW, SIGNER, SUBJECT, World, code_of, statement_of

Change = Callable[[dict[str, Any]], object]


def _entry(bundle: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


def _set_flipped(holder: dict[str, Any], key: str) -> None:
    # One bit of the last byte: still base64, still the same length.
    data = bytearray(base64.b64decode(holder[key]))
    data[-1] ^= 1
    holder[key] = base64.b64encode(bytes(data)).decode()


def _make_legacy(bundle: dict[str, Any]) -> None:
    bundle.clear()
    bundle.update(base64Signature="AA==", cert="x")


BAD_MESSAGES: list[tuple[str, str, Change]] = [
    ("malformed_bundle", "no material", lambda b: b.pop("verificationMaterial")),
    ("malformed_bundle", "two signers", lambda b: b["verificationMaterial"].update(publicKey={"hint": "x"})),
    ("malformed_bundle", "no content", lambda b: b.pop("messageSignature")),
    (
        "malformed_bundle",
        "certificate not DER",
        lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="AAAA"),
    ),
    ("malformed_bundle", "not base64", lambda b: b["messageSignature"].update(signature="!")),
    ("malformed_bundle", "unknown field", lambda b: b.update(surprise=1)),
    ("malformed_bundle", "index as number", lambda b: _entry(b).update(logIndex=1)),
    ("unsupported_bundle", "media type", lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v0.4+json")),
    ("unsupported_bundle", "no media type", lambda b: b.pop("mediaType")),
    ("unsupported_log_entry", "kind", lambda b: _entry(b).update(kindVersion={"kind": "rfc3161", "version": "0.0.1"})),
    (
        "unsupported_log_entry",
        "statement's",
        lambda b: _entry(b).update(kindVersion={"kind": "dsse", "version": "0.0.1"}),
    ),
    ("legacy_signature_format", "cosign v2", _make_legacy),
    ("log_entry_invalid", "none", lambda b: b["verificationMaterial"].update(tlogEntries=[])),
    ("log_entry_invalid", "two", lambda b: b["verificationMaterial"].update(tlogEntries=[_entry(b), _entry(b)])),
    ("log_entry_invalid", "no proof", lambda b: _entry(b).update(inclusionProof=None)),
    ("log_entry_invalid", "no checkpoint", lambda b: _entry(b)["inclusionProof"].pop("checkpoint")),
    ("log_entry_invalid", "root hash", lambda b: _set_flipped(_entry(b)["inclusionProof"], "rootHash")),
    ("log_entry_invalid", "promise", lambda b: _set_flipped(_entry(b)["inclusionPromise"], "signedEntryTimestamp")),
    ("log_entry_invalid", "log id", lambda b: _set_flipped(_entry(b)["logId"], "keyId")),
    ("log_entry_invalid", "index", lambda b: _entry(b).update(logIndex="5")),
    ("no_verified_time", "neither", lambda b: _entry(b).pop("inclusionPromise")),
    ("no_verified_time", "time without promise", lambda b: _entry(b).update(integratedTime="0")),
    ("digest_mismatch", "stated", lambda b: _set_flipped(b["messageSignature"]["messageDigest"], "digest")),
    ("digest_mismatch", "algorithm", lambda b: b["messageSignature"]["messageDigest"].update(algorithm="SHA2_512")),
]


@pytest.mark.parametrize(("code", "what", "change"), BAD_MESSAGES, ids=[f"{c}-{w}" for c, w, _ in BAD_MESSAGES])
def test_changed_bundle_is_refused(world: World, code: str, what: str, change: Change) -> None:
    """A good bundle with one thing wrong is refused with that thing's code."""
    del what
    bundle = world.message()
    change(bundle)

    assert code_of(world.check(bundle)) == code


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"-----BEGIN"])
def test_not_a_bundle_is_refused(world: World, data: bytes) -> None:
    """Bytes that are not one unambiguous JSON object are malformed, or an object of no known kind."""
    assert code_of(world.check(data)) == "malformed_bundle"


def test_duplicate_key_is_refused(world: World) -> None:
    """A bundle that says a thing twice is refused, because two readers could hear two things."""
    data = orjson.dumps(world.message())
    twice = data[:-1] + b',"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}'

    assert code_of(world.check(twice)) == "malformed_bundle"


def test_oversized_bundle_is_refused(world: World) -> None:
    """A bundle above the limit is refused before it is parsed."""
    assert code_of(world.check(b" " * (BUNDLE_BYTES_MAX + 1))) == "too_large"


def test_deep_bundle_is_refused(world: World) -> None:
    """A bundle that nests without end is refused."""
    assert code_of(world.check(b'{"a":' * 100 + b"1" + b"}" * 100)) == "too_large"


def test_bundle_of_many_small_values_is_refused(world: World) -> None:
    """A megabyte of brackets is cheap to send and dear to walk: it is refused early."""
    assert code_of(world.check(b'{"x":[' + b"[]," * 300_000 + b"[]]}")) == "too_large"


@pytest.mark.parametrize(
    "signer", [replace(SIGNER, issuer="https://" + "i" * 505), replace(SIGNER, identity="x" * 1013 + "@example.com")]
)
def test_signer_with_an_endless_name_is_refused_alone(world: World, signer: VirtualSigner) -> None:
    """A name beyond what the policy takes spoils its own bundle, not the request."""
    assert code_of(world.check(world.message(signer=signer))) == "too_large"


def test_too_many_timestamps_are_refused(world: World) -> None:
    """More timestamps than the limit are refused, because each costs a verification."""
    bundle = world.message_v2()
    tokens = [{"signedTimestamp": base64.b64encode(bytes([n])).decode()} for n in range(TIMESTAMPS_MAX + 1)]
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = tokens

    assert code_of(world.check(bundle)) == "too_large"


def test_repeated_timestamp_is_refused(world: World) -> None:
    """The same timestamp twice is refused."""
    bundle = world.message_v2()
    data = bundle["verificationMaterial"]["timestampVerificationData"]
    data["rfc3161Timestamps"] *= 2

    assert code_of(world.check(bundle)) == "malformed_bundle"


def test_promise_without_proof_is_refused(world: World) -> None:
    """A bundle v0.1 with a log's promise alone is refused as an old format: a promise is not proof."""
    bundle = world.message()
    material = bundle["verificationMaterial"]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    _entry(bundle).pop("inclusionProof")

    assert code_of(world.check(bundle)) == "legacy_signature_format"


def test_chain_in_v03_is_refused(world: World) -> None:
    """A bundle v0.3 with a log entry carries one certificate and no chain."""
    bundle = world.message()
    material = bundle["verificationMaterial"]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}

    assert code_of(world.check(bundle)) == "unsupported_bundle"


def test_unknown_domain_is_refused(world: World) -> None:
    """A trust domain that the gate does not have is refused by name."""
    result = world.verifier().verify(orjson.dumps(world.message()), SUBJECT, "elsewhere")

    assert isinstance(result, Refusal)
    assert (result.code, result.trust_domain) == ("trust_domain_unknown", "elsewhere")


def test_other_artifact_is_refused(world: World) -> None:
    """A signature over one artifact says nothing about another, whether or not it states a digest."""
    bundle = world.message()
    other = sha256_of(b"other")
    assert code_of(world.check(bundle, other)) == "digest_mismatch"

    del bundle["messageSignature"]["messageDigest"]
    assert code_of(world.check(bundle, other)) == "signature_invalid"


def test_message_signature_needs_sha256(world: World) -> None:
    """A keyless message signature is over a SHA-256 digest, so an artifact known by SHA-512 is not covered."""
    assert code_of(world.check(world.message(), Digest(algorithm="sha512", hex="0" * 128))) == "digest_mismatch"


def test_stranger_authority_is_refused(world: World) -> None:
    """A certificate by an authority outside the root is refused, even under the same name."""
    world.sigstore.ca = VirtualCA(name="other", start=world.sigstore.start)
    bundle = world.message()
    world.sigstore.ca = VirtualCA(name="test-fulcio", start=world.sigstore.start)
    namesake = world.message()
    trusted = VirtualCA(name="test-fulcio", start=world.sigstore.start)
    world.sigstore.ca = trusted

    assert code_of(world.check(bundle)) == "untrusted_certificate"
    assert code_of(world.check(namesake)) == "untrusted_certificate"


def test_missing_certificate_timestamp_is_refused(world: World) -> None:
    """A certificate without a timestamp of the certificate-transparency log is refused."""
    ct_log, world.sigstore.ct_log = world.sigstore.ct_log, None
    bundle = world.message()
    world.sigstore.ct_log = ct_log

    assert code_of(world.check(bundle)) == "sct_invalid"


def test_foreign_certificate_timestamp_is_refused(world: World) -> None:
    """A certificate timestamp of a log that is not in the root is refused, also under a known log's id."""
    ours = world.sigstore.ct_log
    assert ours is not None
    world.sigstore.ct_log = VirtualCTLog()
    unknown = world.message()
    world.sigstore.ct_log.log_id = ours.log_id
    forged = world.message()
    world.sigstore.ct_log = ours

    assert code_of(world.check(unknown)) == "sct_invalid"
    assert code_of(world.check(forged)) == "sct_invalid"


def test_foreign_log_is_refused(world: World) -> None:
    """An entry of a log that is not in the root is refused, also under a known log's id."""
    ours = world.sigstore.log
    world.sigstore.log = VirtualLog(host=ours.host)
    unknown = world.message()
    world.sigstore.log.log_id = ours.log_id
    forged = world.message()
    world.sigstore.log = ours

    assert code_of(world.check(unknown)) == "log_entry_invalid"
    assert code_of(world.check(forged)) == "log_entry_invalid"


def _with_extensions(world: World, drop: type[x509.ExtensionType], add: x509.ExtensionType | None) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = world.sigstore.ca.leaf_extensions(SIGNER, key.public_key())
    kept = [(add, True) if isinstance(each, drop) and add else (each, critical) for each, critical in extensions]
    kept = [(each, critical) for each, critical in kept if not isinstance(each, drop) or each is add]
    certificate = world.sigstore.ca.issue(key.public_key(), kept, NOW, world.sigstore.ct_log)
    credential = VirtualCredential(key=key, certificate=certificate)
    return world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, NOW)


@pytest.mark.parametrize(
    ("drop", "add"),
    [
        (x509.ExtendedKeyUsage, None),
        (x509.ExtendedKeyUsage, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        (x509.KeyUsage, None),
        (x509.SubjectAlternativeName, None),
        (x509.SubjectAlternativeName, x509.SubjectAlternativeName([x509.DNSName("example.com")])),
        (
            x509.SubjectAlternativeName,
            x509.SubjectAlternativeName([x509.RFC822Name("a@example.com"), x509.RFC822Name("b@example.com")]),
        ),
    ],
)
def test_certificate_of_another_profile_is_refused(
    world: World, drop: type[x509.ExtensionType], add: x509.ExtensionType | None
) -> None:
    """A certificate that is not for signing code, or does not name exactly one signer, is refused."""
    assert code_of(world.check(_with_extensions(world, drop, add))) == "untrusted_certificate"


@pytest.mark.parametrize("kind", ["message", "message_v2", "statement", "statement_v2"])
def test_entry_of_another_signature_is_refused(world: World, kind: str) -> None:
    """A log entry for another signature by the same service is refused (CVE-2022-36056)."""
    bundle, other = getattr(world, kind)(), getattr(world, kind)()
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]

    assert code_of(world.check(bundle)) == "log_entry_mismatch"


def test_intoto_entry_of_another_payload_is_refused(world: World) -> None:
    """An intoto/0.0.2 entry whose payload hash is of something else is refused."""
    assert code_of(world.check(world.intoto(logged_payload=b"{}"))) == "log_entry_mismatch"


def test_intoto_entry_of_another_signer_is_refused(world: World) -> None:
    """An intoto/0.0.2 entry of the same payload by another certificate is refused."""
    bundle, other = world.intoto(), world.intoto()
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]

    assert code_of(world.check(bundle)) == "log_entry_mismatch"


@pytest.mark.parametrize("kind", ["statement", "intoto"])
def test_bad_envelope_signature_is_refused(world: World, kind: str) -> None:
    """An envelope whose payload was changed is refused as an invalid signature."""
    bundle = getattr(world, kind)()
    changed = orjson.dumps(statement_of(predicate={"accuracy_ppm": 1}))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()

    assert code_of(world.check(bundle)) == "signature_invalid"


def test_two_envelope_signatures_are_refused(world: World) -> None:
    """An envelope with two signatures is refused: it would not be clear whose word it is."""
    bundle = world.statement()
    bundle["dsseEnvelope"]["signatures"] *= 2

    assert code_of(world.check(bundle)) == "unsupported_bundle"


def test_other_payload_type_is_refused(world: World) -> None:
    """An envelope that holds something other than an in-toto statement is refused."""
    credential = world.sigstore.certify(SIGNER, NOW)
    bundle = world.sigstore.statement_bundle(orjson.dumps(statement_of()), credential, NOW, "text/plain")

    assert code_of(world.check(bundle)) == "payload_type"


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        ("payload_type", b"not json"),
        ("payload_type", b"[1]"),
        ("payload_type", b'{"_type":"https://in-toto.io/Statement/v1","_type":"https://in-toto.io/Statement/v1"}'),
        ("payload_type", statement_of(_type="https://in-toto.io/Statement/v2")),
        ("payload_type", statement_of(predicateType=7)),
        ("payload_type", statement_of(predicateType="")),
        ("payload_type", statement_of(predicateType="x" * 513)),
        ("payload_type", statement_of(subject=[])),
        ("payload_type", statement_of(subject=[{"name": "x"}])),
        ("payload_type", statement_of(subject=[{"digest": {}}])),
        ("payload_type", statement_of(subject=["x"])),
        ("subject_mismatch", statement_of(subject=[{"digest": {"sha256": SUBJECT.hex.upper()}}])),
        ("subject_mismatch", statement_of(subject=[{"digest": {"sha512": SUBJECT.hex}}])),
        ("subject_mismatch", statement_of(subject=[{"digest": {"sha256": "0" * 64}}])),
        ("too_large", statement_of(subject=[{"digest": {"sha256": "0" * 64}}] * (SUBJECTS_MAX + 1))),
        ("too_large", statement_of(predicate="x" * STATEMENT_BYTES_MAX)),
        ("too_large", b'{"a":' * 100 + b"1" + b"}" * 100),
        ("too_large", statement_of(predicate=[[]] * 300_000)),
    ],
)
def test_statement_that_is_not_about_the_artifact_is_refused(world: World, code: str, payload: Any) -> None:
    """A well-signed statement that is malformed, too large or about something else is refused."""
    assert code_of(world.check(world.statement(payload))) == code


def test_unforeseen_error_is_a_refusal(world: World) -> None:
    """An error that nobody foresaw, such as a clock that fails, is a refusal and not an exception."""

    class BrokenClock:
        def now_ns(self) -> EpochNs:
            raise RuntimeError("no time")

    verifier = EvidenceVerifier(world.verifier().domains, BrokenClock())
    result = verifier.verify(orjson.dumps(world.message()), SUBJECT, "test")

    assert code_of(result) == "internal"


def test_details_do_not_echo_the_bundle(world: World) -> None:
    """What a refusal says is our own words: a hostile bundle cannot write into the record or the terminal."""
    bundle = world.message()
    bundle["mediaType"] = "\x1b[31mEVIL"
    result = world.check(bundle)

    assert isinstance(result, Refusal)
    assert "EVIL" not in result.detail


def test_certificate_of_another_instance_is_refused(world: World) -> None:
    """A certificate of one instance is refused when it was logged by another."""
    other = VirtualSigstore(name="other", clock=world.clock)
    credential = other.certify(SIGNER, NOW)
    bundle = world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, NOW)

    assert code_of(world.check(bundle)) == "untrusted_certificate"
