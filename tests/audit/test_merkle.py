"""The tree against the recursive definition, another implementation, and vectors made by others."""

# ruff: noqa: TID251 - the vectors are other people's JSON
import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pymerkle
import pytest

from lockgate.audit.errors import ProofInvalidError
from lockgate.audit.formats.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    Node,
    check_consistency,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    node_hash,
    nodes_completed_by,
    root_from_inclusion,
    span_hash,
)
from support.data_of_others import DATA, cases_or_skip

SIZE_MAX = 130
VECTORS = DATA / "merkle"
RECORDS = [b"record %d" % seq for seq in range(SIZE_MAX)]
LEAVES = [leaf_hash(record) for record in RECORDS]


def _definition(begin: int, end: int, known: dict[tuple[int, int], bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if (begin, end) not in known:
        if end - begin == 1:
            known[begin, end] = hashlib.sha256(b"\x00" + RECORDS[begin]).digest()
        else:
            k = 1
            while k * 2 < end - begin:
                k *= 2
            left, right = _definition(begin, begin + k, known), _definition(begin + k, end, known)
            known[begin, end] = hashlib.sha256(b"\x01" + left + right).digest()
    return known[begin, end]


def _stored(size: int) -> dict[Node, bytes]:
    hashes: dict[Node, bytes] = {}
    for seq in range(size):
        hashes.update(nodes_completed_by(seq, LEAVES[seq], hashes))
    return hashes


KNOWN: dict[tuple[int, int], bytes] = {}
STORED = _stored(SIZE_MAX)


def test_roots_are_the_recursive_definition() -> None:
    """The streamed root and the root from stored nodes are RFC 6962's, at every size."""
    tree = GrowingTree()
    assert tree.root() == span_hash((0, 0), {}) == EMPTY_ROOT
    for size in range(1, SIZE_MAX + 1):
        tree.append(LEAVES[size - 1])

        assert tree.root() == span_hash((0, size), STORED) == _definition(0, size, KNOWN)


def test_every_inclusion_proof_holds() -> None:
    """The path of every leaf in every tree up to 130 leads to the defined root."""
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            path = [span_hash(span, STORED) for span in inclusion_spans(index, size)]

            assert root_from_inclusion(LEAVES[index], index, size, path) == _definition(0, size, KNOWN)


def test_every_consistency_proof_holds() -> None:
    """The proof between every two sizes up to 130 leads to both defined roots."""
    for new in range(1, SIZE_MAX + 1):
        for old in range(1, new + 1):
            path = [span_hash(span, STORED) for span in consistency_spans(old, new)]
            check_consistency(old, new, _definition(0, old, KNOWN), _definition(0, new, KNOWN), path)


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13])
def test_a_changed_proof_fails(size: int) -> None:
    """One bit changed anywhere in a proof, or a hash more or less, and it no longer leads to the root."""
    root = _definition(0, size, KNOWN)
    for index in range(size):
        path = [span_hash(span, STORED) for span in inclusion_spans(index, size)]
        for place, bit in ((place, bit) for place in range(len(path)) for bit in range(256)):
            changed = path.copy()
            changed[place] = (int.from_bytes(changed[place], "big") ^ 1 << bit).to_bytes(32, "big")

            assert root_from_inclusion(LEAVES[index], index, size, changed) != root
        for wrong in (path[1:], [*path, root]):
            with pytest.raises(ProofInvalidError):
                root_from_inclusion(LEAVES[index], index, size, wrong)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 7), (6, 8), (5, 13)])
def test_a_changed_consistency_proof_fails(old: int, new: int) -> None:
    """One bit changed anywhere in a consistency proof, and it is refused."""
    path = [span_hash(span, STORED) for span in consistency_spans(old, new)]
    roots = _definition(0, old, KNOWN), _definition(0, new, KNOWN)
    for place, bit in ((place, bit) for place in range(len(path)) for bit in range(256)):
        changed = path.copy()
        changed[place] = (int.from_bytes(changed[place], "big") ^ 1 << bit).to_bytes(32, "big")
        with pytest.raises(ProofInvalidError):
            check_consistency(old, new, *roots, changed)
    for wrong in (path[:-1], [*path, roots[1]]):
        with pytest.raises(ProofInvalidError):
            check_consistency(old, new, *roots, wrong)


def test_pymerkle_agrees() -> None:
    """Another implementation computes the same roots."""
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for size, record in enumerate(RECORDS, 1):
        other.append_entry(record)

        assert other.get_root() == span_hash((0, size), STORED)


def test_node_hash_is_prefixed() -> None:
    """A node cannot be passed off as a leaf: their hashes begin with different bytes."""
    assert node_hash(LEAVES[0], LEAVES[1]) != leaf_hash(LEAVES[0] + LEAVES[1])


def _vectors(kind: str) -> Iterator[Any]:
    for path in sorted((VECTORS / kind).rglob("*.json")):
        yield pytest.param(json.loads(path.read_bytes()), id="-".join(path.relative_to(VECTORS).with_suffix("").parts))


def _b64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.parametrize("vector", cases_or_skip("merkle", _vectors("inclusion")))
def test_inclusion_vector(vector: dict[str, Any]) -> None:
    """The verdict is the one that the vector wants."""
    try:
        root = root_from_inclusion(
            _b64(vector["leafHash"]),
            vector["leafIdx"],
            vector["treeSize"],
            [_b64(item) for item in vector["proof"] or []],
        )
        failed = root != _b64(vector["root"])
    except ProofInvalidError:
        failed = True

    assert failed == vector["wantErr"]


@pytest.mark.parametrize("vector", cases_or_skip("merkle", _vectors("consistency")))
def test_consistency_vector(vector: dict[str, Any]) -> None:
    """The verdict is the one that the vector wants."""
    try:
        path = [_b64(item) for item in vector["proof"] or []]
        check_consistency(vector["size1"], vector["size2"], _b64(vector["root1"]), _b64(vector["root2"]), path)
        failed = False
    except ProofInvalidError:
        failed = True

    assert failed == (vector["wantErr"] or vector["size1"] == 0)


@pytest.mark.parametrize("wrong", [0, 1])
def test_consistency_needs_both_roots(wrong: int) -> None:
    """A right proof with a wrong old or new root is refused."""
    roots = [_definition(0, 6, KNOWN), _definition(0, 8, KNOWN)]
    roots[wrong] = bytes(32)
    path = [span_hash(span, STORED) for span in consistency_spans(6, 8)]
    with pytest.raises(ProofInvalidError, match="both roots"):
        check_consistency(6, 8, roots[0], roots[1], path)
