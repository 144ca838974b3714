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
#   remediation: Report this to the security team; either an approval was counted that must not count, or the input lacks what proves that none was.
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

deny contains violations.violation(rego.metadata.chain(), "person.counted_twice", {"counted": count(approvals.counted)}) if status == "fail"

different(index, other) if index == other

different(index, other) if {
	one := input.approvals[index].approver
	two := input.approvals[other].approver
	one.subject != two.subject
	count({identity | some identity in one.identities} & {identity | some identity in two.identities}) == 0
}
