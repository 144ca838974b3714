package lockgate.rules.lineage_pii_approved_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.promotion
import data.lockgate.rules.lineage_pii_approved as rule

asking := object.union(fixtures.config, {"lineage": fixtures.asking({})})

outcome(given) := result if {
	result := {"status": rule.status, "deny": rule.deny} with input as given with data.lockgate.config as asking
}

test_passes[note] if {
	some note, given in {
		"without personal data": fixtures.promotion,
		"approved": approved("approver:privacy"),
	}
	outcome(given) == {"status": "pass", "deny": set()}
}

test_does_not_apply_where_nobody_asks if {
	result := {"status": rule.status, "deny": rule.deny} with input as personal
		with data.lockgate.config as fixtures.config
	result == {"status": "not_applicable", "deny": set()}
}

test_not_approved[note] if {
	some note, case in {
		"nobody": {"given": personal, "views": "card_activity"},
		"somebody without the role": {"given": approved("approver:risk"), "views": "card_activity"},
		"nobody knows whether it is personal": {"given": fixtures.without("/lineage/feature_views/0/pii"), "views": "card_activity"},
		"not all views": {"given": fixtures.changed([["replace", "/lineage/truncated", ["feature_views"]]]), "views": ""},
		"no views": {"given": fixtures.without("/lineage/feature_views"), "views": ""},
	}
	outcome(case.given) == {"status": "fail", "deny": {{"rule_id": "LG-053", "code": "lineage.pii_approved", "title": "The use of personal data is approved by the role privacy", "severity": "high", "remediation": "Ask somebody in the role privacy to approve this request.", "details": [{"name": "role", "value": "privacy"}, {"name": "views", "value": case.views}]}}}
}

test_not_collected if {
	outcome(fixtures.changed([["replace", "/lineage/present", false]])) == {"status": "fail", "deny": {{"rule_id": "LG-053", "code": "lineage.missing", "title": "The use of personal data is approved by the role privacy", "severity": "high", "remediation": "Ask somebody in the role privacy to approve this request.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}

# METADATA
# title: Privacy is asked for by name, and with its approval the promotion is allowed.
test_in_the_decision if {
	owed := promotion.decision with input as personal with data.lockgate.config as asking
	owed.missing_approvals == [{"role": "privacy", "need": 1, "have": 0}]
	{violation.code | some violation in owed.violations} == {"approvals.missing", "lineage.pii_approved"}
	given := promotion.decision with input as approved("approver:privacy") with data.lockgate.config as asking
	given.allow
}

personal := fixtures.changed([["replace", "/lineage/feature_views/0/pii", true]])

approved(role) := json.patch(personal, [{
	"op": "add",
	"path": "/approvals/-",
	"value": object.union(fixtures.approval(3, "petra", "privacy"), {"approver": {
		"subject": "petra",
		"type": "user",
		"roles": [role],
		"identities": ["petra"],
	}}),
}])
