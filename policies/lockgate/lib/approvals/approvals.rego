# METADATA
# title: Approvals
# description: |
#   Which approvals count, and why the others do not. Each condition is stated as the good case; what is not proven is
#   a fault. Rules ask `counted` and `have`; nothing else counts approvals.
# schemas:
#   - input: schema.input
package lockgate.lib.approvals

import data.lockgate.lib.quotas
import data.lockgate.lib.requirement
import data.lockgate.lib.times
import future.keywords.not

given := [approval | some approval in input.approvals]

# METADATA
# description: Every reason why the approval at a position in the input does not count.
faults contains {"index": index, "reason": "rejection"} if {
	some index, approval in given
	not approving(approval)
}

faults contains {"index": index, "reason": "role_not_held"} if {
	some index, approval in given
	not role_held(approval)
}

faults contains {"index": index, "reason": "role_not_required"} if {
	some index, approval in given
	not role_required(approval)
}

faults contains {"index": index, "reason": "not_a_person"} if {
	some index, approval in given
	not by_person(approval)
}

faults contains {"index": index, "reason": "requester"} if {
	some index, approval in given
	not by_other_than_requester(approval)
}

faults contains {"index": index, "reason": "contributor"} if {
	some index, approval in given
	not requirement.duties_joined
	not by_other_than_contributors(approval)
}

faults contains {"index": index, "reason": "signer"} if {
	some index, approval in given
	not requirement.duties_joined
	not by_other_than_signers(approval)
}

faults contains {"index": index, "reason": "digest_changed"} if {
	some index, approval in given
	not same_digest(approval)
}

faults contains {"index": index, "reason": "transition_changed"} if {
	some index, approval in given
	not same_transition(approval)
}

faults contains {"index": index, "reason": "evidence_changed"} if {
	some index, approval in given
	not same_evidence(approval)
}

faults contains {"index": index, "reason": "policy_revision_changed"} if {
	some index, approval in given
	not same_policy_revision(approval)
}

faults contains {"index": index, "reason": "expired"} if {
	some index, approval in given
	not fresh(approval)
}

faults contains {"index": index, "reason": "from_the_future"} if {
	some index, approval in given
	not begun(approval)
}

# A person counts once, for the role of their first sound approval. Later ones stay uncounted even where the first
# turns out not to be needed: simple to explain, and it can only close the gate.
faults contains {"index": index, "reason": "person_counted_already"} if {
	some index, approval in given
	some other in sound
	same_person(approval, given[other])
	earlier(other, index)
}

# METADATA
# description: Positions of approvals with no fault of their own, whatever others the same person gave.
sound contains index if {
	some index, approval in given
	approving(approval)
	role_held(approval)
	role_required(approval)
	by_person(approval)
	by_other_than_requester(approval)
	duties_kept(approval)
	same_digest(approval)
	same_transition(approval)
	same_evidence(approval)
	same_policy_revision(approval)
	fresh(approval)
	begun(approval)
}

# METADATA
# description: Positions of the approvals that count.
counted contains index if {
	some index in sound
	not faulty(index)
}

# METADATA
# description: How many people count for a role.
have(role) := count({index | some index in counted; given[index].role == role})

# METADATA
# description: What became of each approval.
outcomes contains {
	"approval_id": approval.id,
	"counted": index in counted,
	"reasons": [fault.reason | some fault in faults; fault.index == index],
} if {
	some index, approval in given
}

faulty(index) if {
	some fault in faults
	fault.index == index
}

approving(approval) if approval.verdict == "approve"

role_held(approval) if {
	is_string(approval.role)
	concat("", ["approver:", approval.role]) in approval.approver.roles
}

role_required(approval) if {
	some quota in quotas.wanted
	quota.role == approval.role
}

by_person(approval) if approval.approver.type == "user"

by_other_than_requester(approval) if {
	approval.approver.subject != input.request.requester.subject
	apart(approval.approver, {identity | some identity in input.request.requester.identities})
}

by_other_than_contributors(approval) if {
	is_array(input.request.contributors)
	apart(approval.approver, {contributor.identity | some contributor in input.request.contributors})
}

by_other_than_signers(approval) if {
	is_array(input.evidence.signatures)
	apart(approval.approver, {signature.signer | some signature in input.evidence.signatures})
}

duties_kept(_) if requirement.duties_joined

duties_kept(approval) if {
	requirement.duties_separated
	by_other_than_contributors(approval)
	by_other_than_signers(approval)
}

same_digest(approval) if approval.digest == input.request.digest

same_transition(approval) if {
	approval.kind == input.request.kind
	approval.from == input.request.from
	approval.to == input.request.to
}

same_evidence(approval) if approval.evidence_digest == input.evidence.digest

same_policy_revision(approval) if approval.policy_revision == input.policy_revision

fresh(approval) if times.unexpired(approval.expires_at_ns, input.now_ns)

begun(approval) if approval.approved_at_ns <= input.now_ns

# The principal has identities, and none of them is among `identities`.
apart(principal, identities) if {
	own := {identity | some identity in principal.identities}
	count(own) > 0
	count(own & identities) == 0
}

same_person(approval, other) if approval.approver.subject == other.approver.subject

same_person(approval, other) if {
	some identity in approval.approver.identities
	identity in other.approver.identities
}

earlier(index, than) if given[index].approved_at_ns < given[than].approved_at_ns

earlier(index, than) if {
	given[index].approved_at_ns == given[than].approved_at_ns
	index < than
}
