package lockgate.rules.lineage_code_commit_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.lineage_code_commit as rule

outcome(given) := result if {
	result := {"status": rule.status, "deny": rule.deny} with input as given
		with data.lockgate.config as object.union(fixtures.config, {"lineage": fixtures.asking({})})
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_does_not_apply_where_nobody_asks if {
	result := {"status": rule.status, "deny": rule.deny} with input as fixtures.without("/lineage/code_commit")
		with data.lockgate.config as fixtures.config
	result == {"status": "not_applicable", "deny": set()}
}

test_without_commit[note] if {
	some note, given in {
		"empty": fixtures.changed([["replace", "/lineage/code_commit", ""]]),
		"no field": fixtures.without("/lineage/code_commit"),
		"no text": fixtures.changed([["replace", "/lineage/code_commit", 1]]),
	}
	outcome(given) == {"status": "fail", "deny": {{"rule_id": "LG-051", "code": "lineage.code_commit", "title": "The code that the version was made by is named by commit", "severity": "high", "remediation": "Run the training from a commit of a repository, so that its run says which, then collect the lineage and request anew.", "details": [{"name": "model", "value": "fraud-detector"}, {"name": "run", "value": "run-1"}]}}}
}

test_not_collected[note] if {
	some note, case in {
		"nothing": {"given": fixtures.changed([["replace", "/lineage/present", false]]), "code": "lineage.missing"},
		"other bytes": {"given": fixtures.changed([["replace", "/lineage/artifact", "sha256:0"]]), "code": "lineage.other_artifact"},
	}
	outcome(case.given) == {"status": "fail", "deny": {{"rule_id": "LG-051", "code": case.code, "title": "The code that the version was made by is named by commit", "severity": "high", "remediation": "Run the training from a commit of a repository, so that its run says which, then collect the lineage and request anew.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}
