# METADATA
# title: The request has not expired
# description: |
#   A request is void from its expiry on, to the nanosecond; a request without a readable expiry is expired.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-012
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Make a new request.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.request_unexpired

import data.lockgate.lib.facts
import data.lockgate.lib.times
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if times.unexpired(input.request.expires_at_ns, input.now_ns)

deny contains violations.violation(rego.metadata.chain(), "request.expired", {
	"expires_at_ns": facts.expires_ns,
	"now_ns": facts.now_ns,
}) if {
	status == "fail"
}
