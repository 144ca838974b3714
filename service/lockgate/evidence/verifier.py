"""The one entrance of the room: bytes and a digest in, a verified signature or a refusal out."""

from typing import Final

import structlog

from lockgate.clock import Clock
from lockgate.digests import Digest, Sha256Hex, sha256_hex
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import BUNDLE_BYTES_MAX, IDENTITY_CHARS_MAX, ISSUER_CHARS_MAX
from lockgate.evidence.trust_domains import TrustDomains
from lockgate.evidence.types import Refusal, RefusalCode, VerifiedSignature
from lockgate.evidence.verdict_cache import VERIFIER_VERSION, CacheKey, VerdictCache
from lockgate.evidence.verification import verify_evidence

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)
_DETAIL_CHARS_MAX: Final = 200  # one line for people


class EvidenceVerifier:
    """Verifies evidence against the trust domains that are loaded. Safe to share between threads."""

    def __init__(self, domains: TrustDomains, clock: Clock) -> None:
        self._clock = clock
        self._domains = domains
        self._cache = VerdictCache()

    @property
    def domains(self) -> TrustDomains:
        """The trust domains in force."""
        return self._domains

    def replace_domains(self, domains: TrustDomains) -> None:
        """Put other trust domains in force, all at once.

        A verification that has begun ends under the domains it began with. To reload, call `load_trust_domains` first:
        if that raises, nothing has changed.
        """
        # A verdict that arrives in the cache after this is filed under the old domain's digest, where nobody looks.
        self._domains = domains
        self._cache.clear()

    def verify(self, bundle_bytes: bytes, subject: Digest, domain_name: str) -> VerifiedSignature | Refusal:
        """Verify that a bundle is a signature over an artifact, under one trust domain.

        Args:
            bundle_bytes: The bundle, as it came.
            subject: The artifact's digest.
            domain_name: The name of the trust domain.

        Returns:
            Who signed what, when and under which root; or a refusal with a stable code. Never raises: whatever goes
            wrong inside is a refusal with the code `internal`.
        """
        bundle_sha256 = sha256_hex(bundle_bytes)
        try:
            return self._verify(bundle_bytes, bundle_sha256, subject, domain_name)
        except RefusedError as exc:
            code, detail = exc.refusal_code, str(exc)
        except Exception:  # noqa: BLE001 - fail closed, by name: no unforeseen error becomes an allow or a crash
            _log.exception("evidence_verifier_failed", bundle_sha256=bundle_sha256, trust_domain=domain_name)
            code, detail = RefusalCode.INTERNAL, "the verifier failed; nothing was verified"
        return Refusal(
            code=code,
            detail=detail[:_DETAIL_CHARS_MAX],
            trust_domain=domain_name,
            bundle_sha256=bundle_sha256,
        )

    def _verify(
        self, bundle_bytes: bytes, bundle_sha256: Sha256Hex, subject: Digest, domain_name: str
    ) -> VerifiedSignature:
        domain = self._domains.by_name.get(domain_name)
        if domain is None:
            raise RefusedError(RefusalCode.TRUST_DOMAIN_UNKNOWN, "want the name of a trust domain of this gate")
        if len(bundle_bytes) > BUNDLE_BYTES_MAX:
            raise RefusedError(RefusalCode.TOO_LARGE, f"want a bundle of at most {BUNDLE_BYTES_MAX} bytes")
        now = self._clock.now_ns()
        key = CacheKey((domain.sha256, VERIFIER_VERSION, bundle_sha256, str(subject)))
        cached = self._cache.get(key, now)
        if cached is not None:
            return cached
        verdict = verify_evidence(bundle_bytes, subject, domain, now)
        # One stranger's long name must not make the whole request unusable: it is refused alone.
        if len(verdict.identity) > IDENTITY_CHARS_MAX or len(verdict.issuer) > ISSUER_CHARS_MAX:
            raise RefusedError(
                RefusalCode.TOO_LARGE,
                f"want an identity of at most {IDENTITY_CHARS_MAX} characters and an issuer of {ISSUER_CHARS_MAX}",
            )
        if verdict.times:  # without a verified time the verdict holds for the present only
            self._cache.put(key, verdict, len(bundle_bytes), now)
        return verdict
