package lockgate.rules.lineage_feature_views_approved_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.rules.lineage_feature_views_approved as rule

outcome(given) := result if {
	result := {"status": rule.status, "deny": rule.deny} with input as given
		with data.lockgate.config as object.union(fixtures.config, {"lineage": fixtures.asking({})})
}

test_passes[note] if {
	some note, given in {
		"with sound views": fixtures.promotion,
		"with personal data, which another rule looks at": changed("/lineage/feature_views/0/pii", true),
		"where none is declared": fixtures.changed([
			["replace", "/lineage/feature_service", {"status": "none", "project": "", "name": ""}],
			["replace", "/lineage/feature_views", []],
		]),
	}
	outcome(given) == {"status": "pass", "deny": set()}
}

test_does_not_apply_where_nobody_asks if {
	result := {"status": rule.status, "deny": rule.deny} with input as fixtures.without("/lineage/feature_views")
		with data.lockgate.config as fixtures.config
	result == {"status": "not_applicable", "deny": set()}
}

test_not_approved[note] if {
	some note, case in {
		"a view that is not there": {"given": changed("/lineage/feature_views/0/found", false), "name": "fraud_v7", "status": "resolved", "views": "card_activity"},
		"without owner": {"given": changed("/lineage/feature_views/0/owner", ""), "name": "fraud_v7", "status": "resolved", "views": "card_activity"},
		"of an owner that is no text": {"given": changed("/lineage/feature_views/0/owner", 0), "name": "fraud_v7", "status": "resolved", "views": "card_activity"},
		"deprecated": {"given": changed("/lineage/feature_views/0/deprecated", true), "name": "fraud_v7", "status": "resolved", "views": "card_activity"},
		"nobody knows whether": {"given": fixtures.without("/lineage/feature_views/0/deprecated"), "name": "fraud_v7", "status": "resolved", "views": "card_activity"},
		"not all of them": {"given": changed("/lineage/truncated", ["feature_views"]), "name": "fraud_v7", "status": "resolved", "views": ""},
		"a service that is not there": {"given": changed("/lineage/feature_service/status", "unresolved"), "name": "fraud_v7", "status": "unresolved", "views": ""},
		"no service": {"given": fixtures.without("/lineage/feature_service"), "name": "", "status": "", "views": ""},
		"no views": {"given": fixtures.without("/lineage/feature_views"), "name": "fraud_v7", "status": "resolved", "views": ""},
	}
	outcome(case.given) == {"status": "fail", "deny": {{"rule_id": "LG-052", "code": "lineage.feature_views_approved", "title": "The feature views that the version reads exist, have an owner and are not deprecated", "severity": "high", "remediation": "Have the named feature views mended in the feature store, then collect the lineage and request anew.", "details": [{"name": "feature_service", "value": case.name}, {"name": "feature_service_status", "value": case.status}, {"name": "views", "value": case.views}]}}}
}

test_not_collected if {
	outcome(changed("/lineage/present", false)) == {"status": "fail", "deny": {{"rule_id": "LG-052", "code": "lineage.missing", "title": "The feature views that the version reads exist, have an owner and are not deprecated", "severity": "high", "remediation": "Have the named feature views mended in the feature store, then collect the lineage and request anew.", "details": [{"name": "model", "value": "fraud-detector"}]}}}
}

changed(path, value) := fixtures.changed([["replace", path, value]])
