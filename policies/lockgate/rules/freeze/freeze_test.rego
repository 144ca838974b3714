package lockgate.rules.freeze_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.freeze

outcome(given) := result if {
	result := {"status": freeze.status, "deny": freeze.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes[note] if {
	some note, given in {
		"before the first instant": fixtures.changed([["replace", "/now_ns", 4999]]),
		"at the first instant after it": fixtures.changed([["replace", "/now_ns", 6000]]),
		"another environment": fixtures.changed([["replace", "/now_ns", 5500], ["replace", "/request/to", "staging"]]),
		"another kind": fixtures.changed([["replace", "/now_ns", 5500], ["replace", "/request/kind", "rollback"]]),
	}
	outcome(given) == {"status": "pass", "deny": set()}
}

test_in_force[note] if {
	some note, given in {
		"at its first instant": fixtures.changed([["replace", "/now_ns", 5000]]),
		"at its last": fixtures.changed([["replace", "/now_ns", 5999]]),
		"at no known time": fixtures.without("/now_ns"),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-040", "code": "freeze.in_force", "title": "No freeze is in force", "severity": "high", "remediation": "Wait until the freeze ends.", "details": [{"name": "freeze", "value": "year-end"}, {"name": "reason", "value": "Year-end freeze."}, {"name": "until_ns", "value": 6000}]}}}
}

test_unknown_target_is_frozen if {
	some path in ["/request/to", "/request/kind", "/request/model"]
	given := json.patch(fixtures.promotion, [
		{"op": "replace", "path": "/now_ns", "value": 5500},
		{"op": "remove", "path": path},
	])
	outcome(given).status == "fail"
}

test_of_some_models[note] if {
	some note, case in {
		"this one": {"models": ["fraud-detector"], "want": "fail"},
		"others": {"models": ["churn-scorer"], "want": "pass"},
	}
	freezes := json.patch(fixtures.config.freezes, [{"op": "replace", "path": "/freezes/0/models", "value": case.models}])
	freeze.status == case.want with input as fixtures.changed([["replace", "/now_ns", 5500]])
		with data.lockgate.config.freezes as freezes
}

test_unknown_without_data if {
	result := {"status": freeze.status, "deny": freeze.deny} with input as fixtures.promotion
		with data.lockgate.config.freezes as {}
	result == {"status": "fail", "deny": {{"rule_id": "LG-040", "code": "freeze.unknown", "title": "No freeze is in force", "severity": "high", "remediation": "Wait until the freeze ends.", "details": []}}}
}
