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

test_a_missing_field_of_the_lineage_is_named if {
	outcome(fixtures.without("/lineage/run")) == {"status": "fail", "deny": {{"rule_id": "LG-015", "code": "input.incomplete", "title": "The input is complete", "severity": "high", "remediation": "Ask with a complete input; the gate builds one.", "details": [{"name": "missing", "value": "lineage/run"}]}}}
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
		"/lineage",
		"/lineage/present",
		"/lineage/digest",
		"/lineage/collected_at_ns",
		"/lineage/artifact",
		"/lineage/run",
		"/lineage/code_commit",
		"/lineage/datasets",
		"/lineage/datasets/0/name",
		"/lineage/datasets/0/digest",
		"/lineage/datasets/0/context",
		"/lineage/feature_service",
		"/lineage/feature_service/status",
		"/lineage/feature_service/project",
		"/lineage/feature_service/name",
		"/lineage/feature_views",
		"/lineage/feature_views/0/project",
		"/lineage/feature_views/0/name",
		"/lineage/feature_views/0/found",
		"/lineage/feature_views/0/owner",
		"/lineage/feature_views/0/deprecated",
		"/lineage/feature_views/0/pii",
		"/lineage/feature_views/0/definition_sha256",
		"/lineage/truncated",
		"/lineage/score",
		"/history/held",
		"/history/allowed_in_target",
		"/history/rolled_back",
		"/history/registered_digest",
	]
	outcome(fixtures.without(path)).status == "fail"
}
