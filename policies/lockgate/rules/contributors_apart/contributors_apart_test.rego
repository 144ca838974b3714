package lockgate.rules.contributors_apart_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.contributors_apart

outcome(given) := result if {
	result := {"status": contributors_apart.status, "deny": contributors_apart.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"author": {"counted": {0}, "given": fixtures.changed([["replace", "/request/contributors/0/identity", "bob"]])},
		"trainer beside an author": {"counted": {0, 1}, "given": fixtures.changed([["add", "/request/contributors/-", {"subject": "c", "identity": "carol@example.com", "role": "trainer"}]])},
	}
	result := {"status": contributors_apart.status, "deny": contributors_apart.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-022", "code": "contributor.counted", "title": "Approvals by the artifact's authors and trainers do not count", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}

test_unproven_without[path] if {
	some path in ["/request/contributors", "/request/contributors/0/identity"]
	result := outcome(fixtures.without(path))
	result.status == "fail"
	count(result.deny) == 1
}

test_does_not_apply_where_duties_are_joined if {
	outcome(fixtures.changed([
		["replace", "/request/from", "dev"],
		["replace", "/request/to", "staging"],
	])) == {"status": "not_applicable", "deny": set()}
}
