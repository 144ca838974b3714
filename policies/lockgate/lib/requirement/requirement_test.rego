package lockgate.lib.requirement_test

import data.lockgate.lib.fixtures_test as fixtures
import data.lockgate.lib.requirement

test_tier_and_row_of_a_known_model if {
	requirement.tier == "high" with input as fixtures.promotion with data.lockgate.config as fixtures.config
	requirement.row.approvals == fixtures.high with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
}

test_no_tier_without[note] if {
	some note, given in {
		"a known model": fixtures.changed([["replace", "/request/model", "other"]]),
		"a model": fixtures.without("/request/model"),
		"a request": {},
	}
	requirement.tier == "" with input as given with data.lockgate.config as fixtures.config
	not requirement.row with input as given with data.lockgate.config as fixtures.config
}

test_two_tiers_for_one_model_are_none if {
	twice := json.patch(fixtures.config.models, [{
		"op": "add",
		"path": "/models/-",
		"value": {"name": "fraud-detector", "tier": "low"},
	}])
	requirement.tier == "" with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
		with data.lockgate.config.models as twice
}

test_two_rows_are_none if {
	twice := json.patch(fixtures.config.matrix, [{
		"op": "add",
		"path": "/rows/-",
		"value": fixtures.row("promote", "staging", "production", "high", [], false),
	}])
	not requirement.row with input as fixtures.promotion
		with data.lockgate.config as fixtures.config
		with data.lockgate.config.matrix as twice
}

# METADATA
# title: What a rollback left needs what its promotion needs, and any other rollback what a rollback needs.
test_what_comes_back_is_a_promotion if {
	requirement.row.kind == "promote" with input as fixtures.return with data.lockgate.config as fixtures.config
	requirement.row.approvals == fixtures.high with input as fixtures.return
		with data.lockgate.config as fixtures.config
	requirement.row.kind == "rollback" with input as fixtures.rollback with data.lockgate.config as fixtures.config
}

test_two_ways_up_are_none if {
	both := json.patch(fixtures.config.matrix, [{
		"op": "add",
		"path": "/rows/-",
		"value": fixtures.row("promote", "dev", "production", "high", [], false),
	}])
	not requirement.row with input as fixtures.return
		with data.lockgate.config as fixtures.config
		with data.lockgate.config.matrix as both
}

test_duties[note] if {
	some note, case in {
		"separated": {"given": fixtures.promotion, "separated": [true], "joined": []},
		"joined": {"given": staging, "separated": [], "joined": [true]},
		"unknown": {"given": {}, "separated": [], "joined": []},
	}
	separated := [true | requirement.duties_separated] with input as case.given
		with data.lockgate.config as fixtures.config
	joined := [true | requirement.duties_joined] with input as case.given with data.lockgate.config as fixtures.config
	separated == case.separated
	joined == case.joined
}

staging := fixtures.changed([["replace", "/request/from", "dev"], ["replace", "/request/to", "staging"]])
