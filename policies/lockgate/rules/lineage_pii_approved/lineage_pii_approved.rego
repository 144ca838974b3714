# METADATA
# title: The use of personal data is approved by the role privacy
# description: |
#   Where the policy asks for approved feature views, a version that reads a view with personal data is approved by
#   somebody in the role privacy, beside whoever the matrix names. Looks at the views itself, apart from the counting of
#   quotas.
# schemas:
#   - input: schema.input
# custom:
#   rule_id: LG-053
#   category: lineage
#   severity: high
#   approvable: true
#   remediation: Ask somebody in the role privacy to approve this request.
#   controls:
#     - NIST SP 800-53 PT-2
#     - NIST AI RMF MAP 4.1
package lockgate.rules.lineage_pii_approved

import data.lockgate.lib.approvals
import data.lockgate.lib.facts
import data.lockgate.lib.lineage
import data.lockgate.lib.quotas
import data.lockgate.lib.violations
import future.keywords.not

default status := "fail"

status := "not_applicable" if lineage.waived("feature_views_approved")

else := "pass" if {
	lineage.collected
	settled
}

deny contains violations.violation(rego.metadata.chain(), lineage.absence, {"model": facts.model}) if {
	status == "fail"
	not lineage.collected
}

deny contains violations.violation(rego.metadata.chain(), "lineage.pii_approved", {
	"role": quotas.privacy,
	"views": lineage.first(personal),
}) if {
	status == "fail"
	lineage.collected
}

settled if approvals.have(quotas.privacy) > 0

settled if {
	lineage.whole("feature_views")
	is_array(input.lineage.feature_views)
	every view in input.lineage.feature_views {
		impersonal(view)
	}
}

personal contains view.name if {
	some view in input.lineage.feature_views
	not impersonal(view)
}

impersonal(view) if view.pii == false
