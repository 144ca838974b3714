"""Whom a gate trusts to say who signed: trust domains. `domain_files.py` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex
from lockgate.evidence.signatures import SigningKey
from lockgate.evidence.trusted_roots import SigstoreRoot
from lockgate.evidence.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedKey:
    """A public key that the domain trusts by itself.

    Attributes:
        public_key: The key.
        spki: The key as DER SubjectPublicKeyInfo.
        spki_sha256: SHA-256 of `spki`, in hex; names the key in an identity.
        hints: What a bundle may call the key.
        window: When it may sign.
        require_log: Whether its signatures must be in the transparency log.
    """

    public_key: SigningKey
    spki: bytes
    spki_sha256: Sha256Hex
    hints: frozenset[str]
    window: Window
    require_log: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDomain:
    """Everything that one domain trusts; one Sigstore instance at most.

    Attributes:
        name: What requests call it.
        sha256: SHA-256 over everything the domain was loaded from (docs/formats/evidence.md says how).
        trusted_root_sha256: SHA-256 of the trusted root's file; None without one.
        root: The Sigstore instance; None if the domain has keys or authorities only.
        managed_keys: Keys trusted by themselves.
        certificate_authorities: Roots whose chains are trusted without a log, as of now.
        legacy_model_signatures: Whether envelopes in the encoding of model signing 0.2 count.
        valid_until: The last moment at which a new signature can verify; None if there is no end in sight.
    """

    name: str
    sha256: Sha256Hex
    trusted_root_sha256: Sha256Hex | None
    root: SigstoreRoot | None
    managed_keys: tuple[ManagedKey, ...]
    certificate_authorities: tuple[x509.Certificate, ...]
    legacy_model_signatures: bool
    valid_until: EpochNs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDomains:
    """All trust domains of a gate, loaded together.

    Attributes:
        by_name: The domains.
        sha256: SHA-256 over the digests of all of them.
    """

    by_name: Mapping[str, TrustDomain]
    sha256: Sha256Hex
