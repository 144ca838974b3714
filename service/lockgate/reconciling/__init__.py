"""Finds what changed behind the gate's back: pointers, versions and bytes against what the gate let in.

It follows decisions, and is never in the path of one. Promises: a finding is made only of what a registry said, never
of its silence; it opens with a record, and a person closes it; what an event of a registry says is not believed: it
only makes the next look come now.
"""
