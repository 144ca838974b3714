package lockgate.lib.times_test

import data.lockgate.lib.times

# METADATA
# title: A time has passed at its very instant, and a missing or malformed time has always passed.
test_expired[note] if {
	some note, case in {
		"before": {"expires": 11, "now": 10, "want": false},
		"at": {"expires": 10, "now": 10, "want": true},
		"after": {"expires": 9, "now": 10, "want": true},
		"missing": {"expires": null, "now": 10, "want": true},
		"text": {"expires": "11", "now": 10, "want": true},
		"no clock": {"expires": 11, "now": null, "want": true},
		"beyond 2^53": {"expires": 1797638400000000001, "now": 1797638400000000000, "want": false},
	}
	expired := [true | times.expired(case.expires, case.now)]
	unexpired := [true | times.unexpired(case.expires, case.now)]
	expired == [true | case.want]
	unexpired == [true | not case.want]
}
