# METADATA
# title: Lineage
# description: |
#   What the policy's data ask of a version's lineage, and whether the snapshot that came with the request can answer.
#   Each is stated as the good case; what is not proven is asked, or missing.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.lineage: schema.lineage
package lockgate.lib.lineage

import data.lockgate.lib.requirement
import data.lockgate.lib.scopes
import future.keywords.not

# METADATA
# description: No requirement asks this check of this request.
waived(check) if {
	is_array(data.lockgate.config.lineage.requirements)
	every wanted in data.lockgate.config.lineage.requirements {
		spared(wanted, check)
	}
}

# METADATA
# description: A snapshot came with the request, and it is of these bytes, as far as its registry knows them.
collected if {
	input.lineage.present == true
	of_this_artifact
}

# METADATA
# description: Why there is no such snapshot.
default absence := "lineage.missing"

absence := "lineage.other_artifact" if {
	input.lineage.present == true
	is_string(input.lineage.artifact)
	not of_this_artifact
}

# METADATA
# description: The snapshot holds all there was to hold in one of its lists.
whole(list) if {
	is_array(input.lineage.truncated)
	every name in input.lineage.truncated {
		name != list
	}
}

# METADATA
# description: The first four names, in order; a detail of a violation holds no more.
first(names) := concat(", ", [name | some number, name in sort({name | some name in names; is_string(name)}); number < 4])

of_this_artifact if input.lineage.artifact == ""

of_this_artifact if input.lineage.artifact == input.request.digest

spared(wanted, check) if scopes.elsewhere(check, wanted.checks)

spared(wanted, _) if scopes.elsewhere(input.request.kind, wanted.kinds)

spared(wanted, _) if scopes.elsewhere(input.request.to, wanted.environments)

spared(wanted, _) if {
	requirement.tier != ""
	scopes.elsewhere(requirement.tier, wanted.tiers)
}
