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
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.contributors_apart

import data.lockgate.lib.approvals
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

# Where nothing says that duties are joined, they are separated.
status := "not_applicable" if requirement.duties_joined

else := "pass" if {
	is_array(input.request.contributors)
	every contributor in input.request.contributors {
		is_string(contributor.identity)
	}
	contributors := {contributor.identity | some contributor in input.request.contributors}
	every index in approvals.counted {
		count(contributors & {identity | some identity in input.approvals[index].approver.identities}) == 0
	}
}

deny contains violations.violation(rego.metadata.chain(), "contributor.counted", details) if status == "fail"

details := {"counted": count(approvals.counted)}
