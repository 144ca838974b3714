# METADATA
# title: No hold is in force
# description: |
#   What was rolled back is not promoted again until a person lifts the hold that the rollback placed on the model in
#   that environment. Does not apply to a rollback.
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
import data.lockgate.lib.violations

default status := "fail"

status := "not_applicable" if input.request.kind == "rollback"

status := "pass" if {
	input.request.kind == "promote"
	input.history.held == false
}

deny contains violations.violation(rego.metadata.chain(), "hold.in_force", {
	"model": facts.model,
	"environment": facts.transition.to,
}) if {
	status == "fail"
}
