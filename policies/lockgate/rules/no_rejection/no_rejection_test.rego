package lockgate.rules.no_rejection_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.no_rejection

outcome(given) := result if {
	result := {"status": no_rejection.status, "deny": no_rejection.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_passes_without_approvals if outcome(fixtures.changed([["replace", "/approvals", []]])) == {"status": "pass", "deny": set()}

test_rejected[note] if {
	some note, given in {
		"one": fixtures.changed([["replace", "/approvals/1/verdict", "reject"]]),
		"one more": fixtures.changed([["add", "/approvals/-", {"verdict": "reject"}]]),
		"no verdict": fixtures.without("/approvals/1/verdict"),
		"no field": fixtures.without("/approvals"),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-029", "code": "request.rejected", "title": "Nobody rejected the request", "severity": "high", "remediation": "Settle the objection, then make a new request.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}
