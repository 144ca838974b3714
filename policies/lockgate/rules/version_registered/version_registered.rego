# METADATA
# title: The version is the one that was registered
# description: |
#   Whoever moves a pointer names a version, and what a version is was said when it was registered: a request that names
#   another artifact would let in one and move the other. Passes where nothing was registered as that version.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-016
#   category: transition
#   severity: critical
#   approvable: false
#   remediation: Request the digest that was registered as this version, or register the artifact as another version.
#   controls:
#     - NIST SP 800-53 CM-14
#     - NIST SP 800-53 SI-7
package lockgate.rules.version_registered

import data.lockgate.lib.facts
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if input.history.registered_digest == ""

status := "pass" if input.history.registered_digest == input.request.digest

deny contains violations.violation(rego.metadata.chain(), "version.other_artifact", {
	"model": facts.model,
	"registered": object.get(input, ["history", "registered_digest"], ""),
}) if {
	status == "fail"
}
