package lockgate.rules.contributors_named_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.contributors_named

outcome(given) := result if {
	result := {"status": contributors_named.status, "deny": contributors_named.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_does_not_apply_where_duties_are_joined if {
	outcome(fixtures.changed([
		["replace", "/request/from", "dev"],
		["replace", "/request/to", "staging"],
		["replace", "/request/contributors", []],
	])) == {"status": "not_applicable", "deny": set()}
}

test_unnamed[note] if {
	some note, given in {
		"nobody": fixtures.changed([["replace", "/request/contributors", []]]),
		"an empty name": fixtures.changed([["replace", "/request/contributors/0/identity", ""]]),
		"another role": fixtures.changed([["replace", "/request/contributors/0/role", "reviewer"]]),
		"no field": fixtures.without("/request/contributors"),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-024", "code": "contributors.unnamed", "title": "The artifact's authors or trainers are named", "severity": "high", "remediation": "Make a new request that names who authored and trained the artifact.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}
