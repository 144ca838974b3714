# METADATA
# title: The environment graph has this transition
# description: |
#   Nothing moves along an edge that the graph does not have: no environment is skipped.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.environments: schema.environments
# custom:
#   rule_id: LG-010
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Ask for a transition that the environment graph has; promote through each environment in turn.
#   controls:
#     - NIST SP 800-53 CM-3
#     - SOC 2 CC8.1
package lockgate.rules.transition_known

import data.lockgate.lib.facts
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if {
	some transition in data.lockgate.config.environments.transitions
	transition.kind == input.request.kind
	transition.from == input.request.from
	transition.to == input.request.to
}

deny contains violations.violation(rego.metadata.chain(), "transition.unknown", facts.transition) if status == "fail"
