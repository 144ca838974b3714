package lockgate.rules.model_known_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.model_known

outcome(given) := result if {
	result := {"status": model_known.status, "deny": model_known.deny} with input as given
		with data.lockgate.config as fixtures.config
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_unknown if {
	outcome(fixtures.changed([["replace", "/request/model", "Fraud-detector"]])) == {"status": "fail", "deny": {{"rule_id": "LG-011", "code": "model.unknown", "title": "The model is known and has a tier", "severity": "high", "remediation": "Check the model's name, or have the model added to the policy's models with a tier.", "details": [{"name": "model", "value": "Fraud-detector"}]}}}
}

test_missing if {
	outcome(fixtures.without("/request/model")) == {"status": "fail", "deny": {{"rule_id": "LG-011", "code": "model.unknown", "title": "The model is known and has a tier", "severity": "high", "remediation": "Check the model's name, or have the model added to the policy's models with a tier.", "details": [{"name": "model", "value": ""}]}}}
}
