package lockgate.rules.requester_holds_role_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.requester_holds_role

outcome(given) := result if {
	result := {"status": requester_holds_role.status, "deny": requester_holds_role.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_role_not_held[note] if {
	some note, given in {
		"no role": fixtures.changed([["replace", "/request/requester/roles", []]]),
		"another role": fixtures.changed([["replace", "/request/requester/roles", ["operator", "approver:requester"]]]),
		"text": fixtures.changed([["replace", "/request/requester/roles", "requester"]]),
		"without roles": fixtures.without("/request/requester/roles"),
		"without requester": fixtures.without("/request/requester"),
		"without anything": {},
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-030", "code": "requester.role_not_held", "title": "The requester may still request", "severity": "critical", "remediation": "Let somebody who holds the role requester ask for this promotion.", "details": []}}}
}
