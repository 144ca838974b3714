"""From a case to a decision: verify the evidence, ask the policy, decide. Composes the rooms; writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex
from lockgate.evidence import EvidenceVerifier, Refusal, VerifiedSignature
from lockgate.identity import Principal
from lockgate.observing import step
from lockgate.policy import (
    ApprovalFact,
    ClaimFact,
    ContributorFact,
    EvidenceFacts,
    HistoryFacts,
    PolicyInForce,
    PolicyInput,
    PolicyPrincipal,
    PolicyRequest,
    PolicyResult,
    PolicyRevision,
    RefusalFact,
    SignatureFact,
    build_input,
    input_bytes,
)
from lockgate.promotion.decisions import DRY_RUN_PROMOTION_ID, decision_document
from lockgate.promotion.lineage import lineage_facts
from lockgate.promotion.types import Approval, Decision, Promotion, VerifiedEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that one decision is made of, at one instant."""

    promotion: Promotion
    requester: Principal
    bundles: Mapping[Sha256Hex, bytes]
    approvals: tuple[tuple[Approval, Principal], ...]  # each with its approver as they are now
    allowed_in_target: bool  # this artifact was allowed into the target environment before
    held: bool  # a hold on the model in the target environment is in force
    rolled_back: bool  # and a rollback there left this artifact
    registered_digest: str  # of what was registered as this version; "" where nothing was
    lineage: bytes  # the snapshot that was frozen with the request; empty where there was none
    now: EpochNs
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A decision not yet recorded, so not yet one that anybody may see."""

    decision: Decision
    input_bytes: bytes  # the exact policy input, canonical; the log keeps it
    now: EpochNs  # what the policy took for the time
    trust_sha256: Sha256Hex  # of the trust domains that the evidence was verified under
    policy_revision: PolicyRevision  # of the policy that was asked
    good_until: EpochNs  # the earliest end of anything that it counted on


class Evaluator:
    """Evaluates cases with one verifier and the policy in force."""

    def __init__(self, *, verifier: EvidenceVerifier, policy: PolicyInForce, timeout_s: float) -> None:
        self._verifier = verifier
        self._policy = policy
        self._timeout_s = timeout_s

    def policy_revision(self) -> PolicyRevision:
        """Return the revision in force.

        Raises:
            PolicyUnavailableError: The engine does not say.
        """
        return self._policy.revision()

    def trust_sha256(self) -> Sha256Hex:
        """Return the digest of the trust domains in force."""
        return self._verifier.domains.sha256

    def evaluate(self, case: Case) -> Evaluation:
        """Decide a case.

        The steps, each accepting only what the one before made:
          (1) Every bundle is verified, or refused with a code.
          (2) The policy is asked, with what survived and nothing else.
          (3) The decision is made of the policy's result.

        Raises:
            PolicyFailureError: The policy gave no usable answer; there is no decision.
        """
        # (1) Evidence.
        trust_sha256 = self.trust_sha256()
        with step("evidence.verify"):
            evidence = self._verify(case)
        # (2) Policy.
        engine = self._policy.engine
        catalogue = engine.catalogue()
        document = _policy_input(case, evidence, catalogue.revision)
        with step("policy.evaluate"):
            result = engine.evaluate(document, timeout_s=self._timeout_s)
        # (3) Decision.
        promotion = case.promotion
        decision = decision_document(
            decision_id=promotion.decision_id,
            promotion_id=DRY_RUN_PROMOTION_ID if case.dry_run else promotion.id,
            dry_run=case.dry_run,
            request=promotion.request,
            requester=promotion.requester,
            lineage=promotion.lineage,
            evidence=evidence,
            trust_sha256=trust_sha256,
            approvals=tuple(approval for approval, _ in case.approvals),
            result=result,
            catalogue=catalogue,
            decided=case.now,
            expires=promotion.expires,
        )
        return Evaluation(
            decision=decision,
            input_bytes=input_bytes(document),
            now=case.now,
            trust_sha256=trust_sha256,
            policy_revision=catalogue.revision,
            good_until=_good_until(case, result),
        )

    def _verify(self, case: Case) -> VerifiedEvidence:
        signatures: list[VerifiedSignature] = []
        refusals: list[Refusal] = []
        request = case.promotion.request
        for item in request.evidence:
            outcome = self._verifier.verify(case.bundles[item.bundle_sha256], request.digest, item.trust_domain)
            match outcome:
                case VerifiedSignature():
                    signatures.append(outcome)
                case Refusal():
                    refusals.append(outcome)
        return VerifiedEvidence(signatures=tuple(signatures), refusals=tuple(refusals))


def _good_until(case: Case, result: PolicyResult) -> EpochNs:
    counted = {outcome.approval_id for outcome in result.approvals if outcome.counted}
    ends = (approval.expires for approval, _ in case.approvals if approval.id in counted)
    return min(case.promotion.expires, *ends) if counted else case.promotion.expires


def _policy_input(case: Case, evidence: VerifiedEvidence, revision: PolicyRevision) -> PolicyInput:
    promotion = case.promotion
    request = promotion.request
    return build_input(
        now=case.now,
        revision=revision,
        request=PolicyRequest(
            id=promotion.id,
            kind=request.transition.kind,
            model=request.model,
            version=request.version,
            digest=request.digest,
            from_environment=request.transition.from_environment,
            to_environment=request.transition.to_environment,
            requester=_principal(case.requester),
            contributors=tuple(ContributorFact(subject=made.subject, role=made.role) for made in request.contributors),
            requested_at=promotion.created,
            expires_at=promotion.expires,
        ),
        evidence=EvidenceFacts(
            digest=request.evidence_digest,
            signatures=tuple(_signature(signature) for signature in evidence.signatures),
            refusals=tuple(
                RefusalFact(code=refusal.code.value, trust_domain=refusal.trust_domain) for refusal in evidence.refusals
            ),
        ),
        approvals=tuple(_approval(approval, approver) for approval, approver in case.approvals),
        lineage=lineage_facts(case.lineage),
        history=HistoryFacts(
            allowed_in_target=case.allowed_in_target,
            held=case.held,
            rolled_back=case.rolled_back,
            registered_digest=case.registered_digest,
        ),
    )


def _principal(principal: Principal) -> PolicyPrincipal:
    return PolicyPrincipal(
        subject=principal.subject, type=principal.type, roles=principal.roles, identities=principal.identities
    )


def _signature(signature: VerifiedSignature) -> SignatureFact:
    return SignatureFact(
        kind=signature.kind,
        trust_domain=signature.trust_domain,
        identity=signature.identity,
        identity_type=signature.identity_type,
        issuer=signature.issuer,
        claims=tuple(ClaimFact(name=claim.name, value=claim.value) for claim in signature.claims),
        predicate_type=signature.predicate_type or "",
        signed_at=signature.times[0].at if signature.times else None,
    )


def _approval(approval: Approval, approver: Principal) -> ApprovalFact:
    binding = approval.binding
    return ApprovalFact(
        id=approval.id,
        verdict=approval.verdict,
        role=approval.role,
        approver=_principal(approver),
        digest=binding.digest,
        kind=binding.transition.kind,
        from_environment=binding.transition.from_environment,
        to_environment=binding.transition.to_environment,
        evidence_digest=binding.evidence_digest,
        policy_revision=binding.policy_revision,
        approved_at=approval.approved,
        expires_at=approval.expires,
    )
