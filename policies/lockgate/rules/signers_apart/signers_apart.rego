# METADATA
# title: Approvals by the artifact's signers do not count
# description: |
#   Who signed the artifact does not judge it, where duties are separated; every verified signature counts for
#   this, also one by a stranger. Checked on the approvals that were counted, apart from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-023
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.signers_apart

import data.lockgate.lib.approvals
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

# Where nothing says that duties are joined, they are separated.
status := "not_applicable" if requirement.duties_joined

else := "pass" if {
	is_array(input.evidence.signatures)
	every signature in input.evidence.signatures {
		is_string(signature.signer)
	}
	signers := {signature.signer | some signature in input.evidence.signatures}
	every index in approvals.counted {
		count(signers & {identity | some identity in input.approvals[index].approver.identities}) == 0
	}
}

deny contains violations.violation(rego.metadata.chain(), "signer.counted", details) if status == "fail"

details := {"counted": count(approvals.counted)}
