# METADATA
# title: The requester may still request
# description: |
#   Whoever asked holds the role requester when it is decided, not only when they asked: who lost it, or was disabled,
#   gets nothing by what others approve meanwhile.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-030
#   category: approval
#   severity: critical
#   approvable: false
#   remediation: Let somebody who holds the role requester ask for this promotion.
#   controls:
#     - NIST SP 800-53 AC-3
package lockgate.rules.requester_holds_role

import data.lockgate.lib.violations

default status := "fail"

status := "pass" if "requester" in input.request.requester.roles

deny contains violations.violation(rego.metadata.chain(), "requester.role_not_held", {}) if status == "fail"
