package lockgate.rules.person_counts_once_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.person_counts_once

outcome(given) := result if {
	result := {"status": person_counts_once.status, "deny": person_counts_once.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"same subject": {"counted": {0, 1}, "given": fixtures.changed([["replace", "/approvals/1/approver/subject", "bob"]])},
		"shared identity": {"counted": {0, 1}, "given": fixtures.changed([["replace", "/approvals/1/approver/identities", ["bob@example.com"]]])},
	}
	result := {"status": person_counts_once.status, "deny": person_counts_once.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-025", "code": "person.counted_twice", "title": "One person counts for one role, once", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}
