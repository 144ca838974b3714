# METADATA
# title: The model is known and has a tier
# description: |
#   A model is promoted only under its exact, registered name; its tier selects the row of the approval matrix.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-011
#   category: transition
#   severity: high
#   approvable: false
#   remediation: Check the model's name, or have the model added to the policy's models with a tier.
#   controls:
#     - NIST SP 800-53 CM-3
package lockgate.rules.model_known

import data.lockgate.lib.facts
import data.lockgate.lib.requirement
import data.lockgate.lib.violations

default status := "fail"

status := "pass" if requirement.tier != ""

deny contains violations.violation(rego.metadata.chain(), "model.unknown", {"model": facts.model}) if status == "fail"
