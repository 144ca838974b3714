package lockgate.rules.input_complete_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.input_complete

outcome(given) := result if {
	result := {"status": input_complete.status, "deny": input_complete.deny} with input as given
}

test_a_complete_input_passes if {
	outcome(fixtures.changed([])) == {"status": "pass", "deny": set()}
}

test_a_missing_field_is_named if {
	outcome(fixtures.without("/request/version")) == {"status": "fail", "deny": {{"rule_id": "LG-015", "code": "input.incomplete", "title": "The input is complete", "severity": "high", "remediation": "Ask with a complete input; the gate builds one.", "details": [{"name": "missing", "value": "request/version"}]}}}
}

test_a_missing_part_is_named if {
	outcome(fixtures.without("/history")) == {"status": "fail", "deny": {{"rule_id": "LG-015", "code": "input.incomplete", "title": "The input is complete", "severity": "high", "remediation": "Ask with a complete input; the gate builds one.", "details": [{"name": "missing", "value": "history"}]}}}
}

test_null_is_missing if {
	outcome(fixtures.changed([["replace", "/request/id", null]])).status == "fail"
}

test_another_type_is_incomplete if {
	outcome(fixtures.changed([["replace", "/request/requester", []]])).status == "fail"
}

test_no_field_may_be_missing[path] if {
	some path in [
		"/schema_version",
		"/now_ns",
		"/policy_revision",
		"/request/id",
		"/request/requested_at_ns",
		"/request/requester/type",
		"/request/contributors/0/role",
		"/evidence/refusals",
		"/evidence/signatures/0/signed_at_ns",
		"/approvals/0/id",
		"/approvals/0/approver/type",
		"/history/allowed_in_target",
	]
	outcome(fixtures.without(path)).status == "fail"
}
