"""The Merkle tree of RFC 6962: hashes, proofs and their verification. Pure.

A tree is known by its leaf hashes. `Node` names a complete subtree; the log stores one hash for each, and every root
and proof is folded from them in O(log n). Verification follows RFC 9162's iterative algorithms and shares no code with
the making of proofs, so that each checks the other.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from lockgate.audit.errors import ProofInvalidError

HASH_BYTES: Final = 32
PATH_HASHES_MAX: Final = 64  # sizes are below 2^53; no proof has more hashes than the tree has levels, and one
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node: TypeAlias = tuple[int, int]
"""(level, index): the complete subtree over leaves index * 2**level up to (index + 1) * 2**level."""

Span: TypeAlias = tuple[int, int]
"""(begin, end): leaves from `begin` up to, not including, `end`."""


def leaf_hash(record: bytes) -> bytes:
    """Return SHA-256(0x00 || record). Source: RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right). Source: RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """A tree that only grows at its end, holding one hash for each complete subtree on its right edge."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """Begin with nothing, or with a tree that is known by its edge.

        Args:
            size: The number of leaves so far.
            edge: The hash of each complete subtree of `nodes_of((0, size))`, from left to right.
        """
        if len(edge) != size.bit_count():
            raise ProofInvalidError(f"want {size.bit_count()} hashes for the edge of {size} leaves, got {len(edge)}")
        _check_hashes(edge)
        self.size = size
        self._edge = list(edge)  # from the largest subtree to the smallest

    def append(self, digest: bytes, level: int = 0) -> None:
        """Add one leaf hash, or that of a complete subtree of `2**level` leaves, where `size` is a multiple of them."""
        self._edge.append(digest)
        merges = self.size >> level
        while merges & 1:  # each trailing one bit of the old size is a subtree that is now complete
            right = self._edge.pop()
            self._edge.append(node_hash(self._edge.pop(), right))
            merges >>= 1
        self.size += 1 << level

    def root(self, tail: bytes | None = None) -> bytes:
        """Return the root over all leaves so far, or over these and others whose folded subtrees are `tail`."""
        hashes = self._edge if tail is None else [*self._edge, tail]
        return _fold(hashes) if hashes else EMPTY_ROOT


def nodes_of(span: Span) -> list[Node]:
    """Split a span that occurs in RFC 6962's recursion into complete subtrees, left to right."""
    begin, end = span
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def span_hash(span: Span, hashes: Mapping[Node, bytes]) -> bytes:
    """Return the hash over a span, given those of `nodes_of(span)`.

    Raises:
        KeyError: One of the nodes is missing from `hashes`.
    """
    begin, end = span
    size = end - begin
    if size and not size & (size - 1):  # one complete subtree, as most spans of a proof are
        level = size.bit_length() - 1
        return hashes[level, begin >> level]
    nodes = nodes_of(span)
    return _fold([hashes[node] for node in nodes]) if nodes else EMPTY_ROOT


def nodes_completed_by(seq: int, leaf: bytes, hashes: Mapping[Node, bytes]) -> dict[Node, bytes]:
    """Return the complete subtrees that the leaf at `seq` ends, itself the first.

    Args:
        seq: The leaf's position, from 0.
        leaf: Its hash, 32 bytes.
        hashes: At least `nodes_of((0, seq))`.
    """
    level, index, digest = 0, seq, leaf
    completed = {(0, seq): leaf}
    while index & 1:
        digest = node_hash(hashes[level, index - 1], digest)
        level, index = level + 1, index >> 1
        completed[level, index] = digest
    return completed


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the spans whose hashes are the inclusion path of a leaf, from its sibling upwards.

    Args:
        index: The leaf's position, from 0; below `size`.
        size: The number of leaves in the tree.

    Source: RFC 9162, section 2.1.3.1.
    """
    spans: list[Span] = []
    level, last = 0, size - 1
    while last:
        sibling = index ^ 1
        if sibling <= last:  # there is none beside the last node of a level that has an odd number
            begin = sibling << level
            spans.append((begin, min(begin + (1 << level), size)))
        level, index, last = level + 1, index >> 1, last >> 1
    return spans


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the spans whose hashes prove that the tree of `new` leaves begins with the tree of `old` leaves.

    Args:
        old: The smaller size, from 1.
        new: The larger size.

    Source: RFC 9162, section 2.1.4.1.
    """
    spans: list[Span] = []
    begin, end, old_is_known = 0, new, True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin, old_is_known = middle, False
    if not old_is_known:
        spans.append((begin, end))
    return spans[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Recompute the tree's root from one leaf and its inclusion path.

    Args:
        leaf: SHA-256(0x00 || record), 32 bytes.
        index: The leaf's position, from 0; below `size`.
        size: The number of leaves in the tree.
        path: Sibling hashes from the leaf upwards, 32 bytes each.

    Returns:
        The 32-byte root. It proves nothing until compared with a signed checkpoint.

    Raises:
        ProofInvalidError: `path` has the wrong length for `index` and `size`.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise ProofInvalidError(f"want an index below the size {size}, got {index}")
    _check_hashes((leaf, *path))
    node, last, digest = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofInvalidError("want a shorter inclusion path")
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalidError("want a longer inclusion path")
    return digest


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Make sure that a tree only grew.

    Args:
        old: The smaller size; 0 is always refused, since an empty tree is consistent with everything.
        new: The larger size.
        old_root: The root of the first `old` leaves, 32 bytes.
        new_root: The root of all `new` leaves, 32 bytes.
        path: The consistency proof, 32 bytes each.

    Raises:
        ProofInvalidError: The proof does not hold.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 < old <= new:
        raise ProofInvalidError(f"want sizes with 0 < old <= new, got {old} and {new}")
    if old == new:
        if path or old_root != new_root:
            raise ProofInvalidError("want equal roots and an empty proof for equal sizes")
        return
    _check_hashes((old_root, new_root, *path))
    hashes = list(path)
    if not hashes:
        raise ProofInvalidError("want a longer consistency proof")
    if old & (old - 1) == 0:  # a complete tree: its root begins the path, and is left out of the proof
        hashes.insert(0, old_root)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_digest = new_digest = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofInvalidError("want a shorter consistency proof")
        if node & 1 or node == last:
            old_digest = node_hash(sibling, old_digest)
            new_digest = node_hash(sibling, new_digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_digest = node_hash(new_digest, sibling)
        node, last = node >> 1, last >> 1
    if last or old_digest != old_root or new_digest != new_root:
        raise ProofInvalidError("the consistency proof does not lead to both roots")


def _fold(hashes: Sequence[bytes]) -> bytes:
    digest = hashes[-1]
    for left in reversed(hashes[:-1]):
        digest = node_hash(left, digest)
    return digest


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)  # the largest power of two below `size`


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if not {HASH_BYTES}.issuperset(map(len, hashes)):
        raise ProofInvalidError(f"want hashes of {HASH_BYTES} bytes")
