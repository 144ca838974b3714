package lockgate.rules.signers_apart_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.signers_apart

outcome(given) := result if {
	result := {"status": signers_apart.status, "deny": signers_apart.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"signer": {"counted": {0}, "given": fixtures.changed([["replace", "/evidence/signatures/0/signer", "bob@example.com"]])},
		"stranger": {"counted": {0, 1}, "given": fixtures.changed([["add", "/evidence/signatures/-", fixtures.signature("carol")]])},
	}
	result := {"status": signers_apart.status, "deny": signers_apart.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-023", "code": "signer.counted", "title": "Approvals by the artifact's signers do not count", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}

test_unproven_without[path] if {
	some path in ["/evidence", "/evidence/signatures", "/evidence/signatures/0/signer"]
	result := outcome(fixtures.without(path))
	result.status == "fail"
	count(result.deny) == 1
}

test_does_not_apply_where_duties_are_joined if {
	outcome(fixtures.changed([
		["replace", "/request/from", "dev"],
		["replace", "/request/to", "staging"],
	])) == {"status": "not_applicable", "deny": set()}
}
