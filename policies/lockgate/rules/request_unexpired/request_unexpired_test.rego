package lockgate.rules.request_unexpired_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.request_unexpired

outcome(given) := result if {
	result := {"status": request_unexpired.status, "deny": request_unexpired.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes_until_the_last_nanosecond if {
	outcome(fixtures.changed([["replace", "/now_ns", 2999]])) == {"status": "pass", "deny": set()}
}

test_expires_at_its_instant if {
	outcome(fixtures.changed([["replace", "/now_ns", 3000]])) == {"status": "fail", "deny": {{"rule_id": "LG-012", "code": "request.expired", "title": "The request has not expired", "severity": "high", "remediation": "Make a new request.", "details": [{"name": "expires_at_ns", "value": 3000}, {"name": "now_ns", "value": 3000}]}}}
}

test_no_expiry_is_expired if {
	outcome(fixtures.without("/request/expires_at_ns")) == {"status": "fail", "deny": {{"rule_id": "LG-012", "code": "request.expired", "title": "The request has not expired", "severity": "high", "remediation": "Make a new request.", "details": [{"name": "expires_at_ns", "value": ""}, {"name": "now_ns", "value": 2000}]}}}
}

test_no_clock_is_expired if {
	outcome(fixtures.without("/now_ns")) == {"status": "fail", "deny": {{"rule_id": "LG-012", "code": "request.expired", "title": "The request has not expired", "severity": "high", "remediation": "Make a new request.", "details": [{"name": "expires_at_ns", "value": 3000}, {"name": "now_ns", "value": ""}]}}}
}
