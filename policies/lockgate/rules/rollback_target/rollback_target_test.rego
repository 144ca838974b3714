package lockgate.rules.rollback_target_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.rollback_target

outcome(given) := result if {
	result := {"status": rollback_target.status, "deny": rollback_target.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.rollback) == {"status": "pass", "deny": set()}

test_does_not_apply_to_a_promotion if outcome(fixtures.promotion) == {"status": "not_applicable", "deny": set()}

test_never_allowed if {
	outcome(object.union(fixtures.rollback, {"history": {"allowed_in_target": false}})) == {"status": "fail", "deny": {{"rule_id": "LG-013", "code": "rollback.never_allowed", "title": "A rollback returns to what was allowed there before", "severity": "high", "remediation": "Roll back to a version that was allowed in this environment before, or promote instead.", "details": [{"name": "from", "value": "production"}, {"name": "kind", "value": "rollback"}, {"name": "to", "value": "production"}]}}}
}

test_unknown_history if {
	outcome(object.remove(fixtures.rollback, ["history"])) == {"status": "fail", "deny": {{"rule_id": "LG-013", "code": "rollback.never_allowed", "title": "A rollback returns to what was allowed there before", "severity": "high", "remediation": "Roll back to a version that was allowed in this environment before, or promote instead.", "details": [{"name": "from", "value": "production"}, {"name": "kind", "value": "rollback"}, {"name": "to", "value": "production"}]}}}
}

test_unknown_kind if {
	outcome(fixtures.without("/request/kind")) == {"status": "fail", "deny": {{"rule_id": "LG-013", "code": "rollback.never_allowed", "title": "A rollback returns to what was allowed there before", "severity": "high", "remediation": "Roll back to a version that was allowed in this environment before, or promote instead.", "details": [{"name": "from", "value": "staging"}, {"name": "kind", "value": ""}, {"name": "to", "value": "production"}]}}}
}
