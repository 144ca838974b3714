# METADATA
# title: The requester's own approval does not count
# description: |
#   Nobody approves what they asked for, under whatever name. Checked on the approvals that were counted, apart
#   from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-021
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.requester_apart

import data.lockgate.lib.approvals
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	requester := {identity | some identity in input.request.requester.identities}
	count(requester) > 0
	every index in approvals.counted {
		count(requester & {identity | some identity in input.approvals[index].approver.identities}) == 0
		input.approvals[index].approver.subject != input.request.requester.subject
	}
}

deny contains violations.violation(rego.metadata.chain(), "requester.counted", details) if status == "fail"

details := {"counted": count(approvals.counted)}
