package lockgate.rules.hold_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.hold

outcome(given) := result if {
	result := {"status": hold.status, "deny": hold.deny} with input as given
}

test_passes_without_a_hold if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_does_not_apply_to_a_rollback if {
	outcome(json.patch(fixtures.rollback, [{"op": "replace", "path": "/history/held", "value": true}])) == {"status": "not_applicable", "deny": set()}
}

test_in_force[note] if {
	some note, given in {
		"held": fixtures.changed([["replace", "/history/held", true]]),
		"nobody knows": fixtures.without("/history/held"),
		"another type": fixtures.changed([["replace", "/history/held", 0]]),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-041", "code": "hold.in_force", "title": "No hold is in force", "severity": "high", "remediation": "Let somebody who may lift holds lift this one, once the cause of the rollback is mended.", "details": [{"name": "environment", "value": "production"}, {"name": "model", "value": "fraud-detector"}]}}}
}

test_a_person_brings_back_what_was_rolled_back if {
	outcome(fixtures.return) == {"status": "pass", "deny": set()}
}

test_a_machine_does_not[note] if {
	some note, change in {
		"a machine": {"op": "replace", "path": "/request/requester/type", "value": "machine"},
		"nobody knows who": {"op": "remove", "path": "/request/requester/type"},
		"nobody knows whether": {"op": "remove", "path": "/history/rolled_back"},
	}
	outcome(json.patch(fixtures.return, [change])).status == "fail"
}

test_unproven_for_an_unknown_kind if {
	outcome(fixtures.without("/request/kind")).status == "fail"
}
