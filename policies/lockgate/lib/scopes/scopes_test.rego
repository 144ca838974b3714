package lockgate.lib.scopes_test

import data.lockgate.lib.scopes

test_a_name_that_is_not_listed_is_elsewhere if scopes.elsewhere("staging", ["dev", "production"])

test_anything_else_is_not[note] if {
	some note, case in {
		"listed": {"name": "dev", "names": ["staging", "dev"]},
		"nothing listed": {"name": "dev", "names": []},
		"no name": {"name": null, "names": ["dev"]},
		"no list": {"name": "dev", "names": 0},
	}
	not scopes.elsewhere(case.name, case.names)
}
