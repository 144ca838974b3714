# METADATA
# title: No hold is in force
# description: |
#   What was rolled back is not let in again until a person lifts the hold that the rollback placed on the model in
#   that environment: nothing is promoted, and a rollback goes to what a rollback left only if a person asks for it, with
#   the approvals of a promotion. Does not apply to a rollback to anything else.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-041
#   category: freeze
#   severity: high
#   approvable: false
#   remediation: Let somebody who may lift holds lift this one, once the cause of the rollback is mended.
#   controls:
#     - NIST SP 800-53 CM-3
#     - NIST AI RMF MANAGE 2.4
package lockgate.rules.hold

import data.lockgate.lib.facts
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

status := "not_applicable" if {
	input.request.kind == "rollback"
	input.history.rolled_back == false
}

status := "pass" if {
	input.request.kind == "promote"
	input.history.held == false
}

status := "pass" if {
	requirement.comes_back
	input.request.requester.type == "user"
}

deny contains violations.violation(rego.metadata.chain(), "hold.in_force", {
	"model": facts.model,
	"environment": facts.transition.to,
}) if {
	status == "fail"
}
