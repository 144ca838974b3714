# METADATA
# title: An approval counts only in a role that its approver holds
# description: |
#   The approver is a person and held the role when approving. Checked on the approvals that were counted, apart
#   from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-028
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.approver_holds_role

import data.lockgate.lib.approvals
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	every index in approvals.counted {
		approval := input.approvals[index]
		approval.verdict == "approve"
		approval.approver.type == "user"
		is_string(approval.role)
		some role in approval.approver.roles
		role == concat(":", ["approver", approval.role])
	}
}

deny contains violations.violation(rego.metadata.chain(), "approval.role_not_held", details) if status == "fail"

details := {"counted": count(approvals.counted)}
