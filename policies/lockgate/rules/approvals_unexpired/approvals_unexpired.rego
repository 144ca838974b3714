# METADATA
# title: An approval counts until it expires
# description: |
#   From the instant of its expiry on an approval no longer counts, nor before it was given. Checked on the
#   approvals that were counted, apart from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-027
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.approvals_unexpired

import data.lockgate.lib.approvals
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	is_number(input.now_ns)
	every index in approvals.counted {
		input.approvals[index].approved_at_ns <= input.now_ns
		input.now_ns < input.approvals[index].expires_at_ns
	}
}

deny contains violations.violation(rego.metadata.chain(), "approval.expired", details) if status == "fail"

details := {"counted": count(approvals.counted)}
