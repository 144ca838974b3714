# METADATA
# title: Facts
# description: |
#   What a violation reports of the input. Always defined, also for a broken input: empty where the input has nothing.
#   For reports alone; a rule that decides reads the input itself, so that a missing field leaves it unproven.
# schemas:
#   - input: schema.input
package lockgate.lib.facts

model := object.get(input, ["request", "model"], "")

transition := {
	"kind": object.get(input, ["request", "kind"], ""),
	"from": object.get(input, ["request", "from"], ""),
	"to": object.get(input, ["request", "to"], ""),
}

policy_revision := object.get(input, "policy_revision", "")

now_ns := object.get(input, "now_ns", "")

expires_ns := object.get(input, ["request", "expires_at_ns"], "")

signatures := count(object.get(input, ["evidence", "signatures"], []))

refusals := count(object.get(input, ["evidence", "refusals"], []))

# METADATA
# description: The first four of the different codes, at most 262 characters; a detail of a violation holds 512.
refusal_codes := concat(", ", [code | some number, code in codes; number < 4])

codes := sort({refusal.code | some refusal in object.get(input, ["evidence", "refusals"], []); is_string(refusal.code)})
