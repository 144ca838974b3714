package lockgate.promotion_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.promotion

# METADATA
# description: What the build compares the compiled module with OPA on, besides the inputs that it generates.
inputs := [
	fixtures.promotion,
	fixtures.rollback,
	fixtures.return,
	fixtures.changed([["replace", "/approvals", []]]),
	fixtures.changed([["replace", "/approvals/1/verdict", "reject"]]),
	fixtures.changed([["replace", "/evidence/signatures", []]]),
	fixtures.changed([["replace", "/history/held", true]]),
	fixtures.changed([["replace", "/lineage/present", false]]),
	fixtures.changed([["replace", "/evidence/signatures", []], ["replace", "/evidence/refusals", [fixtures.refusal("a"), fixtures.refusal("b")]]]),
	{},
]

decision(given) := result if {
	result := promotion.decision with input as given with data.lockgate.config as fixtures.config
}

test_inputs_hold_both_verdicts if {
	{decision(given).allow | some given in inputs} == {true, false}
}

test_promotion_is_allowed if {
	decision(fixtures.promotion) == {
		"schema_version": 1,
		"allow": true,
		"tier": "high",
		"policy_revision": fixtures.revision,
		"rules": [{"rule_id": "LG-001", "status": "pass"}, {"rule_id": "LG-010", "status": "pass"}, {"rule_id": "LG-011", "status": "pass"}, {"rule_id": "LG-012", "status": "pass"}, {"rule_id": "LG-013", "status": "not_applicable"}, {"rule_id": "LG-014", "status": "pass"}, {"rule_id": "LG-015", "status": "pass"}, {"rule_id": "LG-016", "status": "pass"}, {"rule_id": "LG-020", "status": "pass"}, {"rule_id": "LG-021", "status": "pass"}, {"rule_id": "LG-022", "status": "pass"}, {"rule_id": "LG-023", "status": "pass"}, {"rule_id": "LG-024", "status": "pass"}, {"rule_id": "LG-025", "status": "pass"}, {"rule_id": "LG-026", "status": "pass"}, {"rule_id": "LG-027", "status": "pass"}, {"rule_id": "LG-028", "status": "pass"}, {"rule_id": "LG-029", "status": "pass"}, {"rule_id": "LG-030", "status": "pass"}, {"rule_id": "LG-040", "status": "pass"}, {"rule_id": "LG-041", "status": "pass"}, {"rule_id": "LG-050", "status": "not_applicable"}, {"rule_id": "LG-051", "status": "not_applicable"}, {"rule_id": "LG-052", "status": "not_applicable"}, {"rule_id": "LG-053", "status": "not_applicable"}],
		"violations": [],
		"missing_approvals": [],
		"approvals": [
			{"approval_id": "00000000-0000-4000-8000-000000000101", "counted": true, "reasons": []},
			{"approval_id": "00000000-0000-4000-8000-000000000102", "counted": true, "reasons": []},
		],
	}
}

# METADATA
# title: One cause gives one reason, not a list of consequences.
test_one_cause_one_reason[note] if {
	some note, case in {
		"unsigned": {"change": ["replace", "/evidence/signatures", []], "codes": {"signature.missing"}},
		"refused": {
			"change": ["replace", "/evidence", {"digest": fixtures.evidence_digest, "signatures": [], "refusals": [fixtures.refusal("a")]}],
			"codes": {"signature.refused"},
		},
		"nobody named": {"change": ["replace", "/request/contributors", []], "codes": {"contributors.unnamed"}},
		"rejected": {
			"change": ["add", "/approvals/-", object.union(fixtures.promotion.approvals[0], {"id": "x", "verdict": "reject"})],
			"codes": {"request.rejected"},
		},
		"unknown model": {
			"change": ["replace", "/request/model", "other"],
			"codes": {"signature.untrusted", "model.unknown", "matrix.no_row", "approvals.requirement_unknown"},
		},
	}
	{violation.code | some violation in decision(fixtures.changed([case.change])).violations} == case.codes
}

test_rollback_is_allowed if decision(fixtures.rollback).allow

# METADATA
# title: What a rollback left comes back under its hold with the approvals of a promotion, and not with a rollback's.
test_return_is_a_promotion if {
	decision(fixtures.return).allow
	fewer := decision(json.patch(fixtures.return, [{"op": "remove", "path": "/approvals/1"}]))
	fewer.allow == false
	fewer.missing_approvals == [{"role": "risk", "need": 1, "have": 0}]
}

test_a_machine_brings_nothing_back if {
	answer := decision(json.patch(fixtures.return, [{"op": "replace", "path": "/request/requester/type", "value": "machine"}]))
	{violation.code | some violation in answer.violations} == {"hold.in_force"}
}

test_missing_approval_is_named if {
	decision(fixtures.changed([["remove", "/approvals/1", 0]])) == {
		"schema_version": 1,
		"allow": false,
		"tier": "high",
		"policy_revision": fixtures.revision,
		"rules": [{"rule_id": "LG-001", "status": "pass"}, {"rule_id": "LG-010", "status": "pass"}, {"rule_id": "LG-011", "status": "pass"}, {"rule_id": "LG-012", "status": "pass"}, {"rule_id": "LG-013", "status": "not_applicable"}, {"rule_id": "LG-014", "status": "pass"}, {"rule_id": "LG-015", "status": "pass"}, {"rule_id": "LG-016", "status": "pass"}, {"rule_id": "LG-020", "status": "fail"}, {"rule_id": "LG-021", "status": "pass"}, {"rule_id": "LG-022", "status": "pass"}, {"rule_id": "LG-023", "status": "pass"}, {"rule_id": "LG-024", "status": "pass"}, {"rule_id": "LG-025", "status": "pass"}, {"rule_id": "LG-026", "status": "pass"}, {"rule_id": "LG-027", "status": "pass"}, {"rule_id": "LG-028", "status": "pass"}, {"rule_id": "LG-029", "status": "pass"}, {"rule_id": "LG-030", "status": "pass"}, {"rule_id": "LG-040", "status": "pass"}, {"rule_id": "LG-041", "status": "pass"}, {"rule_id": "LG-050", "status": "not_applicable"}, {"rule_id": "LG-051", "status": "not_applicable"}, {"rule_id": "LG-052", "status": "not_applicable"}, {"rule_id": "LG-053", "status": "not_applicable"}],
		"violations": [{"rule_id": "LG-020", "code": "approvals.missing", "title": "Enough people approved in each role that the matrix names", "severity": "medium", "remediation": "Ask the missing roles to approve this request.", "details": [{"name": "have", "value": 0}, {"name": "need", "value": 1}, {"name": "role", "value": "risk"}]}],
		"missing_approvals": [{"role": "risk", "need": 1, "have": 0}],
		"approvals": [{"approval_id": "00000000-0000-4000-8000-000000000101", "counted": true, "reasons": []}],
	}
}

# METADATA
# title: Every field of the input that a rule reads is needed; without it the answer is a reasoned deny.
test_denied_without[path] if {
	some path in [
		"/now_ns", "/policy_revision", "/request", "/request/kind", "/request/model", "/request/digest", "/request/from",
		"/request/to", "/request/requester", "/request/requester/subject", "/request/requester/identities",
		"/request/contributors", "/request/expires_at_ns", "/evidence", "/evidence/digest", "/evidence/signatures",
		"/approvals", "/approvals/0", "/approvals/0/verdict", "/approvals/0/role", "/approvals/0/approver",
		"/approvals/0/digest", "/approvals/0/kind", "/approvals/0/from", "/approvals/0/to",
		"/approvals/0/evidence_digest", "/approvals/0/policy_revision", "/approvals/0/approved_at_ns",
		"/approvals/0/expires_at_ns", "/lineage", "/lineage/present", "/history", "/history/held",
		"/history/rolled_back", "/history/registered_digest",
	]
	answer := decision(fixtures.without(path))
	answer.allow == false
	count(answer.violations) > 0
}

# METADATA
# title: A rule that neither passed nor says that it does not apply closes the gate, violation or not.
test_unknown_status_denies if {
	answer := promotion.decision with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
		with data.lockgate.rules.freeze.status as "skipped"
	answer.allow == false
}

test_violation_of_a_passed_rule_denies if {
	answer := promotion.decision with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
		with data.lockgate.rules.freeze.deny as {{"rule_id": "LG-040"}}
	answer.allow == false
}
