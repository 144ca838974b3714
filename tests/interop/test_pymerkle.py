"""pymerkle computes the same tree: roots, inclusion paths and consistency, at every size up to 130."""

from collections.abc import Iterator

import pymerkle
import pytest
from pymerkle.proof import InclusionProof, InvalidProof

from lockgate.audit.formats.merkle import (
    Node,
    Span,
    check_consistency,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    nodes_completed_by,
    root_from_inclusion,
    span_hash,
)

SIZE_MAX = 130
RECORDS = [b"record %d" % seq for seq in range(SIZE_MAX)]
LEAVES = [leaf_hash(record) for record in RECORDS]


def _stored() -> dict[Node, bytes]:
    hashes: dict[Node, bytes] = {}
    for seq, leaf in enumerate(LEAVES):
        hashes.update(nodes_completed_by(seq, leaf, hashes))
    return hashes


def _other() -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for record in RECORDS:
        tree.append_entry(record)
    return tree


STORED = _stored()
OTHER = _other()


def _hashes(spans: list[Span]) -> list[bytes]:
    return [span_hash(span, STORED) for span in spans]


def _pairs() -> Iterator[tuple[int, int]]:
    return ((smaller, larger) for larger in range(1, SIZE_MAX + 1) for smaller in range(1, larger + 1))


def test_inclusion_paths_are_the_same() -> None:
    """For every record and size both make the same path, and each accepts the other's."""
    for position, size in _pairs():  # pymerkle counts leaves from one
        index, path = position - 1, _hashes(inclusion_spans(position - 1, size))
        theirs = OTHER.prove_inclusion(position, size)
        root = OTHER.get_root(size)

        assert theirs.path == [LEAVES[index], *path]
        assert root_from_inclusion(LEAVES[index], index, size, theirs.path[1:]) == root
        ours = InclusionProof(
            "sha256", security=True, size=size, index=position, rule=theirs.rule, path=theirs.path[:1] + path
        )
        pymerkle.verify_inclusion(LEAVES[index], span_hash((0, size), STORED), ours, index=position, size=size)


def test_consistency_is_the_same() -> None:
    """For every pair of sizes pymerkle's proof leads to our roots, and ours to pymerkle's.

    Its proofs have another layout than RFC 9162's, so that the two cannot be compared byte for byte.
    """
    for old, new in _pairs():
        theirs = OTHER.prove_consistency(old, new)
        pymerkle.verify_consistency(span_hash((0, old), STORED), span_hash((0, new), STORED), theirs, old, new)

        check_consistency(old, new, OTHER.get_root(old), OTHER.get_root(new), _hashes(consistency_spans(old, new)))


def test_both_refuse_a_changed_path() -> None:
    """One bit changed in a path that both made, and neither believes it."""
    theirs = OTHER.prove_inclusion(100, SIZE_MAX)
    root = OTHER.get_root(SIZE_MAX)
    for place in range(1, len(theirs.path)):
        theirs.path[place] = bytes([theirs.path[place][0] ^ 1]) + theirs.path[place][1:]
        with pytest.raises(InvalidProof):
            pymerkle.verify_inclusion(LEAVES[99], root, theirs)

        assert root_from_inclusion(LEAVES[99], 99, SIZE_MAX, theirs.path[1:]) != root
        theirs.path[place] = bytes([theirs.path[place][0] ^ 1]) + theirs.path[place][1:]
