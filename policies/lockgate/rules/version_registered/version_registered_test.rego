package lockgate.rules.version_registered_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.version_registered

outcome(given) := result if {
	result := {"status": version_registered.status, "deny": version_registered.deny} with input as given
}

other := concat("", ["sha256:", fixtures.digits("b")])

test_passes_where_nothing_was_registered if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_passes_as_registered if {
	outcome(fixtures.changed([["replace", "/history/registered_digest", fixtures.digest]])) == {"status": "pass", "deny": set()}
}

test_another_artifact if {
	outcome(fixtures.changed([["replace", "/history/registered_digest", other]])) == {"status": "fail", "deny": {{"rule_id": "LG-016", "code": "version.other_artifact", "title": "The version is the one that was registered", "severity": "critical", "remediation": "Request the digest that was registered as this version, or register the artifact as another version.", "details": [{"name": "model", "value": "fraud-detector"}, {"name": "registered", "value": other}]}}}
}

test_unknown[path] if {
	some path in ["/history/registered_digest", "/history"]
	outcome(fixtures.without(path)).status == "fail"
}
