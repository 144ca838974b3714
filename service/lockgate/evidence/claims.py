"""Reads who a Fulcio certificate is for: identity, issuer and every numbered claim. The certificate must be verified.

Source: sigstore/fulcio, `docs/oid-info.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509

from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import CLAIM_BYTES_MAX
from lockgate.evidence.types import Claim, RefusalCode

_OID_PREFIX: Final = "1.3.6.1.4.1.57264.1."
_USERNAME_OID: Final = x509.ObjectIdentifier(_OID_PREFIX + "7")

_ISSUER_V1: Final = 1
_ISSUER_V2: Final = 8
# Fulcio's names, in snake case, by the last arc of the OID. The issuer (.1 and .8) and the username (.7, which is a
# type of name and not a claim) are read apart.
CLAIM_NAMES: Final = {
    2: "github_workflow_trigger",
    3: "github_workflow_sha",
    4: "github_workflow_name",
    5: "github_workflow_repository",
    6: "github_workflow_ref",
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility_at_signing",
}
_RAW_TEXT_MAX: Final = 6  # .1 to .6 hold the text itself; later ones hold a DER UTF8String
_UTF8_STRING: Final = 0x0C


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedSigner:
    """What the certificate authority says about the signer."""

    identity: str
    identity_type: Literal["email", "uri", "username"]
    issuer: str
    claims: tuple[Claim, ...]  # sorted by name; the issuer is among them


def read_signer(certificate: x509.Certificate) -> CertifiedSigner:
    """Read the identity and the claims of a certificate.

    Raises:
        RefusedError: `untrusted_certificate`: the certificate names nobody, or names them in two ways.
    """
    numbered = dict(_numbered_claims(certificate))
    issuers = {numbered[number] for number in (_ISSUER_V1, _ISSUER_V2) if number in numbered}
    if len(issuers) != 1:
        raise _untrusted(f"want a certificate that names one issuer, got {len(issuers)}")
    issuer = issuers.pop()
    claims = [Claim(name="issuer", value=issuer)]
    claims.extend(
        Claim(name=CLAIM_NAMES[number], value=text) for number, text in numbered.items() if number in CLAIM_NAMES
    )
    identity, identity_type = _identity(certificate)
    return CertifiedSigner(
        identity=identity,
        identity_type=identity_type,
        issuer=issuer,
        claims=tuple(sorted(claims, key=lambda claim: claim.name)),
    )


def _identity(certificate: x509.Certificate) -> tuple[str, Literal["email", "uri", "username"]]:
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as exc:
        raise _untrusted("want a certificate with a subject alternative name") from exc
    if len(names) != 1:
        raise _untrusted(f"want a certificate for one identity, got {len(names)}")
    match names[0]:
        case x509.RFC822Name(value=email):
            return email, "email"
        case x509.UniformResourceIdentifier(value=uri):
            return uri, "uri"
        case x509.OtherName(type_id=kind, value=der) if kind == _USERNAME_OID:
            # The value is DER, not text: taken as it is, the name would begin with a tag and a length.
            return _utf8_string(der), "username"
        case _:
            raise _untrusted("want an e-mail address, a URI or a username as the identity")


def _numbered_claims(certificate: x509.Certificate) -> Iterator[tuple[int, str]]:
    for extension in certificate.extensions:
        arc = extension.oid.dotted_string.removeprefix(_OID_PREFIX)
        if not arc.isdecimal() or not isinstance(extension.value, x509.UnrecognizedExtension):
            continue
        number = int(arc)
        if number in CLAIM_NAMES or number in (_ISSUER_V1, _ISSUER_V2):
            value = extension.value.value
            yield number, _text(value) if number <= _RAW_TEXT_MAX else _utf8_string(value)


def _utf8_string(der: bytes) -> str:
    # Tag, definite length in its shortest form, content and nothing after it (X.690, section 10.1).
    if len(der) < 2 or der[0] != _UTF8_STRING:  # noqa: PLR2004 - a tag and a length
        raise _untrusted("want claims as DER UTF8Strings")
    octets = der[1] & 0x7F if der[1] & 0x80 else 0
    size = int.from_bytes(der[2 : 2 + octets], "big") if octets else der[1]
    content = der[2 + octets :]
    shortest = 0 if size < 0x80 else (size.bit_length() + 7) // 8  # noqa: PLR2004 - the short form ends at 127
    if octets != shortest or size != len(content):
        raise _untrusted("want claims as DER UTF8Strings")
    return _text(content)


def _text(value: bytes) -> str:
    if len(value) > CLAIM_BYTES_MAX:
        raise _untrusted(f"want claims of at most {CLAIM_BYTES_MAX} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise _untrusted("want claims in UTF-8") from exc


def _untrusted(detail: str) -> RefusedError:
    return RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, detail)
