package lockgate.rules.requester_apart_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.requester_apart

outcome(given) := result if {
	result := {"status": requester_apart.status, "deny": requester_apart.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"same subject": {"counted": {0}, "given": fixtures.changed([["replace", "/request/requester/subject", "bob"]])},
		"shared identity": {"counted": {0}, "given": fixtures.changed([["replace", "/request/requester/identities", ["bob@example.com"]]])},
		"second of two": {"counted": {0, 1}, "given": fixtures.changed([["replace", "/request/requester/identities", ["carol"]]])},
	}
	result := {"status": requester_apart.status, "deny": requester_apart.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-021", "code": "requester.counted", "title": "The requester's own approval does not count", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}

test_unproven_without[path] if {
	some path in ["/request/requester", "/request/requester/identities"]
	result := outcome(fixtures.without(path))
	result.status == "fail"
	count(result.deny) == 1
}
