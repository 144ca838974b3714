# METADATA
# title: The datasets that the version was made of are named by digest
# description: |
#   Where the policy asks for it, the version's lineage names at least one dataset, and a digest for each of them: data
#   without a digest may be any data.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-050
#   category: lineage
#   severity: high
#   approvable: false
#   remediation: Log every dataset with its digest in the run that makes the version, then collect the lineage and request anew.
#   controls:
#     - NIST SP 800-53 SR-4
#     - NIST AI RMF MAP 4.1
package lockgate.rules.lineage_dataset_digests

import data.lockgate.lib.facts
import data.lockgate.lib.lineage
import data.lockgate.lib.violations
import future.keywords.not

default status := "fail"

status := "not_applicable" if lineage.waived("dataset_digests")

else := "pass" if {
	lineage.collected
	lineage.whole("datasets")
	count(input.lineage.datasets) > 0
	every dataset in input.lineage.datasets {
		named_by_digest(dataset)
	}
}

deny contains violations.violation(rego.metadata.chain(), lineage.absence, {"model": facts.model}) if {
	status == "fail"
	not lineage.collected
}

deny contains violations.violation(rego.metadata.chain(), "lineage.dataset_digests", {
	"datasets": count(object.get(input, ["lineage", "datasets"], [])),
	"without_digest": lineage.first(without_digest),
}) if {
	status == "fail"
	lineage.collected
}

without_digest contains dataset.name if {
	some dataset in input.lineage.datasets
	not named_by_digest(dataset)
}

named_by_digest(dataset) if {
	is_string(dataset.digest)
	dataset.digest != ""
}
