# METADATA
# title: A rollback returns to what was allowed there before
# description: |
#   A rollback skips the lower environments, so it may only go to an artifact that this environment was already
#   allowed to run. Does not apply to a promotion.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-013
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Roll back to a version that was allowed in this environment before, or promote instead.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.rollback_target

import data.lockgate.lib.facts
import data.lockgate.lib.violations

default status := "fail"

status := "not_applicable" if input.request.kind == "promote"

status := "pass" if {
	input.request.kind == "rollback"
	input.history.allowed_in_target == true
}

deny contains violations.violation(rego.metadata.chain(), "rollback.never_allowed", facts.transition) if {
	status == "fail"
}
