package lockgate.rules.approver_holds_role_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.approver_holds_role

outcome(given) := result if {
	result := {"status": approver_holds_role.status, "deny": approver_holds_role.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"another role": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/approver/roles", ["approver:risk"]]])},
		"machine": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/approver/type", "machine"]])},
		"rejection": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/verdict", "reject"]])},
		"no role": {"counted": {0}, "given": fixtures.without("/approvals/0/role")},
	}
	result := {"status": approver_holds_role.status, "deny": approver_holds_role.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-028", "code": "approval.role_not_held", "title": "An approval counts only in a role that its approver holds", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}
