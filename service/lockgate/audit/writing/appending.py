"""The two ends of an append: is the stored log whole where it ends, and what does it become with these events?

Source: C2SP tlog-checkpoint, "A log MUST not sign any checkpoint which is inconsistent with any checkpoint it
previously signed".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from lockgate.audit import store
from lockgate.audit.errors import (
    AuditError,
    LogBehindError,
    LogForeignError,
    LogInconsistentError,
    LogNotSealedError,
    LogSealedError,
    NoteUnverifiedError,
    ProofInvalidError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, open_known_checkpoint, read_checkpoint
from lockgate.audit.formats.kind_names import SEAL
from lockgate.audit.formats.merkle import (
    GrowingTree,
    Node,
    Span,
    check_consistency,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    nodes_completed_by,
    nodes_of,
    root_from_inclusion,
    span_hash,
)
from lockgate.audit.formats.notes import VerifierKey, split_note
from lockgate.audit.formats.records import GENESIS_PREV, columns_of, parse_record
from lockgate.audit.retention_store import is_pruned
from lockgate.audit.writing.append_store import AppendStore
from lockgate.clock import EpochNs, parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Where a log ends: all that an append needs to know of what came before."""

    size: int
    leaf: bytes  # of record size-1
    ts: EpochNs  # of record size-1
    root: bytes
    edge: dict[Node, bytes]  # the complete subtrees of the right edge, nodes_of((0, size))
    sealed: bool = False  # record size-1 says that the log goes on in another database


FOLLOWED_MAX: Final = 512  # records of others: a largest batch; of more, the edge of the tree is read sooner

BEGINNING: Final = Ending(size=0, leaf=GENESIS_PREV, ts=EpochNs(0), root=b"", edge={})
"""The ending of a log without records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What new records make of the tree."""

    size: int
    root: bytes
    nodes: dict[Node, bytes]  # the new complete subtrees
    hashes: dict[Node, bytes]  # these and the old edge: enough for each new record's inclusion path
    spans: dict[Span, bytes] = field(default_factory=dict)  # hashes that the paths share, once computed

    def path(self, seq: int) -> tuple[bytes, ...]:
        """Return a new record's inclusion path to `root`; several threads may ask at once."""
        path, known = [], self.spans
        for span in inclusion_spans(seq, self.size):
            digest = known.get(span)
            if digest is None:
                digest = known[span] = span_hash(span, self.hashes)
            path.append(digest)
        return tuple(path)

    def edge(self) -> dict[Node, bytes]:
        """Return the complete subtrees of the new right edge."""
        return {node: self.hashes[node] for node in nodes_of((0, self.size))}


def check_ending(  # noqa: PLR0913 - each is one thing that a log is held against
    connection: Connection,
    head: store.Head | None,
    keys: Sequence[VerifierKey],
    signed: Sequence[Checkpoint] = (),
    *,
    known: Ending | None = None,
    sealed: bool = False,
) -> Ending:
    """Make sure that the stored log ends where its own last checkpoint says, and begins with what was signed before.

    The steps:
      (1) The log exists, and is not shorter than what was signed.
      (2) Its newest checkpoint is signed by one of our keys, and by no other before it: the key that signs stands
          first, so that whoever has only the former key stops when the key is changed.
      (3) It covers exactly the records there are.
      (4) The last record's stored bytes hash to the stored head, and name its position.
      (5) The log that is `known`, and the stored records that others added to it since, lead to the signed root. Where
          nothing is known, or too many were added: the stored nodes of the right edge do, and so does the head's leaf.
      (6) The stored log begins with what was signed before.
      (7) It was not sealed; or, for whoever lets a sealed log go on, it was.

    Where the log was pruned past `signed`, the hashes that would prove step 6 are gone, and the checkpoint that the
    database kept of that size must do: a fork by accident has another one, or none. It is the pruned log's one weak
    spot, and only for a process that last wrote before the pruning: whoever can edit the database can copy a row.

    Args:
        connection: In a transaction.
        head: The log's stored head.
        keys: Our keys for this log, the one that signs first; all have the log's name.
        signed: Checkpoints of this log that were seen outside this database.
        known: Where the log ended when this process last wrote: so much was signed too.
        sealed: Whether the log must be sealed, rather than not.

    Raises:
        LogBehindError: The stored log is shorter than `signed`, or than `known`.
        LogForeignError: There is no such log, or in step 2 another key signed.
        LogSealedError, LogNotSealedError: Step 7 fails.
        LogInconsistentError: Any other step fails: an edit, a flipped bit, a half-restored database.
    """
    log = keys[0].name
    # (1) The log exists, and is not shorter than what was signed. Before any signature is looked at: a backup from
    # before a change of keys is behind, not foreign.
    if head is None:
        raise LogForeignError(f"the database holds no log {log!r}; create it first")
    signed_size = max([checkpoint.size for checkpoint in signed] + ([] if known is None else [known.size]), default=0)
    if head.size < signed_size:
        raise LogBehindError(
            f"want the {signed_size} records that were signed, got {head.size}: was a backup restored? "
            "'lockgate audit recover' puts the missing records back from an export"
        )
    # (2) Our key signed its newest checkpoint.
    rows = AppendStore(connection, log)
    checkpoint = _newest_checkpoint(rows, keys)
    # (3) It covers exactly the records there are.
    if checkpoint.size != head.size:
        raise LogInconsistentError(f"want {checkpoint.size} records, as was signed, got {head.size}")
    # (4) The last record is the head.
    entry = rows.read_entry(head.size - 1)
    if entry is None or leaf_hash(entry.body) != head.leaf:
        raise LogInconsistentError("the last record's bytes do not hash to the log's head")
    record = parse_record(entry.body)
    if columns_of(record, head.leaf) != entry.columns:
        raise LogInconsistentError("the last record's columns are not those of its bytes")
    # (5) The stored log is the signed one, and the head is its last leaf.
    growth = None if known is None else _follow(rows, known, checkpoint, head.leaf)
    edge = _check_tree(connection, checkpoint, head.leaf) if growth is None else growth.edge()
    # (6) It begins with what was signed before.
    if known is not None and growth is None:
        signed = [*signed, Checkpoint(origin=log, size=known.size, root=known.root)]
    for before in signed:
        if before != checkpoint and _root_at(connection, before) != before.root:
            raise LogInconsistentError(f"the first {before.size} records are not those that were signed")
    # (7) It goes on here.
    _check_seal(record, sealed=sealed)
    return Ending(
        size=head.size,
        leaf=head.leaf,
        ts=parse_timestamp(record["ts"]),
        root=checkpoint.root,
        edge=edge,
        sealed=sealed,
    )


def _check_seal(record: Mapping[str, Any], *, sealed: bool) -> None:
    if record["kind"] == SEAL and not sealed:
        raise LogSealedError(
            f"the log was sealed at {record['ts']}: {record['body']['reason']}. It goes on in another database"
        )
    if sealed and record["kind"] != SEAL:
        raise LogNotSealedError(f"want a log that ends with a {SEAL} record, got one that ends with {record['kind']}")


def _newest_checkpoint(rows: AppendStore, keys: Sequence[VerifierKey]) -> Checkpoint:
    note = rows.read_last_checkpoint()
    if note is None:
        raise LogInconsistentError("the log has records but no checkpoint")
    try:
        checkpoint = open_known_checkpoint(note, tuple(keys))
    except NoteUnverifiedError as exc:
        raise LogForeignError("the log's last checkpoint was signed by another key than ours") from exc
    except AuditError as exc:
        raise LogInconsistentError(f"the log's last checkpoint cannot be believed: {exc}") from exc
    _, (first, *_) = split_note(note)
    if not any(first.names(key) for key in keys):
        raise LogForeignError(
            "the log's key was changed, and ours is only the former one: start again with the new one"
        )
    return checkpoint


def _follow(rows: AppendStore, known: Ending, checkpoint: Checkpoint, last_leaf: bytes) -> Growth | None:
    """Return what the records that others added make of the known tree; None if they are not all to be had."""
    added = checkpoint.size - known.size
    bodies = rows.read_bodies(known.size, added) if 0 < added <= FOLLOWED_MAX else []
    if len(bodies) != added or not bodies:  # or pruned meanwhile
        return None
    leaves = [leaf_hash(body) for body in bodies]
    growth = grow(known, leaves)
    if growth.root != checkpoint.root or leaves[-1] != last_leaf:
        raise LogInconsistentError(
            f"the first {known.size} records are not those that were signed, or what was added to them is not"
        )
    return growth


def _check_tree(connection: Connection, checkpoint: Checkpoint, last_leaf: bytes) -> dict[Node, bytes]:
    size = checkpoint.size
    edge, path = nodes_of((0, size)), inclusion_spans(size - 1, size)
    # None of them is ever pruned: the path from the last leaf goes through its own tile's nodes and those above.
    stored = store.read_nodes(
        connection, checkpoint.origin, sorted({*edge, *(node for span in path for node in nodes_of(span))})
    )
    try:
        root = span_hash((0, size), stored)
        of_last = root_from_inclusion(last_leaf, size - 1, size, [span_hash(span, stored) for span in path])
    except KeyError as exc:
        raise LogInconsistentError("a node of the stored tree is missing") from exc
    if root != checkpoint.root or of_last != checkpoint.root:
        raise LogInconsistentError("the stored tree does not lead to the signed root")
    return {node: stored[node] for node in edge}


def _root_at(connection: Connection, signed: Checkpoint) -> bytes | None:
    nodes = nodes_of((0, signed.size))
    stored = store.read_nodes(connection, signed.origin, nodes)
    missing = set(nodes) - stored.keys()
    return _kept_root(connection, signed, missing) if missing else span_hash((0, signed.size), stored)


def _kept_root(connection: Connection, signed: Checkpoint, missing: set[Node]) -> bytes | None:
    head = store.read_head(connection, signed.origin)
    note = store.read_checkpoint_covering(connection, signed.origin, signed.size - 1)
    if head is None or note is None or not all(is_pruned(node, head.first_seq) for node in missing):
        return None
    kept = read_checkpoint(note)
    return kept.root if kept.size == signed.size else None


def grow(ending: Ending, leaves: Sequence[bytes]) -> Growth:
    """Compute the tree with new leaves, and its root along two code paths.

    Args:
        ending: Where the log ends.
        leaves: The new records' leaf hashes, from the stored bytes; at least one.

    Raises:
        LogInconsistentError: The paths disagree, or the new tree does not begin with the old one: a fault of memory or
            of this program, found before it is signed. (In 2022 one flipped bit in a leaf made a public log unusable.)
    """
    hashes, new = dict(ending.edge), {}
    tree = GrowingTree(ending.size, [ending.edge[node] for node in nodes_of((0, ending.size))])
    for seq, leaf in enumerate(leaves, ending.size):
        completed = nodes_completed_by(seq, leaf, hashes)
        hashes.update(completed)
        new.update(completed)
        tree.append(leaf)
    size = ending.size + len(leaves)
    root = span_hash((0, size), hashes)
    if tree.root() != root:
        raise LogInconsistentError("two ways to compute the new root disagree")
    if ending.size:
        try:
            proof = [span_hash(span, hashes) for span in consistency_spans(ending.size, size)]
            check_consistency(ending.size, size, ending.root, root, proof)
        except ProofInvalidError as exc:
            raise LogInconsistentError(f"the new tree does not begin with the signed one: {exc}") from exc
    return Growth(size=size, root=root, nodes=new, hashes=hashes)
