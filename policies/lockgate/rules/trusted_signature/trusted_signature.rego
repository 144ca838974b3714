# METADATA
# title: The artifact is signed by an identity trusted for this model and environment
# description: |
#   At least one verified signature comes from a trusted signer, compared exactly: trust domain, issuer, identity,
#   type of statement and every pinned claim. Signatures by anyone else are ignored. Where none is trusted, the reason
#   tells whether nothing was handed in, all of it was refused, or somebody else signed.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.trust: schema.trust
# custom:
#   rule_id: LG-001
#   category: signature
#   severity: critical
#   approvable: false
#   remediation: Sign this exact digest with an identity that the policy trusts for this model and target environment.
#   controls:
#     - NIST SP 800-53 CM-14
#     - NIST SP 800-53 SI-7
#     - SLSA v1.0 Build L2
package lockgate.rules.trusted_signature

import data.lockgate.lib.facts
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	some signature in input.evidence.signatures
	trusted(signature)
}

deny contains violations.violation(rego.metadata.chain(), "signature.missing", details) if {
	status == "fail"
	facts.signatures == 0
	facts.refusals == 0
}

deny contains violations.violation(rego.metadata.chain(), "signature.refused", refused) if {
	status == "fail"
	facts.signatures == 0
	facts.refusals > 0
}

deny contains violations.violation(rego.metadata.chain(), "signature.untrusted", details) if {
	status == "fail"
	facts.signatures > 0
}

details := {
	"model": facts.model,
	"environment": facts.transition.to,
	"verified_signatures": facts.signatures,
	"refused_signatures": facts.refusals,
}

refused := object.union(details, {"refusal_codes": facts.refusal_codes})

trusted(signature) if {
	some signer in data.lockgate.config.trust.signers
	for_model(signer)
	input.request.to in signer.environments
	signer.trust_domain == signature.trust_domain
	signer.issuer == signature.issuer
	identified(signer, signature)
	signature.predicate_type in signer.predicate_types
	every claim in signer.claims {
		claim in signature.claims
	}
}

for_model(signer) if input.request.model in signer.models

# The model must be there even where it does not matter which.
for_model(signer) if {
	signer.models == ["*"]
	is_string(input.request.model)
}

identified(signer, signature) if {
	signer.identity != ""
	signer.identity == signature.identity
}

# Without an identity it is the claims that say who signed.
identified(signer, _) if {
	signer.identity == ""
	count(signer.claims) > 0
}
