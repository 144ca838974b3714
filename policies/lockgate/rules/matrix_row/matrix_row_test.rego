package lockgate.rules.matrix_row_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.matrix_row

outcome(given) := result if {
	result := {"status": matrix_row.status, "deny": matrix_row.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_no_row if {
	outcome(fixtures.changed([["replace", "/request/to", "dev"]])) == {"status": "fail", "deny": {{"rule_id": "LG-014", "code": "matrix.no_row", "title": "The approval matrix has exactly one row for this request", "severity": "high", "remediation": "Have a row for this transition and tier added to the approval matrix.", "details": [{"name": "from", "value": "staging"}, {"name": "kind", "value": "promote"}, {"name": "tier", "value": "high"}, {"name": "to", "value": "dev"}]}}}
}

test_unknown_model_has_no_row if {
	outcome(fixtures.changed([["replace", "/request/model", "other"]])) == {"status": "fail", "deny": {{"rule_id": "LG-014", "code": "matrix.no_row", "title": "The approval matrix has exactly one row for this request", "severity": "high", "remediation": "Have a row for this transition and tier added to the approval matrix.", "details": [{"name": "from", "value": "staging"}, {"name": "kind", "value": "promote"}, {"name": "tier", "value": ""}, {"name": "to", "value": "production"}]}}}
}
