# METADATA
# title: Enough people approved in each role that the matrix names
# description: |
#   For every role of the matrix row at least the wanted number of different people gave an approval that counts; and
#   one of the role privacy, where personal data is read and the policy wants that approved.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-020
#   category: approval
#   severity: medium
#   approvable: true
#   remediation: Ask the missing roles to approve this request.
#   controls:
#     - NIST SP 800-53 AC-5
#     - NIST SP 800-53 CM-3
#     - SOC 2 CC8.1
package lockgate.rules.approvals

import data.lockgate.lib.approvals
import data.lockgate.lib.quotas
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	quotas.known
	every quota in quotas.wanted {
		approvals.have(quota.role) >= quota.count
	}
}

deny contains violations.violation(rego.metadata.chain(), "approvals.missing", owed) if {
	status == "fail"
	some owed in missing
}

deny contains violations.violation(rego.metadata.chain(), "approvals.requirement_unknown", {}) if {
	status == "fail"
	count(missing) == 0
}

# METADATA
# description: What each role still owes.
missing contains {"role": quota.role, "need": quota.count, "have": have} if {
	some quota in quotas.wanted
	have := approvals.have(quota.role)
	have < quota.count
}
