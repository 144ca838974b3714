"""What was signed, by whom, when: Sigstore bundles, in-toto statements, model signatures, and the domains we trust.

The room promises that a `VerifiedSignature` holds authenticated facts only, that everything else comes back as a
`Refusal` with a stable code, and that `EvidenceVerifier.verify` never raises and never talks to a network. It does not
say whether a signer is trusted for anything: that is policy's to say.

To import: the names below; `types` for the values; `limits` for the limits. Clients that hash models import
`model_folder`. `docs/formats/evidence.md` describes the checks, the codes and the files.
"""

from lockgate.evidence.domain_files import load_trust_domains
from lockgate.evidence.errors import ModelFolderError, TrustDomainError
from lockgate.evidence.trust_domains import TrustDomain, TrustDomains
from lockgate.evidence.trust_folder import TrustFolder
from lockgate.evidence.types import Claim, Refusal, RefusalCode, VerifiedSignature, VerifiedTime
from lockgate.evidence.verifier import EvidenceVerifier

__all__ = [
    "Claim",
    "EvidenceVerifier",
    "ModelFolderError",
    "Refusal",
    "RefusalCode",
    "TrustDomain",
    "TrustDomainError",
    "TrustDomains",
    "TrustFolder",
    "VerifiedSignature",
    "VerifiedTime",
    "load_trust_domains",
]
