package system.authz_test

import data.system.authz

token := "the gate's token"

callers := {"token_sha256": [crypto.sha256("the token of before"), crypto.sha256(token)]}

question := {
	"method": "POST",
	"path": ["v1", "data", "lockgate", "promotion", "decision"],
	"params": {"provenance": ["true"], "strict-builtin-errors": ["true"]},
	"identity": token,
}

test_the_gate_may_ask_for_its_decisions if {
	every package_name in ["authz", "promotion"] {
		asked := object.union(question, {"path": ["v1", "data", "lockgate", package_name, "decision"]})
		authz.allow with input as asked with data.system.callers as callers
	}
}

test_the_token_of_before_serves_while_it_is_listed if {
	asked := object.union(question, {"identity": "the token of before"})
	authz.allow with input as asked with data.system.callers as callers
}

test_everybody_may_ask_whether_opa_is_healthy if {
	authz.allow with input as {"method": "GET", "path": ["health"], "params": {"bundles": ["true"]}}
}

test_another_token_is_refused[note] if {
	some note, identity in {
		"another": "another token",
		"empty": "",
		"the hash itself": crypto.sha256(token),
		"a prefix": "the gate's toke",
		"no text": 1,
	}
	asked := object.union(question, {"identity": identity})
	not authz.allow with input as asked with data.system.callers as callers
}

test_no_token_is_refused if {
	not authz.allow with input as object.remove(question, ["identity"]) with data.system.callers as callers
}

test_without_a_list_of_callers_nobody_may_ask if {
	not authz.allow with input as question
}

test_anything_else_is_refused[note] if {
	some note, change in {
		"reading the decision": {"method": "GET"},
		"writing data": {"method": "PUT"},
		"patching data": {"method": "PATCH"},
		"deleting data": {"method": "DELETE"},
		"all data": {"path": ["v1", "data"]},
		"the callers": {"path": ["v1", "data", "system", "callers"]},
		"the policy's own data": {"path": ["v1", "data", "lockgate", "config"]},
		"below a decision": {"path": ["v1", "data", "lockgate", "promotion", "decision", "allow"]},
		"a trailing slash": {"path": ["v1", "data", "lockgate", "promotion", "decision", ""]},
		"the old API": {"path": ["v0", "data", "lockgate", "promotion", "decision"]},
		"the default decision": {"path": []},
		"policies": {"path": ["v1", "policies"]},
		"a query": {"path": ["v1", "query"]},
		"partial evaluation": {"path": ["v1", "compile"]},
		"the configuration": {"path": ["v1", "config"]},
		"status": {"path": ["v1", "status"]},
		"metrics": {"method": "GET", "path": ["metrics"]},
		"health by another method": {"path": ["health"]},
		"an explanation": {"params": {"explain": ["full"]}},
	}
	asked := object.union(object.remove(question, object.keys(change)), change)
	not authz.allow with input as asked with data.system.callers as callers
}
