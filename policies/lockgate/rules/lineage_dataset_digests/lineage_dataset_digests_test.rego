package lockgate.rules.lineage_dataset_digests_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.lineage_dataset_digests as rule

outcome(given) := result if {
	result := {"status": rule.status, "deny": rule.deny} with input as given
		with data.lockgate.config as object.union(fixtures.config, {"lineage": fixtures.asking({})})
}

test_passes if outcome(fixtures.promotion) == {"status": "pass", "deny": set()}

test_does_not_apply_where_nobody_asks if {
	result := {"status": rule.status, "deny": rule.deny} with input as fixtures.without("/lineage/datasets")
		with data.lockgate.config as fixtures.config
	result == {"status": "not_applicable", "deny": set()}
}

test_without_digest[note] if {
	some note, case in {
		"an empty digest": {"given": changed("/lineage/datasets/0/digest", ""), "datasets": 1, "names": "transactions"},
		"no digest": {"given": fixtures.without("/lineage/datasets/0/digest"), "datasets": 1, "names": "transactions"},
		"a digest that is no text": {"given": changed("/lineage/datasets/0/digest", 5), "datasets": 1, "names": "transactions"},
		"one of two": {"given": fixtures.changed([["add", "/lineage/datasets/-", {"name": "labels", "digest": "", "context": "eval"}]]), "datasets": 2, "names": "labels"},
		"no dataset": {"given": changed("/lineage/datasets", []), "datasets": 0, "names": ""},
		"no list": {"given": fixtures.without("/lineage/datasets"), "datasets": 0, "names": ""},
		"not all of them": {"given": changed("/lineage/truncated", ["datasets"]), "datasets": 1, "names": ""},
	}
	outcome(case.given) == {"status": "fail", "deny": {{"rule_id": "LG-050", "code": "lineage.dataset_digests", "title": "The datasets that the version was made of are named by digest", "severity": "high", "remediation": "Log every dataset with its digest in the run that makes the version, then collect the lineage and request anew.", "details": [{"name": "datasets", "value": case.datasets}, {"name": "without_digest", "value": case.names}]}}}
}

test_not_collected[note] if {
	some note, case in {
		"nothing": {"given": changed("/lineage/present", false), "code": "lineage.missing"},
		"no field": {"given": fixtures.without("/lineage"), "code": "lineage.missing"},
		"other bytes": {"given": changed("/lineage/artifact", "sha256:0"), "code": "lineage.other_artifact"},
	}
	outcome(case.given) == {"status": "fail", "deny": {{"rule_id": "LG-050", "code": case.code, "title": "The datasets that the version was made of are named by digest", "severity": "high", "remediation": "Log every dataset with its digest in the run that makes the version, then collect the lineage and request anew.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}

changed(path, value) := fixtures.changed([["replace", path, value]])
