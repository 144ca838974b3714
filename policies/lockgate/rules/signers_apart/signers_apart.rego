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
#   remediation: Report this to the security team; either an approval was counted that must not count, or the input lacks what proves that none was.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.signers_apart

import data.lockgate.lib.approvals
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

status := "not_applicable" if requirement.duties_joined

status := "pass" if {
	requirement.duties_separated
	signers := {signature.signer | some signature in input.evidence.signatures}
	count(signers) > 0
	every index in approvals.counted {
		count(signers & {identity | some identity in input.approvals[index].approver.identities}) == 0
	}
}

deny contains violations.violation(rego.metadata.chain(), "signer.counted", {"counted": count(approvals.counted)}) if status == "fail"
