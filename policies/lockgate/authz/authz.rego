# METADATA
# title: Authorisation
# description: |
#   Who may do what through the API. `decision` is an entrypoint, and total: it is defined for every input, and it allows
#   only where a role of the caller is granted the operation and, for an operation on an object, the object is theirs.
# schemas:
#   - input: schema.authz_input
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
	"holds.lift": {"fact": "environment", "otherwise": "not_a_person"},
	"promotions.approve": {"fact": "role", "otherwise": "role_not_held"},
	"promotions.withdraw": {"fact": "requester", "otherwise": "not_the_requester"},
}

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
} else := "object_missing" if {
	complete
	not fact
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
# description: A hold keeps automation from promoting again what was rolled back, so that only a person lifts it.
fits if {
	input.operation == "holds.lift"
	input.principal.type == "user"
	fact != ""
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
