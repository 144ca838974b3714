# METADATA
# title: The code that the version was made by is named by commit
# description: |
#   Where the policy asks for it, the version's lineage names the commit of the code of the run that made it.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-051
#   category: lineage
#   severity: high
#   approvable: false
#   remediation: Run the training from a commit of a repository, so that its run says which, then collect the lineage and request anew.
#   controls:
#     - NIST SP 800-53 SR-4
#     - SLSA v1.0 Build L1
package lockgate.rules.lineage_code_commit

import data.lockgate.lib.facts
import data.lockgate.lib.lineage
import data.lockgate.lib.violations
import future.keywords.not

default status := "fail"

status := "not_applicable" if lineage.waived("code_commit")

else := "pass" if {
	lineage.collected
	is_string(input.lineage.code_commit)
	input.lineage.code_commit != ""
}

deny contains violations.violation(rego.metadata.chain(), lineage.absence, {"model": facts.model}) if {
	status == "fail"
	not lineage.collected
}

deny contains violations.violation(rego.metadata.chain(), "lineage.code_commit", {
	"model": facts.model,
	"run": object.get(input, ["lineage", "run"], ""),
}) if {
	status == "fail"
	lineage.collected
}
