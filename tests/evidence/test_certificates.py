"""Bundles with an X.509 chain of one's own authority are verified as of now, and only where the domain says so."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.clock import NS_PER_S
from lockgate.demo.virtual_ca import moment_of
from lockgate.demo.virtual_log import encode_base64
from lockgate.evidence import VerifiedSignature
from support.evidence import NOW, SUBJECT, World, code_of, statement_of
from support.managed_bundles import KeySigner

STATEMENT = orjson.dumps(statement_of())
BEGIN = moment_of(NOW) - timedelta(days=10)
END = moment_of(NOW) + timedelta(days=10)
CODE_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
ANY_PURPOSE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def _usage(*, signs: bool, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, certifies, False, False, False)  # noqa: FBT003 - X.509's bits


@dataclass
class Party:
    """A certificate holder: name, key, and how its certificate is made out."""

    name: str
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    authority: bool = True
    path_length: int | None = None
    purposes: x509.ExtendedKeyUsage | None = None
    usage: x509.KeyUsage | None = field(default_factory=lambda: _usage(signs=False, certifies=True))
    begin: datetime = BEGIN
    end: datetime = END
    hash: Any = field(default_factory=hashes.SHA256)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    @property
    def subject(self) -> x509.Name:
        """The holder's distinguished name; empty for an empty name."""
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)] if self.name else [])

    def certified_by(self, issuer: "Party") -> x509.Certificate:
        """Return the holder's certificate."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
        )
        if self.authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=self.path_length), critical=True)
        if self.purposes is not None:
            builder = builder.add_extension(self.purposes, critical=False)
        if self.usage is not None:
            builder = builder.add_extension(self.usage, critical=True)
        for extension, critical in self.extra:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer.key, self.hash)


def _leaf(**changes: Any) -> Party:
    usage = _usage(signs=True, certifies=False)
    return Party(**{"name": "release", "authority": False, "purposes": CODE_SIGNING, "usage": usage, **changes})


def _check(world: World, leaf: Party, *issuers: Party, send: int | None = None, content: str = "statement") -> Any:
    """Trust the last of `issuers`; send the leaf and the first `send` of the others."""
    chain = [leaf, *issuers]
    certificates = [each.certified_by(issuer) for each, issuer in zip(chain, [*issuers, issuers[-1]], strict=True)]
    (world.folder / "roots.pem").write_bytes(certificates[-1].public_bytes(Encoding.PEM))
    world.domain_text = '[[certificate_authorities]]\nfile = "roots.pem"\nrequire_log = false\n'
    signer = KeySigner()
    if isinstance(leaf.key, ec.EllipticCurvePrivateKey):
        signer.key = leaf.key
    bundle = signer.message() if content == "message" else signer.statement(STATEMENT)
    sent = certificates[: len(issuers) if send is None else send + 1]
    raw = [{"rawBytes": encode_base64(each.public_bytes(Encoding.DER))} for each in sent]
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": raw}}
    return world.check(bundle)


@pytest.mark.parametrize("content", ["message", "statement"])
def test_chain_is_verified(world: World, content: str) -> None:
    """A chain to an authority of the domain is verified; the signer is its subject, and there is no verified time."""
    result = _check(world, _leaf(), Party("intermediate"), Party("root"), content=content)

    assert isinstance(result, VerifiedSignature), result
    assert (result.identity, result.identity_type, result.issuer) == ("CN=release", "certificate", "")
    assert result.times == ()
    assert result.log_entry_sha256 is None
    assert result.checks[:3] == ("certificate", "validity", "signature")


def test_chain_without_consent_is_refused(world: World) -> None:
    """In a domain without authorities of its own, a chain needs a log entry like any certificate."""
    signer = KeySigner()
    bundle = signer.statement(STATEMENT)
    der = encode_base64(_leaf().certified_by(Party("root")).public_bytes(Encoding.DER))
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": der}]}}

    assert code_of(world.check(bundle)) == "log_entry_invalid"


def test_root_may_issue_and_be_sent(world: World) -> None:
    """A root may issue the signer's certificate itself, and the bundle may repeat the root."""
    assert code_of(_check(world, _leaf(), Party("root"), send=0)) == "verified"
    assert code_of(_check(world, _leaf(), Party("intermediate"), Party("root"), send=2)) == "verified"


LATE = {"begin": BEGIN, "end": moment_of(NOW) - timedelta(seconds=1)}
EARLY = {"begin": moment_of(NOW) + timedelta(seconds=1), "end": END}
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
CONSTRAINED = (x509.NameConstraints([x509.DNSName("example.com")], None), False)
BAD_LEAVES: list[tuple[str, str, dict[str, Any]]] = [
    ("outside_validity", "expired", LATE),
    ("outside_validity", "early", EARLY),
    ("untrusted_certificate", "no purpose", {"purposes": None}),
    ("untrusted_certificate", "tls purpose", {"purposes": SERVER}),
    ("untrusted_certificate", "any purpose", {"purposes": ANY_PURPOSE}),
    ("untrusted_certificate", "no usage", {"usage": None}),
    ("untrusted_certificate", "other usage", {"usage": _usage(signs=False, certifies=True)}),
    ("untrusted_certificate", "no name", {"name": ""}),
    ("untrusted_certificate", "unknown critical", {"extra": (UNKNOWN,)}),
]


@pytest.mark.parametrize(("code", "what", "changes"), BAD_LEAVES, ids=[what for _, what, _ in BAD_LEAVES])
def test_bad_signer_is_refused(world: World, code: str, what: str, changes: dict[str, Any]) -> None:
    """A signer's certificate that has ended, is for something else or has no name is refused."""
    del what
    assert code_of(_check(world, _leaf(**changes), Party("intermediate"), Party("root"))) == code


BAD_ISSUERS: list[tuple[str, str, dict[str, Any]]] = [
    ("outside_validity", "expired", LATE),
    ("untrusted_certificate", "no authority", {"authority": False}),
    ("untrusted_certificate", "no usage", {"usage": None}),
    ("untrusted_certificate", "other usage", {"usage": _usage(signs=True, certifies=False)}),
    ("untrusted_certificate", "tls purpose", {"purposes": SERVER}),
    ("untrusted_certificate", "name constraints", {"extra": (CONSTRAINED,)}),
]


@pytest.mark.parametrize(("code", "what", "changes"), BAD_ISSUERS, ids=[what for _, what, _ in BAD_ISSUERS])
@pytest.mark.parametrize("who", ["intermediate", "root"])
def test_bad_issuer_is_refused(world: World, code: str, what: str, changes: dict[str, Any], who: str) -> None:
    """An issuer that has ended, is no authority, or is one for something else is refused, intermediate or root."""
    del what
    issuers = [Party(name, **(changes if name == who else {})) for name in ("intermediate", "root")]

    assert code_of(_check(world, _leaf(), *issuers)) == code


def test_issuer_for_any_purpose_is_fine(world: World) -> None:
    """An intermediate that may certify for any purpose may certify for signing code."""
    assert code_of(_check(world, _leaf(), Party("intermediate", purposes=ANY_PURPOSE), Party("root"))) == "verified"


@pytest.mark.parametrize(("length", "code"), [(0, "untrusted_certificate"), (1, "verified")])
def test_path_length_is_obeyed(world: World, length: int, code: str) -> None:
    """An authority's path length bounds the intermediates below it."""
    assert code_of(_check(world, _leaf(), Party("intermediate"), Party("root", path_length=length))) == code


def test_broken_chain_is_refused(world: World) -> None:
    """A chain that lacks a link, or ends in a stranger under a known name, is refused."""
    assert code_of(_check(world, _leaf(), Party("intermediate"), Party("root"), send=0)) == "untrusted_certificate"

    impostor = Party("root")
    good = Party("root")
    leaf = _leaf()
    result = _check(world, leaf, good)
    assert code_of(result) == "verified"
    der = encode_base64(leaf.certified_by(impostor).public_bytes(Encoding.DER))
    signer = KeySigner()
    signer.key = leaf.key
    bundle = signer.statement(STATEMENT)
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": der}]}}

    assert code_of(world.check(bundle)) == "untrusted_certificate"


def test_signature_of_another_key_is_refused(world: World) -> None:
    """A good chain with a signature by another key is refused."""
    assert code_of(_check(world, _leaf(key=rsa.generate_private_key(65537, 2048)), Party("root"))) == (
        "untrusted_certificate"
    )
    leaf, root = _leaf(), Party("root")
    _check(world, leaf, root)
    bundle = KeySigner().statement(STATEMENT)
    der = encode_base64(leaf.certified_by(root).public_bytes(Encoding.DER))
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": der}]}}

    assert code_of(world.check(bundle)) == "signature_invalid"


def test_weak_keys_are_refused(world: World) -> None:
    """RSA authorities of fewer than 2048 bits are refused."""
    weak = Party("root", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - the point of this test

    assert code_of(_check(world, _leaf(), weak)) == "untrusted_certificate"


def test_verdict_ends_with_the_certificate(world: World) -> None:
    """A verdict without a verified time is not remembered: it ends when the certificate does."""
    leaf, root = _leaf(), Party("root")
    _check(world, leaf, root)
    verifier = world.verifier()
    signer = KeySigner()
    signer.key = leaf.key
    bundle = signer.statement(STATEMENT)
    der = encode_base64(leaf.certified_by(root).public_bytes(Encoding.DER))
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": der}]}}
    data = orjson.dumps(bundle)
    subject = SUBJECT
    assert code_of(verifier.verify(data, subject, "test")) == "verified"
    world.clock.advance(11 * 86_400 * NS_PER_S)

    assert code_of(verifier.verify(data, subject, "test")) == "outside_validity"
