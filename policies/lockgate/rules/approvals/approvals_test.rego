package lockgate.rules.approvals_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.approvals

outcome(given) := result if {
	result := {"status": approvals.status, "deny": approvals.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_passes_where_none_is_asked if {
	outcome(fixtures.changed([
		["replace", "/request/model", "churn-scorer"],
		["replace", "/request/from", "dev"],
		["replace", "/request/to", "staging"],
		["replace", "/approvals", []],
	])) == {"status": "pass", "deny": set()}
}

test_missing_one if {
	outcome(fixtures.changed([["remove", "/approvals/1", 0]])) == {"status": "fail", "deny": {{"rule_id": "LG-020", "code": "approvals.missing", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": [{"name": "have", "value": 0}, {"name": "need", "value": 1}, {"name": "role", "value": "risk"}]}}}
}

test_missing_all if {
	outcome(fixtures.changed([["replace", "/approvals", []]])) == {"status": "fail", "deny": {
		{"rule_id": "LG-020", "code": "approvals.missing", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": [{"name": "have", "value": 0}, {"name": "need", "value": 1}, {"name": "role", "value": "ml-lead"}]},
		{"rule_id": "LG-020", "code": "approvals.missing", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": [{"name": "have", "value": 0}, {"name": "need", "value": 1}, {"name": "role", "value": "risk"}]},
	}}
}

test_counts_people if {
	one := [["replace", "/request/model", "churn-scorer"], ["remove", "/approvals/1", 0]]
	two := [["replace", "/request/model", "churn-scorer"], ["replace", "/approvals/1/role", "ml-lead"]]
	outcome(fixtures.changed(one)) == {"status": "fail", "deny": {{"rule_id": "LG-020", "code": "approvals.missing", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": [{"name": "have", "value": 1}, {"name": "need", "value": 2}, {"name": "role", "value": "ml-lead"}]}}}
	outcome(fixtures.changed(two)) == {"status": "pass", "deny": set()}
}

test_requirement_unknown if {
	outcome(fixtures.changed([["replace", "/request/model", "other"]])) == {"status": "fail", "deny": {{"rule_id": "LG-020", "code": "approvals.requirement_unknown", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": []}}}
}
