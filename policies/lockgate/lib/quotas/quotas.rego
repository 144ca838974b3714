# METADATA
# title: Quotas
# description: |
#   How many people of which role must approve: what the matrix row says, and one of the role `privacy` where the version
#   reads personal data and the policy wants its feature views approved. Undefined where the matrix has no row.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.matrix: schema.matrix
package lockgate.lib.quotas

import data.lockgate.lib.lineage
import data.lockgate.lib.requirement
import future.keywords.not

# METADATA
# description: The role that approves the use of personal data.
privacy := "privacy"

wanted contains {"role": quota.role, "count": quota.count} if some quota in requirement.row.approvals

wanted contains {"role": privacy, "count": 1} if {
	requirement.row
	reads_personal_data
	not in_row
}

# METADATA
# description: Whether anybody knows what is wanted; an empty set may also mean that nobody does.
known if is_array(requirement.row.approvals)

reads_personal_data if {
	not lineage.waived("feature_views_approved")
	some view in input.lineage.feature_views
	view.pii == true
}

in_row if {
	some quota in requirement.row.approvals
	quota.role == privacy
}
