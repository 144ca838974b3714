package lockgate.rules.approvals_bound_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.approvals_bound

outcome(given) := result if {
	result := {"status": approvals_bound.status, "deny": approvals_bound.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

# METADATA
# title: Were such an approval counted all the same, the rule would say so.
test_counted_wrongly[note] if {
	some note, case in {
		"digest": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/digest", "sha256:b"]])},
		"kind": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/kind", "rollback"]])},
		"from": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/from", "dev"]])},
		"to": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/to", "staging"]])},
		"evidence": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/evidence_digest", "sha256:b"]])},
		"revision": {"counted": {0}, "given": fixtures.changed([["replace", "/approvals/0/policy_revision", "sha256:b"]])},
		"second of two": {"counted": {0, 1}, "given": fixtures.changed([["replace", "/approvals/1/digest", "sha256:b"]])},
		"no digest": {"counted": {0}, "given": fixtures.without("/approvals/0/digest")},
	}
	result := {"status": approvals_bound.status, "deny": approvals_bound.deny} with input as case.given
		with data.lockgate.config as fixtures.config
		with data.lockgate.lib.approvals.counted as case.counted
	result.status == "fail"
	result.deny == {object.union(
		{"rule_id": "LG-026", "code": "approval.unbound", "title": "An approval counts for exactly what it approved", "severity": "critical", "remediation": "Report this to the security team; counting and checking of approvals disagree.", "details": []},
		{"details": [{"name": "counted", "value": count(case.counted)}]},
	)}
}
