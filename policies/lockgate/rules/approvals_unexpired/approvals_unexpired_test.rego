package lockgate.rules.approvals_unexpired_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.approvals_unexpired

outcome(given) := result if {
	result := {"status": approvals_unexpired.status, "deny": approvals_unexpired.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"at its instant": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/expires_at_ns", 2000]])},
		"from the future": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/approved_at_ns", 2001]])},
		"no expiry": {"counted": {0}, "given": fixtures.without("/approvals/0/expires_at_ns")},
	}
	result := {"status": approvals_unexpired.status, "deny": approvals_unexpired.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-027", "code": "approval.expired", "title": "An approval counts until it expires", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}

test_unproven_without[path] if {
	some path in ["/now_ns"]
	result := outcome(fixtures.without(path))
	result.status == "fail"
	count(result.deny) == 1
}
