package lockgate.lib.quotas_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.lib.quotas

test_wanted[note] if {
	some note, case in {
		"what the row says": {"given": fixtures.promotion, "config": asking, "want": fixtures.high},
		"nothing of what nobody asks for": {"given": personal, "config": fixtures.config, "want": fixtures.high},
		"privacy for personal data": {"given": personal, "config": asking, "want": array.concat(fixtures.high, [{"role": "privacy", "count": 1}])},
		"privacy of the row's own count": {"given": personal, "config": object.union(asking, own), "want": [{"role": "privacy", "count": 2}]},
		"nothing without a row": {"given": json.patch(personal, [{"op": "replace", "path": "/request/model", "value": "other"}]), "config": asking, "want": []},
	}
	wanted := quotas.wanted with input as case.given with data.lockgate.config as case.config
	wanted == {quota | some quota in case.want}
}

test_known_with_a_row if {
	quotas.known with input as fixtures.promotion with data.lockgate.config as fixtures.config
	not quotas.known with input as {} with data.lockgate.config as fixtures.config
}

asking := object.union(fixtures.config, {"lineage": fixtures.asking({"checks": ["feature_views_approved"]})})

own := {"matrix": json.patch(fixtures.config.matrix, [{
	"op": "replace",
	"path": "/rows/3/approvals",
	"value": [{"role": "privacy", "count": 2}],
}])}

personal := fixtures.changed([["replace", "/lineage/feature_views/0/pii", true]])
