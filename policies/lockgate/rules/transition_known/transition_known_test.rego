package lockgate.rules.transition_known_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.transition_known

outcome(given) := result if {
	result := {"status": transition_known.status, "deny": transition_known.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_unknown if {
	outcome(fixtures.changed([["replace", "/request/from", "dev"]])) == {"status": "fail", "deny": {{"rule_id": "LG-010", "code": "transition.unknown", "title": "The environment graph has this transition", "severity": "high", "remediation": "Ask for a transition that the environment graph has; promote through each environment in turn.", "details": [{"name": "from", "value": "dev"}, {"name": "kind", "value": "promote"}, {"name": "to", "value": "production"}]}}}
}

test_unknown_without[path] if {
	some path in ["/request/kind", "/request/from", "/request/to"]
	outcome(fixtures.without(path)).status == "fail"
	count(outcome(fixtures.without(path)).deny) == 1
}
