package lockgate.rules.trusted_signature_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.trusted_signature

outcome(given) := result if {
	result := {"status": trusted_signature.status, "deny": trusted_signature.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_ignores_signatures_by_others if {
	outcome(fixtures.changed([["add", "/evidence/signatures/0", fixtures.signature("stranger")]])) == {"status": "pass", "deny": set()}
}

test_untrusted[note] if {
	some note, change in {
		"domain": ["replace", "/evidence/signatures/0/trust_domain", "private"],
		"issuer": ["replace", "/evidence/signatures/0/issuer", "https://issuer.example/"],
		"identity": ["replace", "/evidence/signatures/0/identity", "https://ci.example/release2"],
		"no identity": ["remove", "/evidence/signatures/0/identity", 0],
		"type of statement": ["replace", "/evidence/signatures/0/predicate_type", "https://slsa.dev/verification_summary/v1"],
		"claim's value": ["replace", "/evidence/signatures/0/claims/1/value", "12345"],
		"no claims": ["replace", "/evidence/signatures/0/claims", []],
	}
	outcome(fixtures.changed([change])) == {"status": "fail", "deny": {{"rule_id": "LG-001", "code": "signature.untrusted", "title": "The artifact is signed by an identity trusted for this model and environment", "severity": "critical", "remediation": "Sign this exact digest with an identity that the policy trusts for this model and target environment.", "details": [{"name": "environment", "value": "production"}, {"name": "model", "value": "fraud-detector"}, {"name": "refused_signatures", "value": 0}, {"name": "verified_signatures", "value": 1}]}}}
}

test_untrusted_for_this_model if {
	outcome(fixtures.changed([["replace", "/request/model", "other"]])) == {"status": "fail", "deny": {{"rule_id": "LG-001", "code": "signature.untrusted", "title": "The artifact is signed by an identity trusted for this model and environment", "severity": "critical", "remediation": "Sign this exact digest with an identity that the policy trusts for this model and target environment.", "details": [{"name": "environment", "value": "production"}, {"name": "model", "value": "other"}, {"name": "refused_signatures", "value": 0}, {"name": "verified_signatures", "value": 1}]}}}
}

test_untrusted_for_this_environment if {
	outcome(fixtures.changed([["replace", "/request/to", "dev"]])) == {"status": "fail", "deny": {{"rule_id": "LG-001", "code": "signature.untrusted", "title": "The artifact is signed by an identity trusted for this model and environment", "severity": "critical", "remediation": "Sign this exact digest with an identity that the policy trusts for this model and target environment.", "details": [{"name": "environment", "value": "dev"}, {"name": "model", "value": "fraud-detector"}, {"name": "refused_signatures", "value": 0}, {"name": "verified_signatures", "value": 1}]}}}
}

test_unsigned[note] if {
	some note, given in {
		"no signature": fixtures.changed([["replace", "/evidence/signatures", []]]),
		"no field": fixtures.without("/evidence/signatures"),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-001", "code": "signature.missing", "title": "The artifact is signed by an identity trusted for this model and environment", "severity": "critical", "remediation": "Sign this exact digest with an identity that the policy trusts for this model and target environment.", "details": [{"name": "environment", "value": "production"}, {"name": "model", "value": "fraud-detector"}, {"name": "refused_signatures", "value": 0}, {"name": "verified_signatures", "value": 0}]}}}
}

# METADATA
# title: Evidence that was handed in and refused is not called missing, and the refusals' codes are named.
test_refused if {
	given := fixtures.changed([
		["replace", "/evidence/signatures", []],
		["replace", "/evidence/refusals", [fixtures.refusal("log_entry_invalid"), fixtures.refusal("digest_mismatch")]],
	])
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-001", "code": "signature.refused", "title": "The artifact is signed by an identity trusted for this model and environment", "severity": "critical", "remediation": "Sign this exact digest with an identity that the policy trusts for this model and target environment.", "details": [{"name": "environment", "value": "production"}, {"name": "model", "value": "fraud-detector"}, {"name": "refusal_codes", "value": "digest_mismatch, log_entry_invalid"}, {"name": "refused_signatures", "value": 2}, {"name": "verified_signatures", "value": 0}]}}}
}

test_refused_beside_untrusted if {
	given := fixtures.changed([
		["replace", "/evidence/signatures", [fixtures.signature("stranger")]],
		["replace", "/evidence/refusals", [fixtures.refusal("digest_mismatch")]],
	])
	{violation.code | some violation in outcome(given).deny} == {"signature.untrusted"}
}

test_refused_beside_trusted if {
	outcome(fixtures.changed([["replace", "/evidence/refusals", [fixtures.refusal("digest_mismatch")]]])) == {"status": "pass", "deny": set()}
}

# METADATA
# title: A signer without an identity is told by claims alone; without claims too, nobody is trusted.
test_pinned_by_claims[note] if {
	some note, case in {
		"claims": {"claims": fixtures.config.trust.signers[0].claims, "want": "pass"},
		"no claims": {"claims": [], "want": "fail"},
	}
	trust := json.patch(fixtures.config.trust, [
		{"op": "replace", "path": "/signers/0/identity", "value": ""},
		{"op": "replace", "path": "/signers/0/models", "value": ["*"]},
		{"op": "replace", "path": "/signers/0/claims", "value": case.claims},
	])
	trusted_signature.status == case.want with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
		with data.lockgate.config.trust as trust
}
