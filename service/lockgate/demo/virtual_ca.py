"""A certificate authority in memory that behaves as Fulcio does, with its certificate-transparency log.

Binary layouts: RFC 6962 (the signed certificate timestamp), X.690 (the few DER values written by hand), and Fulcio's
`docs/oid-info.md` (the claims).
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.clock import NS_PER_S, EpochNs

CERTIFICATE_LIFETIME_S: Final = 600  # Fulcio's ten minutes
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
FULCIO_OID: Final = "1.3.6.1.4.1.57264.1"
_SCT_LIST_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_USERNAME_OID: Final = x509.ObjectIdentifier(f"{FULCIO_OID}.7")
_RAW_CLAIM_MAX: Final = 6  # claims .1 to .6 are raw text; later ones are DER UTF8Strings
_DER_SHORT_LENGTH_MAX: Final = 127
_NS_PER_MS: Final = 1_000_000

Extension: TypeAlias = tuple[x509.ExtensionType, bool]
"""An extension and whether it is critical."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualSigner:
    """Whom a certificate is for.

    Attributes:
        identity: An e-mail address, a URI or a username.
        issuer: The OpenID Connect issuer that is said to have vouched for the identity.
        claims: Fulcio's numbered claims besides the issuer: the last arc of the OID, from 2 to 22, to its text.
    """

    identity: str
    identity_type: Literal["email", "uri", "username"] = "email"
    issuer: str
    claims: dict[int, str] = field(default_factory=dict)


def moment_of(at: EpochNs) -> datetime:
    """Return a time as the certificate library wants it, in whole seconds."""
    return datetime.fromtimestamp(at // NS_PER_S, UTC)


def spki_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as DER SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class VirtualCTLog:
    """A certificate-transparency log of which only the signing key exists."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.log_id = hashlib.sha256(spki_of(self.key.public_key())).digest()

    def sct_list(self, precertificate: x509.Certificate, issuer: ec.EllipticCurvePublicKey, at: EpochNs) -> bytes:
        """Promise to log a certificate.

        Args:
            precertificate: The certificate, signed, without the extension that this method makes.
            issuer: The key that signs the certificate.
            at: When the promise is made; kept in milliseconds.

        Returns:
            The value of the extension 1.3.6.1.4.1.11129.2.4.2, with one timestamp in it.

        Source: RFC 6962, sections 3.2 and 3.3.
        """
        timestamp_ms = at // _NS_PER_MS
        tbs = precertificate.tbs_certificate_bytes
        signed = b"".join(
            (
                struct.pack("!BBQH", 0, 0, timestamp_ms, 1),  # v1, certificate_timestamp, time, precert_entry
                hashlib.sha256(spki_of(issuer)).digest(),
                len(tbs).to_bytes(3, "big") + tbs,
                b"\0\0",  # no extensions
            )
        )
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        sct = struct.pack("!B32sQH", 0, self.log_id, timestamp_ms, 0)
        sct += b"\x04\x03" + struct.pack("!H", len(signature)) + signature  # SHA-256, ECDSA
        entry = struct.pack("!H", len(sct)) + sct
        return _der(0x04, struct.pack("!H", len(entry)) + entry)


class VirtualCA:
    """A root and an intermediate that issues short-lived code-signing certificates."""

    def __init__(self, *, name: str, start: EpochNs) -> None:
        self._root_key = ec.generate_private_key(ec.SECP384R1())
        self._key = ec.generate_private_key(ec.SECP384R1())
        begin = moment_of(start)
        root = _Party(name=f"{name}-root", key=self._root_key)
        self.root = _authority(root, root, begin, path_length=1)
        self.intermediate = _authority(_Party(name=name, key=self._key), root, begin, path_length=0)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The authority's certificates, as a trusted root lists them: the issuing one first."""
        return (self.intermediate, self.root)

    def leaf_extensions(self, signer: VirtualSigner, key: ec.EllipticCurvePublicKey) -> list[Extension]:
        """Return the extensions that Fulcio would write, in its order, all but the certificate timestamp."""
        issuer = signer.issuer
        extensions: list[Extension] = [
            (_key_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectKeyIdentifier.from_public_key(key), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
            (x509.SubjectAlternativeName([_general_name(signer)]), True),  # critical, because the subject is empty
            (claim_extension(1, issuer), False),
            (claim_extension(8, issuer), False),
        ]
        extensions.extend((claim_extension(number, text), False) for number, text in sorted(signer.claims.items()))
        return extensions

    def issue(
        self,
        key: ec.EllipticCurvePublicKey,
        extensions: Sequence[Extension],
        at: EpochNs,
        ct_log: VirtualCTLog | None,
        *,
        lifetime_s: int = CERTIFICATE_LIFETIME_S,
    ) -> x509.Certificate:
        """Certify a key from one second before `at`, with a timestamp of `ct_log` if one is given."""
        begin = moment_of(at)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - timedelta(seconds=1))
            .not_valid_after(begin + timedelta(seconds=lifetime_s))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        precertificate = builder.sign(self._key, hashes.SHA384())
        if ct_log is None:
            return precertificate
        scts = ct_log.sct_list(precertificate, self._key.public_key(), at)
        # The same serial, dates and order of extensions: the promise covers the bytes without this extension.
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST_OID, scts), critical=False).sign(
            self._key, hashes.SHA384()
        )


def claim_extension(number: int, text: str) -> x509.UnrecognizedExtension:
    """Return Fulcio's claim `1.3.6.1.4.1.57264.1.<number>` as an extension."""
    value = text.encode() if number <= _RAW_CLAIM_MAX else _der(0x0C, text.encode())
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{FULCIO_OID}.{number}"), value)


def _general_name(signer: VirtualSigner) -> x509.GeneralName:
    match signer.identity_type:
        case "email":
            return x509.RFC822Name(signer.identity)
        case "uri":
            return x509.UniformResourceIdentifier(signer.identity)
        case "username":
            return x509.OtherName(_USERNAME_OID, _der(0x0C, signer.identity.encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Party:
    name: str
    key: ec.EllipticCurvePrivateKey


def _authority(holder: _Party, issuer: _Party, begin: datetime, *, path_length: int) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished_name(holder.name))
        .issuer_name(_distinguished_name(issuer.name))
        .public_key(holder.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(holder.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .sign(issuer.key, hashes.SHA384())
    )


def _distinguished_name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lockgate demonstration, trust nothing"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _der(tag: int, content: bytes) -> bytes:
    # One tag, a definite length in its shortest form, the content (X.690, section 8.1.3).
    size = len(content)
    if size <= _DER_SHORT_LENGTH_MAX:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
