# METADATA
# title: No freeze is in force
# description: |
#   Nothing moves into a frozen environment from the freeze's first instant until the first instant after it.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.freezes: schema.freezes
# custom:
#   rule_id: LG-040
#   category: freeze
#   severity: high
#   approvable: false
#   remediation: Wait until the freeze ends.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.freeze

import data.lockgate.lib.scopes
import data.lockgate.lib.times
import data.lockgate.lib.violations
import future.keywords.not

default status := "fail"

status := "pass" if {
	is_array(data.lockgate.config.freezes.freezes)
	every freeze in data.lockgate.config.freezes.freezes {
		clear_of(freeze)
	}
}

deny contains violations.violation(rego.metadata.chain(), "freeze.in_force", {
	"freeze": freeze.id,
	"reason": freeze.reason,
	"until_ns": freeze.until_ns,
}) if {
	status == "fail"
	some freeze in data.lockgate.config.freezes.freezes
	not clear_of(freeze)
}

deny contains violations.violation(rego.metadata.chain(), "freeze.unknown", {}) if {
	status == "fail"
	not is_array(data.lockgate.config.freezes.freezes)
}

# METADATA
# description: The freeze is proven not to concern this request now.
clear_of(freeze) if input.now_ns < freeze.from_ns

clear_of(freeze) if times.expired(freeze.until_ns, input.now_ns)

clear_of(freeze) if scopes.elsewhere(input.request.to, freeze.environments)

clear_of(freeze) if scopes.elsewhere(input.request.kind, freeze.kinds)

clear_of(freeze) if {
	freeze.models != ["*"]
	scopes.elsewhere(input.request.model, freeze.models)
}
