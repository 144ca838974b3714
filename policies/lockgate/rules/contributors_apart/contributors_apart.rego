# METADATA
# title: Approvals by the artifact's authors and trainers do not count
# description: |
#   Who made the artifact does not judge it, where duties are separated. Checked on the approvals that were
#   counted, apart from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-022
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; either an approval was counted that must not count, or the input lacks what proves that none was.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.contributors_apart

import data.lockgate.lib.approvals
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

status := "not_applicable" if requirement.duties_joined

status := "pass" if {
	requirement.duties_separated
	contributors := {contributor.identity | some contributor in input.request.contributors}
	count(contributors) > 0
	every index in approvals.counted {
		count(contributors & {identity | some identity in input.approvals[index].approver.identities}) == 0
	}
}

deny contains violations.violation(rego.metadata.chain(), "contributor.counted", {"counted": count(approvals.counted)}) if status == "fail"
