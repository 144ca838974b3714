# METADATA
# title: The artifact's authors or trainers are named
# description: |
#   Duties cannot be separated from nobody: where they are, the request names at least one author or trainer.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-024
#   category: approval
#   severity: high
#   approvable: false
#   remediation: Make a new request that names who authored and trained the artifact.
#   controls:
#     - NIST SP 800-53 AC-5
package lockgate.rules.contributors_named

import data.lockgate.lib.facts
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

# Where nothing says that duties are joined, they are separated.
status := "not_applicable" if requirement.duties_joined

else := "pass" if {
	some contributor in input.request.contributors
	contributor.role in {"author", "trainer"}
	contributor.identity != ""
}

deny contains violations.violation(rego.metadata.chain(), "contributors.unnamed", {"model": facts.model}) if {
	status == "fail"
}
