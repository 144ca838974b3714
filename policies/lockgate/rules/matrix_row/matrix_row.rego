# METADATA
# title: The approval matrix has exactly one row for this request
# description: |
#   Silence is not consent: without a row for this transition and tier nothing is allowed, even where no approval
#   would have been asked.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-014
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Have a row for this transition and tier added to the approval matrix.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.matrix_row

import data.lockgate.lib.facts
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if requirement.row

deny contains violations.violation(
	rego.metadata.chain(),
	"matrix.no_row",
	object.union(facts.transition, {"tier": requirement.tier}),
) if {
	status == "fail"
}
