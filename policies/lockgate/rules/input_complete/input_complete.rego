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

document_fields := {
	"schema_version",
	"now_ns",
	"policy_revision",
	"request",
	"evidence",
	"approvals",
	"lineage",
	"history",
}

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

lineage_fields := {
	"present",
	"digest",
	"collected_at_ns",
	"artifact",
	"run",
	"code_commit",
	"datasets",
	"feature_service",
	"feature_views",
	"truncated",
	"score",
}

dataset_fields := {"name", "digest", "context"}

feature_service_fields := {"status", "project", "name"}

feature_view_fields := {"project", "name", "found", "owner", "deprecated", "pii", "definition_sha256"}

history_fields := {"allowed_in_target", "held", "rolled_back", "registered_digest"}

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
	lineage_complete
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

lineage_complete if {
	holds(input.lineage, lineage_fields)
	holds(input.lineage.feature_service, feature_service_fields)
	every dataset in input.lineage.datasets {
		holds(dataset, dataset_fields)
	}
	every view in input.lineage.feature_views {
		holds(view, feature_view_fields)
	}
}

deny contains violations.violation(rego.metadata.chain(), "input.incomplete", {
	"missing": concat(", ", sort(missing)),
}) if {
	status == "fail"
}

# METADATA
# description: The missing fields of the document, of the request and of the lineage, for the report.
missing contains field if {
	some field in document_fields
	object.get(input, field, null) == null
}

missing contains concat("/", ["request", field]) if {
	some field in request_fields
	object.get(input, ["request", field], null) == null
}

missing contains concat("/", ["lineage", field]) if {
	some field in lineage_fields
	object.get(input, ["lineage", field], null) == null
}
