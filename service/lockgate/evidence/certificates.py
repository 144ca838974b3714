"""Verifies bundles that carry an X.509 chain of one's own authority and no log entry.

Without a log or a timestamp nothing shows when the signature was made, so the chain must be valid now, and an expired
or stolen-and-expired certificate is of no use. The path is walked in the order in which the bundle lists it.

Source: RFC 5280, section 6.1, for the checks; name constraints are refused rather than half-checked.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from lockgate.clock import EpochNs
from lockgate.digests import Digest
from lockgate.evidence.bundles import UnverifiedBundle
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.signatures import is_supported, signature_holds
from lockgate.evidence.sigstore_bundles import outside
from lockgate.evidence.types import RefusalCode
from lockgate.evidence.windows import window_of

_CRITICAL_KNOWN: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_HASHES_ALLOWED: Final = frozenset({"sha256", "sha384", "sha512"})
_RSA_BITS_MIN: Final = 2048  # NIST SP 800-131A


def verify_certified(
    bundle: UnverifiedBundle,
    subject: Digest,
    anchors: tuple[x509.Certificate, ...],
    now: EpochNs,
    *,
    legacy: bool,
) -> x509.Certificate:
    """Verify a bundle that carries an X.509 chain.

    (1) The certificates can be read, and each is one that we understand.
    (2) The signer's is for signing code, and has a name.
    (3) Each is issued by the next, and one by an anchor, which are authorities.
    (4) All are valid now.
    (5) The signer's key made the signature.

    Args:
        bundle: The bundle, its chain with the signer's certificate first.
        subject: The artifact.
        anchors: The domain's authorities.
        now: The time by the gate's clock.
        legacy: Whether the encoding of model signing 0.2 counts.

    Returns:
        The signer's certificate.

    Raises:
        RefusedError: `untrusted_certificate`, `outside_validity` or `signature_invalid`.
        Exception: Whatever the parser lets out of a malformed certificate; the caller names it.
    """
    # (1) Certificates that we understand.
    chain = [x509.load_der_x509_certificate(der) for der in bundle.certificates]
    for certificate in (*chain, *anchors):
        _require_understood(certificate)
    # (2) For signing code, with a name.
    _require_code_signing(chain[0])
    # (3) A path to an anchor.
    path = _path(chain, anchors)
    # (4) Valid now.
    for certificate in path:
        if not window_of(certificate.not_valid_before_utc, certificate.not_valid_after_utc).contains(now):
            raise outside("every certificate of the chain, which without a verified time means now")
    # (5) The signature.
    key = chain[0].public_key()
    if not is_supported(key):
        raise _untrusted("want a certificate with a P-256, P-384, P-521 or Ed25519 key")
    if not signature_holds(key, bundle.content, subject, legacy=legacy):
        raise RefusedError(RefusalCode.SIGNATURE_INVALID, "want a signature over the artifact by the certificate's key")
    return chain[0]


def _path(chain: list[x509.Certificate], anchors: tuple[x509.Certificate, ...]) -> list[x509.Certificate]:
    path: list[x509.Certificate] = []
    for position, certificate in enumerate(chain):
        path.append(certificate)
        anchor = next((each for each in anchors if _issued(certificate, by=each)), None)
        if anchor is not None:
            _require_authority(anchor, below=position)
            return [*path, anchor]
        if position + 1 == len(chain) or not _issued(certificate, by=chain[position + 1]):
            break
        _require_authority(chain[position + 1], below=position)
    raise _untrusted("want a chain that ends in an authority of the trust domain")


def _issued(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):  # another name, a key that cannot sign, a bad signature
        return False
    return True


def _require_authority(certificate: x509.Certificate, *, below: int) -> None:
    # `below` is the number of intermediates between this one and the signer's.
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as exc:
        raise _untrusted("want issuers that are certificate authorities") from exc
    if not constraints.ca or not usage.key_cert_sign:
        raise _untrusted("want issuers that are certificate authorities")
    purposes = [each.value for each in certificate.extensions if isinstance(each.value, x509.ExtendedKeyUsage)]
    if purposes and not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        purposes[0]
    ):
        raise _untrusted("want issuers that may certify keys for signing code")
    if constraints.path_length is not None and below > constraints.path_length:
        raise _untrusted("want a chain no longer than its authorities allow")


def _require_code_signing(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as exc:
        raise _untrusted("want a certificate for signing code") from exc
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise _untrusted("want a certificate for signing code")
    if not certificate.subject.rdns:
        raise _untrusted("want a certificate with a subject")


def _require_understood(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS or (
            extension.critical and extension.oid not in _CRITICAL_KNOWN
        ):
            raise _untrusted("want certificates without name constraints and unknown critical extensions")
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_BITS_MIN:
        raise _untrusted(f"want RSA keys of at least {_RSA_BITS_MIN} bits")
    algorithm = certificate.signature_hash_algorithm  # None for Ed25519
    if algorithm is not None and algorithm.name not in _HASHES_ALLOWED:
        raise _untrusted("want certificates signed with SHA-2")


def _untrusted(detail: str) -> RefusedError:
    return RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, detail)
