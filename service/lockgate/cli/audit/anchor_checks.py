"""Checking `log.anchor` records of type sigstore under the auditor's own trust domains.

The audit log knows nothing of Sigstore, so this check is handed to its verifier from here.
"""

from pathlib import Path
from typing import Final

from lockgate.audit.verification.anchors import AnchorCheck, Attestation
from lockgate.clock import Clock, format_timestamp
from lockgate.digests import sha256_of
from lockgate.errors import ConfigError
from lockgate.evidence import EvidenceVerifier, Refusal, load_trust_domains

_SIGSTORE: Final = "sigstore"


def sigstore_check(folder: Path, domain: str | None, clock: Clock, others: AnchorCheck) -> AnchorCheck:
    """Return a check of anchors that knows these trust domains.

    Args:
        folder: The auditor's trust domains.
        domain: The one that counts; None for each of them.
        clock: Trust domains may have an end.
        others: Checks the anchors of other types.

    Raises:
        TrustDomainError: The folder cannot be used.
        ConfigError: There is no such domain in it.
    """
    domains = load_trust_domains(folder)
    names = sorted(domains.by_name) if domain is None else [domain]
    if domain is not None and domain not in domains.by_name:
        raise ConfigError(f"want one of the trust domains in {folder}, got {domain[:80]!r}")
    verifier = EvidenceVerifier(domains, clock)

    def check(anchor_type: str, checkpoint: bytes, evidence: bytes) -> Attestation:
        if anchor_type != _SIGSTORE:
            return others(anchor_type, checkpoint, evidence)
        attestations = [_attest(verifier, checkpoint, evidence, name) for name in names]
        return next((each for each in attestations if each.status == "attested"), attestations[0])

    return check


def _attest(verifier: EvidenceVerifier, checkpoint: bytes, evidence: bytes, domain: str) -> Attestation:
    verdict = verifier.verify(evidence, sha256_of(checkpoint), domain)
    if isinstance(verdict, Refusal):
        return Attestation(status="refused", detail=f"refused under {domain}: {verdict.detail} [{verdict.code}]")
    if verdict.kind != "message" or not verdict.times:
        detail = f"under {domain} want a signature over the checkpoint itself, with a time that somebody vouches for"
        return Attestation(status="refused", detail=detail)
    # The earliest of the times: the checkpoint existed by then.
    time = min(each.at for each in verdict.times)
    detail = f"existed at {format_timestamp(time)} (Sigstore, {domain}), signed by {verdict.identity}"
    return Attestation(status="attested", detail=f"{detail}, bundle sha256:{verdict.bundle_sha256}", time=time)
