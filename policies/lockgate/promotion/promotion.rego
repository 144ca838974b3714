# METADATA
# title: Promotion
# description: |
#   The decision on one promotion request. `decision` is an entrypoint, and total: it is defined for every input, and it
#   allows only where every rule below was evaluated and passed or says that it does not apply.
# schemas:
#   - input: schema.input
package lockgate.promotion

import data.lockgate.lib.approvals as approval
import data.lockgate.lib.facts
import data.lockgate.lib.requirement
import data.lockgate.rules.approvals
import data.lockgate.rules.approvals_bound
import data.lockgate.rules.approvals_unexpired
import data.lockgate.rules.approver_holds_role
import data.lockgate.rules.contributors_apart
import data.lockgate.rules.contributors_named
import data.lockgate.rules.freeze
import data.lockgate.rules.hold
import data.lockgate.rules.input_complete
import data.lockgate.rules.lineage_code_commit
import data.lockgate.rules.lineage_dataset_digests
import data.lockgate.rules.lineage_feature_views_approved
import data.lockgate.rules.lineage_pii_approved
import data.lockgate.rules.matrix_row
import data.lockgate.rules.model_known
import data.lockgate.rules.no_rejection
import data.lockgate.rules.person_counts_once
import data.lockgate.rules.request_unexpired
import data.lockgate.rules.requester_apart
import data.lockgate.rules.requester_holds_role
import data.lockgate.rules.rollback_target
import data.lockgate.rules.signers_apart
import data.lockgate.rules.transition_known
import data.lockgate.rules.trusted_signature
import data.lockgate.rules.version_registered

# METADATA
# description: Every rule that must be evaluated; the build refuses a policy with a rule that is not listed here.
rules := {
	"LG-001": {"status": trusted_signature.status, "violations": trusted_signature.deny},
	"LG-010": {"status": transition_known.status, "violations": transition_known.deny},
	"LG-011": {"status": model_known.status, "violations": model_known.deny},
	"LG-012": {"status": request_unexpired.status, "violations": request_unexpired.deny},
	"LG-013": {"status": rollback_target.status, "violations": rollback_target.deny},
	"LG-014": {"status": matrix_row.status, "violations": matrix_row.deny},
	"LG-015": {"status": input_complete.status, "violations": input_complete.deny},
	"LG-016": {"status": version_registered.status, "violations": version_registered.deny},
	"LG-020": {"status": approvals.status, "violations": approvals.deny},
	"LG-021": {"status": requester_apart.status, "violations": requester_apart.deny},
	"LG-022": {"status": contributors_apart.status, "violations": contributors_apart.deny},
	"LG-023": {"status": signers_apart.status, "violations": signers_apart.deny},
	"LG-024": {"status": contributors_named.status, "violations": contributors_named.deny},
	"LG-025": {"status": person_counts_once.status, "violations": person_counts_once.deny},
	"LG-026": {"status": approvals_bound.status, "violations": approvals_bound.deny},
	"LG-027": {"status": approvals_unexpired.status, "violations": approvals_unexpired.deny},
	"LG-028": {"status": approver_holds_role.status, "violations": approver_holds_role.deny},
	"LG-029": {"status": no_rejection.status, "violations": no_rejection.deny},
	"LG-030": {"status": requester_holds_role.status, "violations": requester_holds_role.deny},
	"LG-040": {"status": freeze.status, "violations": freeze.deny},
	"LG-041": {"status": hold.status, "violations": hold.deny},
	"LG-050": {"status": lineage_dataset_digests.status, "violations": lineage_dataset_digests.deny},
	"LG-051": {"status": lineage_code_commit.status, "violations": lineage_code_commit.deny},
	"LG-052": {"status": lineage_feature_views_approved.status, "violations": lineage_feature_views_approved.deny},
	"LG-053": {"status": lineage_pii_approved.status, "violations": lineage_pii_approved.deny},
}

default allow := false

allow if {
	count(rules) > 0
	every rule in rules {
		rule.status in {"pass", "not_applicable"}
		count(rule.violations) == 0
	}
	count(violations) == 0
}

violations contains violation if {
	some rule in rules
	some violation in rule.violations
}

decision := {
	"schema_version": 1,
	"allow": allow,
	"tier": requirement.tier,
	"policy_revision": facts.policy_revision,
	"rules": [{"rule_id": rule_id, "status": rule.status} | some rule_id, rule in rules],
	"violations": [violation | some violation in violations],
	"missing_approvals": [owed | some owed in approvals.missing],
	"approvals": [outcome | some outcome in approval.outcomes],
}
