# METADATA
# title: An approval counts for exactly what it approved
# description: |
#   Artifact digest, transition, evidence and policy revision are the ones that were approved; if any of them
#   moved, the approval is stale. Checked on the approvals that were counted, apart from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-026
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 CM-3
#     - NIST SP 800-53 SI-7
package lockgate.rules.approvals_bound

import data.lockgate.lib.approvals
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	every index in approvals.counted {
		approval := input.approvals[index]
		[approval.digest, approval.kind, approval.from, approval.to] == [
			input.request.digest,
			input.request.kind,
			input.request.from,
			input.request.to,
		]
		[approval.evidence_digest, approval.policy_revision] == [input.evidence.digest, input.policy_revision]
	}
}

deny contains violations.violation(rego.metadata.chain(), "approval.unbound", details) if status == "fail"

details := {"counted": count(approvals.counted)}
