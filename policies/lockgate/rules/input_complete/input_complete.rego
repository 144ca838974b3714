# METADATA
# title: The input is complete
# description: |
#   Every field that the input's schema requires is there, also where no other rule reads it. The gate checks the schema
#   before it asks; this rule keeps the promise for whoever asks without it.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-015
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Ask with a complete input; the gate builds one.
#   controls:
#     - NIST SP 800-53 SI-10
package lockgate.rules.input_complete

import data.lockgate.lib.violations

document_fields := {"schema_version", "now_ns", "policy_revision", "request", "evidence", "approvals", "history"}

request_fields := {
	"id",
	"kind",
	"model",
	"version",
	"digest",
	"from",
	"to",
	"requester",
	"contributors",
	"requested_at_ns",
	"expires_at_ns",
}

principal_fields := {"subject", "type", "roles", "identities"}

contributor_fields := {"subject", "identity", "role"}

evidence_fields := {"digest", "signatures", "refusals"}

signature_fields := {
	"kind",
	"trust_domain",
	"identity",
	"signer",
	"identity_type",
	"issuer",
	"claims",
	"predicate_type",
	"signed_at_ns",
}

claim_fields := {"name", "value"}

refusal_fields := {"code", "trust_domain"}

approval_fields := {
	"id",
	"verdict",
	"role",
	"approver",
	"digest",
	"kind",
	"from",
	"to",
	"evidence_digest",
	"policy_revision",
	"approved_at_ns",
	"expires_at_ns",
}

history_fields := {"allowed_in_target"}

# No field may be null, so that a missing one and a null one are the same.
holds(value, fields) if {
	is_object(value)
	every field in fields {
		object.get(value, field, null) != null
	}
}

default status := "fail"

status := "pass" if {
	holds(input, document_fields)
	request_complete
	evidence_complete
	approvals_complete
	holds(input.history, history_fields)
}

request_complete if {
	holds(input.request, request_fields)
	holds(input.request.requester, principal_fields)
	every contributor in input.request.contributors {
		holds(contributor, contributor_fields)
	}
}

evidence_complete if {
	holds(input.evidence, evidence_fields)
	every signature in input.evidence.signatures {
		holds(signature, signature_fields)
		every claim in signature.claims {
			holds(claim, claim_fields)
		}
	}
	every refusal in input.evidence.refusals {
		holds(refusal, refusal_fields)
	}
}

approvals_complete if {
	every approval in input.approvals {
		holds(approval, approval_fields)
		holds(approval.approver, principal_fields)
	}
}

deny contains violations.violation(rego.metadata.chain(), "input.incomplete", {
	"missing": concat(", ", sort(missing)),
}) if {
	status == "fail"
}

# METADATA
# description: The missing fields of the document and of the request, for the report.
missing contains field if {
	some field in document_fields
	object.get(input, field, null) == null
}

missing contains concat("/", ["request", field]) if {
	some field in request_fields
	object.get(input, ["request", field], null) == null
}
