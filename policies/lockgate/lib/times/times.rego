# METADATA
# title: Times
# description: The one expiry predicate, in nanoseconds since the epoch. A missing or malformed time is an expired time.
package lockgate.lib.times

import future.keywords.not

# METADATA
# description: Ask this where a missing time must close the gate; an argument that is undefined leaves it unproven.
unexpired(expires_ns, now_ns) if {
	is_number(expires_ns)
	is_number(now_ns)
	now_ns < expires_ns
}

# METADATA
# description: Something that ends at `expires_ns` has ended at `now_ns`; it has, at the very instant.
expired(expires_ns, now_ns) if not unexpired(expires_ns, now_ns)
