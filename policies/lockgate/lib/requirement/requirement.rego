# METADATA
# title: Requirement
# description: What the approval matrix asks of this request.
# schemas:
#   - input: schema.input
#   - data.lockgate.config.models: schema.models
#   - data.lockgate.config.matrix: schema.matrix
package lockgate.lib.requirement

import future.keywords.not

# METADATA
# description: The model's tier; empty, which no row has, when the model is unknown or listed with two tiers.
default tier := ""

tier := only if {
	tiers := {model.tier |
		some model in data.lockgate.config.models.models
		model.name == input.request.model
	}
	count(tiers) == 1
	some only in tiers
}

# METADATA
# description: The one row for this transition and tier; undefined when there is none or more than one.
row := rows[0] if count(rows) == 1

rows := [row |
	some row in data.lockgate.config.matrix.rows
	row.tier == tier
	row.to == input.request.to
	is_for_this(row)
]

is_for_this(row) if {
	not comes_back
	row.kind == input.request.kind
	row.from == input.request.from
}

# METADATA
# description: |
#   A rollback to what a rollback left, while its hold is in force, brings back what the hold is there to keep away: it
#   needs what the promotion of it needs.
is_for_this(row) if {
	comes_back
	row.kind == "promote"
}

comes_back if {
	input.request.kind == "rollback"
	input.history.rolled_back == true
}

# METADATA
# description: Authors, trainers and signers cannot approve. Not the negation of `duties_joined`; both may be unproven.
duties_separated if row.separation_of_duties == true

# METADATA
# description: The matrix says in so many words that duties need not be separated.
duties_joined if row.separation_of_duties == false
