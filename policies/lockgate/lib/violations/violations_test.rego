package lockgate.lib.violations_test

import data.lockgate.lib.violations

about := {"title": "T", "custom": {"rule_id": "LG-999", "severity": "low", "remediation": "R."}}

test_violation_takes_its_text_from_the_rule if {
	violations.violation([{"annotations": {}}, {"annotations": about}], "a.b", {"x": 1}) == {
		"rule_id": "LG-999",
		"code": "a.b",
		"title": "T",
		"severity": "low",
		"remediation": "R.",
		"details": [{"name": "x", "value": 1}],
	}
}
