# METADATA
# title: One person counts for one role, once
# description: |
#   Two approvals that count come from two people: different subjects with no identity in common. Checked on the
#   approvals that were counted, apart from the counting itself.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-025
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Report this to the security team; counting and checking of approvals disagree.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.person_counts_once

import data.lockgate.lib.approvals
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	every index in approvals.counted {
		every other in approvals.counted {
			different(index, other)
		}
	}
}

deny contains violations.violation(rego.metadata.chain(), "person.counted_twice", details) if status == "fail"

details := {"counted": count(approvals.counted)}

different(index, other) if index == other

different(index, other) if {
	one := input.approvals[index].approver
	two := input.approvals[other].approver
	one.subject != two.subject
	count({identity | some identity in one.identities} & {identity | some identity in two.identities}) == 0
}
