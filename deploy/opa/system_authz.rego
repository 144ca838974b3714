# METADATA
# title: Who may ask this OPA what
# description: |
#   OPA asks this before it answers any call. The gate may ask for its two decisions, with its token; everybody may ask
#   whether OPA is healthy; nothing else, so that nobody can read or change the policy, its data or the configuration.
#
#   What the gate's token is, OPA knows only by its SHA-256: data.system.callers.token_sha256, a list, so that a token can
#   be replaced without an outage. It is loaded from a file beside the bundle.
# related_resources:
#   - https://www.openpolicyagent.org/docs/security#authentication-and-authorization
package system.authz

default allow := false

decisions := {
	["v1", "data", "lockgate", "authz", "decision"],
	["v1", "data", "lockgate", "promotion", "decision"],
}

# What the gate sends; the others, such as explain, cost time and tell more.
parameters := {"provenance", "strict-builtin-errors"}

allow if {
	input.method == "POST"
	input.path in decisions
	every name, _ in input.params {
		name in parameters
	}
	crypto.sha256(input.identity) in data.system.callers.token_sha256
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}
