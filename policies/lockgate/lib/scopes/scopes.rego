# METADATA
# title: Scopes
# description: Whether a name is outside of a list that the policy's data give. Proven, or it counts as inside.
package lockgate.lib.scopes

# METADATA
# description: There is a name, there is a list, and the name is not in it.
elsewhere(name, names) if {
	is_string(name)
	count(names) > 0
	every listed in names {
		listed != name
	}
}
