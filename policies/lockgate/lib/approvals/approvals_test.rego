package lockgate.lib.approvals_test

import data.lockgate.lib.approvals
import data.lockgate.lib.fixtures_test as fixtures

first := "00000000-0000-4000-8000-000000000101"

second := "00000000-0000-4000-8000-000000000102"

outcomes(given) := result if {
	result := approvals.outcomes with input as given with data.lockgate.config as fixtures.config
}

have(given, role) := result if {
	result := approvals.have(role) with input as given with data.lockgate.config as fixtures.config
}

# METADATA
# title: Two sound approvals by two people count, each for its role.
test_sound_approvals_count if {
	outcomes(fixtures.promotion) == {
		{"approval_id": first, "counted": true, "reasons": []},
		{"approval_id": second, "counted": true, "reasons": []},
	}
	have(fixtures.promotion, "ml-lead") == 1
	have(fixtures.promotion, "risk") == 1
	have(fixtures.promotion, "security") == 0
}

# METADATA
# title: One thing wrong with the first approval takes it, and it alone, out of the count, for exactly one reason.
test_fault[note] if {
	some note, case in {
		"rejection": {"reason": "rejection", "change": ["replace", "/approvals/0/verdict", "reject"]},
		"no verdict": {"reason": "rejection", "change": ["remove", "/approvals/0/verdict", 0]},
		"role not held": {"reason": "role_not_held", "change": ["replace", "/approvals/0/approver/roles", ["approver:risk"]]},
		"role as prefix": {"reason": "role_not_held", "change": ["replace", "/approvals/0/approver/roles", ["approver:ml"]]},
		"bare role": {"reason": "role_not_held", "change": ["replace", "/approvals/0/approver/roles", ["ml-lead"]]},
		"no roles": {"reason": "role_not_held", "change": ["remove", "/approvals/0/approver/roles", 0]},
		"machine": {"reason": "not_a_person", "change": ["replace", "/approvals/0/approver/type", "machine"]},
		"no type": {"reason": "not_a_person", "change": ["remove", "/approvals/0/approver/type", 0]},
		"requester": {"reason": "requester", "change": ["replace", "/request/requester/subject", "bob"]},
		"requester's identity": {
			"reason": "requester",
			"change": ["replace", "/request/requester/identities", ["ci", "bob@example.com"]],
		},
		"author": {"reason": "contributor", "change": ["replace", "/request/contributors/0/identity", "bob@example.com"]},
		"trainer": {
			"reason": "contributor",
			"change": ["add", "/request/contributors/-", {"subject": "bob", "identity": "bob", "role": "trainer"}],
		},
		"signer": {"reason": "signer", "change": ["replace", "/evidence/signatures/0/signer", "bob@example.com"]},
		"second signer": {
			"reason": "signer",
			"change": ["add", "/evidence/signatures/-", fixtures.signature("bob")],
		},
		"digest": {"reason": "digest_changed", "change": ["replace", "/approvals/0/digest", "sha256:b"]},
		"kind": {"reason": "transition_changed", "change": ["replace", "/approvals/0/kind", "rollback"]},
		"from": {"reason": "transition_changed", "change": ["replace", "/approvals/0/from", "dev"]},
		"to": {"reason": "transition_changed", "change": ["replace", "/approvals/0/to", "staging"]},
		"evidence": {"reason": "evidence_changed", "change": ["replace", "/approvals/0/evidence_digest", "sha256:f"]},
		"revision": {
			"reason": "policy_revision_changed",
			"change": ["replace", "/approvals/0/policy_revision", "sha256:1"],
		},
		"expired at its instant": {"reason": "expired", "change": ["replace", "/approvals/0/expires_at_ns", 2000]},
		"no expiry": {"reason": "expired", "change": ["remove", "/approvals/0/expires_at_ns", 0]},
		"from the future": {"reason": "from_the_future", "change": ["replace", "/approvals/0/approved_at_ns", 2001]},
	}
	given := fixtures.changed([case.change])
	outcomes(given) == {
		{"approval_id": first, "counted": false, "reasons": [case.reason]},
		{"approval_id": second, "counted": true, "reasons": []},
	}
	have(given, "ml-lead") == 0
	have(given, "risk") == 1
}

# METADATA
# title: An approval in a role that the matrix does not ask for does not count.
test_role_not_required if {
	given := fixtures.changed([
		["replace", "/approvals/0/role", "security"],
		["add", "/approvals/0/approver/roles/-", "approver:security"],
	])
	outcomes(given) == {
		{"approval_id": first, "counted": false, "reasons": ["role_not_required"]},
		{"approval_id": second, "counted": true, "reasons": []},
	}
	have(given, "security") == 0
}

# METADATA
# title: One person counts for the role of their first approval only, under any of their names, in any order of input.
test_one_person_counts_once[note] if {
	some note, change in {
		"same subject": [["replace", "/approvals/1/approver/subject", "bob"]],
		"shared identity": [["replace", "/approvals/1/approver/identities", ["carol", "bob@example.com"]]],
		"at the same instant": [
			["replace", "/approvals/1/approver/subject", "bob"],
			["replace", "/approvals/1/approved_at_ns", 1001],
		],
	}
	outcomes(fixtures.changed(change)) == {
		{"approval_id": first, "counted": true, "reasons": []},
		{"approval_id": second, "counted": false, "reasons": ["person_counted_already"]},
	}
}

test_the_first_approval_is_the_earliest_not_the_first_listed if {
	given := fixtures.changed([
		["replace", "/approvals/1/approver/subject", "bob"],
		["replace", "/approvals/1/approved_at_ns", 900],
	])
	outcomes(given) == {
		{"approval_id": first, "counted": false, "reasons": ["person_counted_already"]},
		{"approval_id": second, "counted": true, "reasons": []},
	}
}

# METADATA
# title: An approval that does not count takes nothing away from a later one by the same person.
test_an_unsound_first_approval_does_not_use_up_its_person if {
	given := fixtures.changed([
		["replace", "/approvals/1/approver/subject", "bob"],
		["replace", "/approvals/0/expires_at_ns", 1500],
	])
	outcomes(given) == {
		{"approval_id": first, "counted": false, "reasons": ["expired"]},
		{"approval_id": second, "counted": true, "reasons": []},
	}
}

# METADATA
# title: Where duties are joined, an author's or a signer's approval counts.
test_duties_joined if {
	given := json.patch(fixtures.promotion, [
		{"op": "replace", "path": "/request/from", "value": "dev"},
		{"op": "replace", "path": "/request/to", "value": "staging"},
		{"op": "replace", "path": "/request/contributors/0/identity", "value": "bob"},
		{"op": "replace", "path": "/evidence/signatures/0/signer", "value": "bob"},
		{"op": "replace", "path": "/approvals/0/from", "value": "dev"},
		{"op": "replace", "path": "/approvals/0/to", "value": "staging"},
		{"op": "remove", "path": "/approvals/1"},
	])
	outcomes(given) == {{"approval_id": first, "counted": true, "reasons": []}}
}

# METADATA
# title: Without what proves an approval sound, it does not count.
test_missing[path] if {
	some path in [
		"/request/requester",
		"/request/requester/subject",
		"/request/digest",
		"/request/kind",
		"/request/contributors",
		"/evidence",
		"/evidence/digest",
		"/evidence/signatures",
		"/policy_revision",
		"/now_ns",
	]
	given := fixtures.without(path)
	have(given, "ml-lead") == 0
	have(given, "risk") == 0
}

test_no_approvals if outcomes({}) == set()
