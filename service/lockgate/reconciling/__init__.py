"""Finds what changed behind the gate's back: pointers, versions and bytes against what the gate let in.

It follows decisions, and is never in the path of one. Promises: a finding is made only of what a registry said, never
of its silence; it opens with a record, and a person closes it; what an event of a registry says is not believed: it
only makes the next look come now.

May be imported: `findings` (listed and closed), `hooks` (what registries tell), `documents` (findings as records have
them), `types`, `errors`; by what wires the background also `reconciler`, `hashing` and `responding`. Not for others:
`wanted` and `let_in` (what the gate let in), `comparing`, `store`.
"""
