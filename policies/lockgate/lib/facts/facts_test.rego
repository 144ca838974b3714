package lockgate.lib.facts_test

import data.lockgate.lib.facts
import data.lockgate.lib.fixtures_test as fixtures

test_facts_of_a_whole_input if {
	facts.model == "fraud-detector" with input as fixtures.promotion
	facts.transition == {"kind": "promote", "from": "staging", "to": "production"} with input as fixtures.promotion
	facts.policy_revision == fixtures.revision with input as fixtures.promotion
	facts.now_ns == 2000 with input as fixtures.promotion
	facts.expires_ns == 3000 with input as fixtures.promotion
	facts.signatures == 1 with input as fixtures.promotion
	facts.refusals == 0 with input as fixtures.promotion
	facts.refusal_codes == "" with input as fixtures.promotion
}

test_facts_of_an_empty_input if {
	facts.model == "" with input as {}
	facts.transition == {"kind": "", "from": "", "to": ""} with input as {}
	facts.policy_revision == "" with input as {}
	facts.now_ns == "" with input as {}
	facts.expires_ns == "" with input as {}
	facts.signatures == 0 with input as {}
	facts.refusals == 0 with input as {}
	facts.refusal_codes == "" with input as {}
}

# METADATA
# title: Each code once, in order, no more than four, and none that is no string.
test_facts_of_refusals if {
	refusals := [{"code": code} | some code in ["e", "c", "a", "b", "c", "d", 0]]
	facts.refusals == 7 with input as {"evidence": {"refusals": refusals}}
	facts.refusal_codes == "a, b, c, d" with input as {"evidence": {"refusals": refusals}}
}
