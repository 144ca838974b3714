# METADATA
# title: The feature views that the version reads exist, have an owner and are not deprecated
# description: |
#   Where the policy asks for it, the feature service that the version declares was found in its feature store, and so
#   was each view of it, with an owner and not deprecated. A version that declares none passes.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-052
#   category: lineage
#   severity: high
#   approvable: false
#   remediation: Have the named feature views mended in the feature store, then collect the lineage and request anew.
#   controls:
#     - NIST SP 800-53 SR-4
#     - NIST AI RMF MAP 4.1
package lockgate.rules.lineage_feature_views_approved

import data.lockgate.lib.facts
import data.lockgate.lib.lineage
import data.lockgate.lib.violations
import future.keywords.not

default status := "fail"

status := "not_applicable" if lineage.waived("feature_views_approved")

else := "pass" if {
	lineage.collected
	lineage.whole("feature_views")
	input.lineage.feature_service.status in {"none", "resolved"}
	is_array(input.lineage.feature_views)
	every view in input.lineage.feature_views {
		sound(view)
	}
}

deny contains violations.violation(rego.metadata.chain(), lineage.absence, {"model": facts.model}) if {
	status == "fail"
	not lineage.collected
}

deny contains violations.violation(rego.metadata.chain(), "lineage.feature_views_approved", {
	"feature_service": object.get(input, ["lineage", "feature_service", "name"], ""),
	"feature_service_status": object.get(input, ["lineage", "feature_service", "status"], ""),
	"views": lineage.first(unsound),
}) if {
	status == "fail"
	lineage.collected
}

unsound contains view.name if {
	some view in input.lineage.feature_views
	not sound(view)
}

sound(view) if {
	view.found == true
	is_string(view.owner)
	view.owner != ""
	view.deprecated == false
}
