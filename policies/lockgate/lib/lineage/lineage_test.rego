package lockgate.lib.lineage_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.lib.lineage

waived(given, config) := [true |
	lineage.waived("code_commit") with input as given
		with data.lockgate.config as config
]

test_waived_where_nothing_asks[note] if {
	some note, case in {
		"no requirement": {"given": fixtures.promotion, "config": fixtures.config},
		"another check": {"given": fixtures.promotion, "config": asking({"checks": ["dataset_digests"]})},
		"another kind": {"given": fixtures.rollback, "config": asking({})},
		"another environment": {"given": fixtures.promotion, "config": asking({"environments": ["staging"]})},
		"another tier": {"given": fixtures.promotion, "config": asking({"tiers": ["low"]})},
	}
	waived(case.given, case.config) == [true]
}

test_not_waived[note] if {
	some note, case in {
		"asked": {"given": fixtures.promotion, "config": asking({})},
		"no kind": {"given": fixtures.without("/request/kind"), "config": asking({})},
		"no target": {"given": fixtures.without("/request/to"), "config": asking({"environments": ["staging"]})},
		"no tier": {"given": fixtures.changed([["replace", "/request/model", "other"]]), "config": asking({"tiers": ["low"]})},
		"no data": {"given": fixtures.promotion, "config": {}},
	}
	waived(case.given, case.config) == []
}

test_collected[note] if {
	some note, case in {
		"whole": {"given": fixtures.promotion, "want": [true], "absence": "lineage.missing"},
		"of the same bytes": {"given": fixtures.changed([["replace", "/lineage/artifact", fixtures.digest]]), "want": [true], "absence": "lineage.missing"},
		"of other bytes": {"given": fixtures.changed([["replace", "/lineage/artifact", "sha256:0"]]), "want": [], "absence": "lineage.other_artifact"},
		"of unknown bytes": {"given": fixtures.without("/lineage/artifact"), "want": [], "absence": "lineage.missing"},
		"absent": {"given": fixtures.changed([["replace", "/lineage/present", false]]), "want": [], "absence": "lineage.missing"},
		"dropped": {"given": fixtures.without("/lineage"), "want": [], "absence": "lineage.missing"},
	}
	[true | lineage.collected with input as case.given] == case.want
	lineage.absence == case.absence with input as case.given
}

test_whole[note] if {
	some note, case in {
		"nothing truncated": {"given": fixtures.promotion, "want": [true]},
		"another list": {"given": fixtures.changed([["replace", "/lineage/truncated", ["params"]]]), "want": [true]},
		"this list": {"given": fixtures.changed([["replace", "/lineage/truncated", ["params", "datasets"]]]), "want": []},
		"nobody knows": {"given": fixtures.without("/lineage/truncated"), "want": []},
	}
	[true | lineage.whole("datasets") with input as case.given] == case.want
}

test_first_names if lineage.first({"e", "b", "d", "a", "c", 0}) == "a, b, c, d"

asking(changes) := object.union(fixtures.config, {"lineage": fixtures.asking(object.union(
	{"checks": ["code_commit", "dataset_digests"]},
	changes,
))})
