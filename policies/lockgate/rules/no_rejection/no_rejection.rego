# METADATA
# title: Nobody rejected the request
# description: |
#   One rejection ends a request, however many approved; more approvals do not outweigh it.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-029
#   category: approval
#   severity: high
#   approvable: false
#   remediation: Settle the objection, then make a new request.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.no_rejection

import data.lockgate.lib.facts
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	is_array(input.approvals)
	every approval in input.approvals {
		approval.verdict == "approve"
	}
}

deny contains violations.violation(rego.metadata.chain(), "request.rejected", {"model": facts.model}) if {
	status == "fail"
}
