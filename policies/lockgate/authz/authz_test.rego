package lockgate.authz_test

import data.lockgate.authz
import data.lockgate.lib.fixtures_test as fixtures

revision := "sha256:0000000000000000000000000000000000000000000000000000000000000000"

# METADATA
# description: What each role may do, said once more and the other way round than in the policy. `own` depends on the object.
wanted := {
	"admin": reader,
	"approver:risk": (reader | {"findings.close", "holds.lift", "promotions.approve"}),
	"auditor": (reader | auditor),
	"deployer": (reader | {"live.observe", "rollouts.permit", "rollouts.report", "usage.record"}),
	"operator": (((reader | auditor) | registrar) | {"deliveries.redeliver", "findings.close", "models.retire", "policy.reload", "versions.retire"}),
	"policy-author": {"decisions.dry_run", "me.read", "openapi.read", "policy.read"},
	"recorder:access": {"audit.record", "me.read"},
	"requester": ((reader | registrar) | {"promotions.create", "promotions.withdraw", "rollbacks.create"}),
}

reader := {
	"decisions.dry_run", "environments.list", "findings.list", "holds.list", "lineage.read", "live.read", "me.read", "models.list",
	"models.read", "openapi.read", "policy.read", "promotions.list", "promotions.read", "usage.read", "versions.list", "versions.read",
}

auditor := {
	"audit.checkpoint", "audit.key", "audit.prove", "audit.read", "audit.search", "audit.tile", "deliveries.list", "events.read",
	"metrics.read",
}

registrar := {"lineage.collect", "models.create", "models.update", "versions.create"}

operations := {operation | some role in object.keys(wanted); some operation in wanted[role]}

# METADATA
# description: Of each object one that is the caller's, one that is not, and facts that are none.
objects := [
	{},
	{"kind": "access.review"},
	{"kind": "gate.decision"},
	{"environment": "production", "model": "fraud-detector", "own": "no"},
	{"mapping": "other_name"},
	{"requester": "ann"},
	{"requester": "bob"},
	{"role": "risk"},
	{"role": "ml-lead"},
]

# METADATA
# description: |
#   Sets of roles beside each role alone: none, all at once, and what looks like a role and is none.
together := [[], ["unknown"], ["requester:all", "auditor:", "approver", "approver:", "recorder", "recorder:"], object.keys(wanted)]

role_sets := array.concat([[role] | some role in object.keys(wanted)], [[role | some role in roles] | some roles in together])

# METADATA
# description: Every combination of roles, operations and objects; the build compares the compiled module with OPA on these.
inputs := [asked(roles, operation, about) |
	some roles in role_sets
	some operation in (operations | {"promotions.destroy"})
	some about in objects
]

asked(roles, operation, about) := {
	"schema_version": 1,
	"policy_revision": revision,
	"principal": {"subject": "ann", "type": "user", "roles": roles},
	"operation": operation,
	"object": about,
}

decide(roles, operation, about) := answer if {
	answer := authz.decision with input as asked(roles, operation, about)
}

reason(roles, operation, about) := decide(roles, operation, about).reason

# METADATA
# title: Each role alone may do exactly what is wanted of it, and nobody knows other operations.
test_each_role[role] if {
	some role, may in wanted
	{operation |
		some operation in object.keys(authz.grants)
		reason([role], operation, {}) in {"granted", "object_missing"}
	} == may
}

test_inputs_hold_both_verdicts if {
	{answer | some given in inputs; answer := authz.allow with input as given} == {true, false}
}

test_every_operation_is_somebodys if object.keys(authz.grants) == operations

test_whole_answers[note] if {
	some note, case in {
		"allowed": {"roles": ["auditor"], "allow": true, "reason": "granted"},
		"denied": {"roles": ["requester"], "allow": false, "reason": "role_missing"},
	}
	decide(case.roles, "audit.read", {}) == {
		"schema_version": 1,
		"allow": case.allow,
		"reason": case.reason,
		"operation": "audit.read",
		"policy_revision": revision,
	}
}

# METADATA
# title: A hold is lifted by people alone.
test_holds[note] if {
	some note, case in {
		"a person": {"type": "user", "object": held, "reason": "granted"},
		"a machine": {"type": "machine", "object": held, "reason": "not_a_person"},
		"a machine, of nothing yet": {"type": "machine", "object": {}, "reason": "not_a_person"},
		"who asked for it": {"type": "user", "object": object.union(held, {"own": "yes"}), "reason": "own_request"},
		"nobody knows who": {"type": "user", "object": object.remove(held, ["own"]), "reason": "role_not_named"},
		"nobody knows of what": {"type": "user", "object": object.remove(held, ["model"]), "reason": "role_not_named"},
		"no environment": {"type": "user", "object": object.union(held, {"environment": ""}), "reason": "role_not_named"},
		"nothing": {"type": "user", "object": {}, "reason": "object_missing"},
	}
	given := json.patch(asked(["approver:risk"], "holds.lift", case.object), [{"op": "replace", "path": "/principal/type", "value": case.type}])
	answer := authz.decision with input as given with data.lockgate.config as fixtures.config
	answer.reason == case.reason
}

held := {"environment": "production", "model": "fraud-detector", "own": "no"}

# METADATA
# title: A hold is lifted in a role that the matrix names for what goes there, in the tier of its model.
test_lifters[note] if {
	some note, case in {
		"a role of the promotion's row": {"role": "approver:risk", "model": "fraud-detector", "to": "production", "reason": "granted"},
		"a role of both rows": {"role": "approver:ml-lead", "model": "fraud-detector", "to": "production", "reason": "granted"},
		"no role of it": {"role": "approver:lunch-menu", "model": "fraud-detector", "to": "production", "reason": "role_not_named"},
		"a role of another tier": {"role": "approver:risk", "model": "churn-scorer", "to": "production", "reason": "role_not_named"},
		"a role of another environment": {"role": "approver:risk", "model": "fraud-detector", "to": "staging", "reason": "role_not_named"},
		"no role is named": {"role": "approver:lunch-menu", "model": "churn-scorer", "to": "staging", "reason": "granted"},
		"a model of before": {"role": "approver:risk", "model": "gone", "to": "production", "reason": "granted"},
		"a model of before, in no role of any tier": {"role": "approver:lunch-menu", "model": "gone", "to": "production", "reason": "role_not_named"},
	}
	about := {"environment": case.to, "model": case.model, "own": "no"}
	answer := authz.decision with input as asked([case.role], "holds.lift", about) with data.lockgate.config as fixtures.config
	answer.reason == case.reason
}

# METADATA
# title: A finding is closed by people alone.
test_findings[type] if {
	some type, wants in {"user": "granted", "machine": "not_a_person"}
	given := json.patch(asked(["operator"], "findings.close", {}), [{"op": "replace", "path": "/principal/type", "value": type}])
	answer := authz.decision with input as given
	answer.reason == wants
}

# METADATA
# title: The operator alone says that a model has another name in its registry.
test_mappings[note] if {
	some note, case in {
		"its own name": {"roles": ["requester"], "object": {"mapping": "own_name"}, "reason": "granted"},
		"another name": {"roles": ["requester"], "object": {"mapping": "other_name"}, "reason": "other_name"},
		"another name, by the operator": {"roles": ["operator"], "object": {"mapping": "other_name"}, "reason": "granted"},
		"its own name, by the operator": {"roles": ["operator"], "object": {"mapping": "own_name"}, "reason": "granted"},
		"neither": {"roles": ["operator"], "object": {"mapping": ""}, "reason": "other_name"},
		"not said": {"roles": ["requester"], "object": {}, "reason": "object_missing"},
	}
	reason(case.roles, "models.create", case.object) == case.reason
}

test_reasons[note] if {
	some note, case in {
		"no role": {"roles": [], "operation": "me.read", "object": {}, "reason": "role_missing"},
		"no such role": {"roles": ["root"], "operation": "me.read", "object": {}, "reason": "role_missing"},
		"no such operation": {"roles": ["admin"], "operation": "gate.open", "object": {}, "reason": "operation_unknown"},
		"a name on a role without": {"roles": ["requester:x"], "operation": "promotions.create", "object": {}, "reason": "role_missing"},
		"no name on a role with": {"roles": ["recorder:"], "operation": "me.read", "object": {}, "reason": "role_missing"},
		"an object that is not asked for": {"roles": ["requester"], "operation": "promotions.create", "object": {"role": "x"}, "reason": "granted"},
		"own promotion": {"roles": ["requester"], "operation": "promotions.withdraw", "object": {"requester": "ann"}, "reason": "granted"},
		"another's promotion": {"roles": ["requester"], "operation": "promotions.withdraw", "object": {"requester": "bob"}, "reason": "not_the_requester"},
		"nobody's promotion": {"roles": ["requester"], "operation": "promotions.withdraw", "object": {}, "reason": "object_missing"},
		"an admin's own promotion": {"roles": ["admin"], "operation": "promotions.withdraw", "object": {"requester": "ann"}, "reason": "role_missing"},
		"role held": {"roles": ["approver:risk"], "operation": "promotions.approve", "object": {"role": "risk"}, "reason": "granted"},
		"role not held": {"roles": ["approver:risk"], "operation": "promotions.approve", "object": {"role": "ml-lead"}, "reason": "role_not_held"},
		"role begun alike": {"roles": ["approver:risk"], "operation": "promotions.approve", "object": {"role": "ris"}, "reason": "role_not_held"},
		"another fact": {"roles": ["approver:risk"], "operation": "promotions.approve", "object": {"kind": "risk"}, "reason": "object_missing"},
		"a fact that is no text": {"roles": ["approver:risk"], "operation": "promotions.approve", "object": {"role": ["risk"]}, "reason": "object_missing"},
		"admin and approver of nothing": {"roles": ["admin", "approver"], "operation": "promotions.approve", "object": {"role": ""}, "reason": "role_not_held"},
	}
	reason(case.roles, case.operation, case.object) == case.reason
}

# METADATA
# title: A recorder's role covers kinds by whole words, and never Lockgate's own.
test_kinds[note] if {
	some note, case in {
		"covered": {"role": "recorder:access", "kind": "access.review", "reason": "granted"},
		"covered below": {"role": "recorder:access", "kind": "access.review.closed", "reason": "granted"},
		"two words": {"role": "recorder:vault.key", "kind": "vault.key.made", "reason": "granted"},
		"the words themselves": {"role": "recorder:vault.key", "kind": "vault.key", "reason": "granted"},
		"half a word": {"role": "recorder:access", "kind": "accession.review", "reason": "kind_not_covered"},
		"not from the first word": {"role": "recorder:access", "kind": "other.access.review", "reason": "kind_not_covered"},
		"too few words": {"role": "recorder:vault.key", "kind": "vault.opened", "reason": "kind_not_covered"},
		"the gate's own": {"role": "recorder:gate", "kind": "gate.decision", "reason": "kind_not_covered"},
		"the log's own": {"role": "recorder:log", "kind": "log.genesis", "reason": "kind_not_covered"},
		"who may call": {"role": "recorder:identity", "kind": "identity.principal", "reason": "kind_not_covered"},
		"the programs' own": {"role": "recorder:app", "kind": "app.event", "reason": "kind_not_covered"},
		"no kind": {"role": "recorder:access", "kind": "", "reason": "kind_not_covered"},
	}
	reason([case.role], "audit.record", {"kind": case.kind}) == case.reason
}

# METADATA
# title: Whoever hands out roles, or reads all, changes nothing, whatever the object.
test_changes_nothing[note] if {
	some role in ["admin", "auditor", "policy-author"]
	some operation in ["audit.record", "policy.reload", "promotions.approve", "promotions.create", "promotions.withdraw"]
	note := concat(" ", [role, operation])
	every about in objects {
		decide([role], operation, about).allow == false
	}
}

# METADATA
# title: Without any field of the input the answer is a deny that says so.
test_denied_without[note] if {
	some note, path in {
		"schema_version": "/schema_version",
		"policy_revision": "/policy_revision",
		"principal": "/principal",
		"subject": "/principal/subject",
		"type": "/principal/type",
		"roles": "/principal/roles",
		"operation": "/operation",
		"object": "/object",
	}
	answer := authz.decision with input as json.remove(asked(["auditor"], "audit.read", {}), [path])
	answer.allow == false
	answer.reason == "input_incomplete"
}

test_roles_are_text if reason(["auditor", 1], "audit.read", {}) == "input_incomplete"

test_nothing_is_denied if {
	answer := authz.decision with input as {}
	answer == {"schema_version": 1, "allow": false, "reason": "input_incomplete", "operation": "", "policy_revision": ""}
}

# METADATA
# title: An operation on objects that nobody wrote a condition for is denied.
test_unconditional_object_is_denied if {
	answer := authz.decision with input as asked(["requester"], "promotions.create", {"role": "x"})
		with data.lockgate.authz.objects as {"promotions.create": {"fact": "role", "otherwise": "never"}}
	answer.allow == false
	answer.reason == "never"
}
