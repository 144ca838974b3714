# METADATA
# title: Authorisation
# description: |
#   Who may do what through the API. `decision` is an entrypoint, and total: it is defined for every input, and it allows
#   only where a role of the caller is granted the operation and, for an operation on an object, the object is theirs.
# schemas:
#   - input: schema.authz_input
#   - data.lockgate.config.models: schema.models
#   - data.lockgate.config.matrix: schema.matrix
package lockgate.authz

import future.keywords.not

# METADATA
# description: |
#   Every operation of the API, and the roles that are granted it. What is not listed is denied to everybody. Roles that
#   name something are written here by their first word: `approver` stands for `approver:ml-lead`.
grants := {
	"audit.checkpoint": auditing,
	"audit.key": auditing,
	"audit.prove": auditing,
	"audit.read": auditing,
	"audit.record": {"recorder"},
	"audit.search": auditing,
	"audit.tile": auditing,
	"decisions.dry_run": forecasting,
	"deliveries.list": auditing,
	"deliveries.redeliver": {"operator"},
	"environments.list": reading,
	"events.read": auditing,
	"findings.close": {"approver", "operator"},
	"findings.list": reading,
	"holds.lift": {"approver"},
	"holds.list": reading,
	"lineage.collect": {"operator", "requester"},
	"lineage.read": reading,
	"live.observe": {"deployer"},
	"live.read": reading,
	"me.read": everyone,
	"metrics.read": auditing,
	"models.create": {"operator", "requester"},
	"models.list": reading,
	"models.read": reading,
	"models.retire": {"operator"},
	"models.update": {"operator", "requester"},
	"openapi.read": forecasting,
	"policy.read": forecasting,
	"policy.reload": {"operator"},
	"promotions.approve": {"approver"},
	"promotions.create": {"requester"},
	"promotions.list": reading,
	"promotions.read": reading,
	"promotions.withdraw": {"requester"},
	"rollbacks.create": {"requester"},
	"rollouts.permit": {"deployer"},
	"rollouts.report": {"deployer"},
	"usage.read": reading,
	"usage.record": {"deployer"},
	"versions.create": {"operator", "requester"},
	"versions.list": reading,
	"versions.read": reading,
	"versions.retire": {"operator"},
}

auditing := {"auditor", "operator"}

# METADATA
# description: The admin hands out roles, so that role reads and neither requests nor approves.
reading := {"admin", "approver", "auditor", "deployer", "operator", "requester"}

forecasting := reading | {"policy-author"}

everyone := forecasting | {"recorder"}

# METADATA
# description: |
#   The operations that depend on an object: the fact of the object that decides, and the reason where it speaks against
#   the caller. Which objects fit is said by `fits`.
objects := {
	"audit.record": {"fact": "kind", "otherwise": "kind_not_covered"},
	"holds.lift": {"fact": "environment", "otherwise": "role_not_named"},
	"models.create": {"fact": "mapping", "otherwise": "other_name"},
	"promotions.approve": {"fact": "role", "otherwise": "role_not_held"},
	"promotions.withdraw": {"fact": "requester", "otherwise": "not_the_requester"},
}

# METADATA
# description: |
#   The operations for people alone: a hold keeps automation from promoting again what was rolled back, and a finding
#   shows what somebody must look at.
for_people := {"findings.close", "holds.lift"}

# METADATA
# description: The first words of the kinds of record that are Lockgate's own; no role writes them through the API.
reserved := {"app", "gate", "identity", "log", "registry"}

decision := {
	"schema_version": 1,
	"allow": allow,
	"reason": reason,
	"operation": object.get(input, "operation", ""),
	"policy_revision": object.get(input, "policy_revision", ""),
}

default allow := false

allow if {
	complete
	granted
	by_whom_it_may
	fits
}

# METADATA
# description: |
#   Why. `object_missing` says that a role is granted the operation and that only the object can decide; the service
#   then asks again with the object.
default reason := "input_incomplete"

reason := "granted" if {
	allow
} else := "operation_unknown" if {
	complete
	not grants[input.operation]
} else := "role_missing" if {
	complete
	not granted
} else := "not_a_person" if {
	complete
	not by_whom_it_may
} else := "object_missing" if {
	complete
	not fact
} else := "own_request" if {
	complete
	input.operation == "holds.lift"
	input.object.own == "yes"
} else := objects[input.operation].otherwise if {
	complete
}

complete if {
	input.schema_version == 1
	is_string(input.policy_revision)
	is_string(input.operation)
	is_string(input.principal.subject)
	input.principal.type in {"machine", "user"}
	is_array(input.principal.roles)
	every role in input.principal.roles {
		is_string(role)
	}
	is_object(input.object)
}

granted if {
	some role in held
	role in grants[input.operation]
}

by_whom_it_may if not input.operation in for_people

by_whom_it_may if input.principal.type == "user"

# METADATA
# description: The caller's roles, as `grants` writes them.
held contains role if {
	some role in input.principal.roles
	not contains(role, ":")
}

held contains word if {
	some role in input.principal.roles
	[word, name] := split(role, ":")
	word in {"approver", "recorder"}
	name != ""
}

# METADATA
# description: The fact of the object that decides; undefined where the object has no such fact.
fact := found if {
	found := input.object[objects[input.operation].fact]
	is_string(found)
}

fits if not objects[input.operation]

# METADATA
# description: Only who asked for a promotion takes it back.
fits if {
	input.operation == "promotions.withdraw"
	fact == input.principal.subject
}

# METADATA
# description: An approver approves in a role that they hold.
fits if {
	input.operation == "promotions.approve"
	concat(":", ["approver", fact]) in input.principal.roles
}

# METADATA
# description: |
#   Whoever lifts a hold lets in again what was rolled back: somebody in a role that the matrix names for it, and never
#   who asked for that promotion.
fits if {
	input.operation == "holds.lift"
	input.object.own == "no"
	some role in lifters
	concat(":", ["approver", role]) in input.principal.roles
}

# METADATA
# description: Where the matrix wants nobody's approval it names no role, so that each approver will do.
fits if {
	input.operation == "holds.lift"
	input.object.own == "no"
	is_string(input.object.model)
	fact != ""
	count(lifters) == 0
}

# METADATA
# description: The roles that the matrix names for what goes into a hold's environment, in the tier of its model.
lifters contains quota.role if {
	some row in data.lockgate.config.matrix.rows
	row.to == input.object.environment
	row.tier in tiers
	some quota in row.approvals
}

# METADATA
# description: Of a model that is not listed any more, every tier.
tiers := {tier | some tier in data.lockgate.config.matrix.tiers} if {
	is_string(input.object.model)
	count(listed) == 0
}

tiers := listed if count(listed) > 0

listed := {model.tier |
	some model in data.lockgate.config.models.models
	model.name == input.object.model
}

# METADATA
# description: A model stands for the one of its own name in a registry; the operator alone says that it is another.
fits if {
	input.operation == "models.create"
	fact == "own_name"
}

fits if {
	input.operation == "models.create"
	fact == "other_name"
	"operator" in input.principal.roles
}

# METADATA
# description: A recorder writes the kinds that its role begins, by whole words.
fits if {
	input.operation == "audit.record"
	not split(fact, ".")[0] in reserved
	some role in input.principal.roles
	["recorder", words] = split(role, ":")
	startswith(concat("", [fact, "."]), concat("", [words, "."]))
}
