"""Making a log long in a moment: records written straight into the tables, under one checkpoint, and cutting it."""

import uuid

from sqlalchemy import Engine, text

from lockgate.audit import Signer, store
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import Node, leaf_hash, nodes_completed_by, nodes_of, span_hash
from lockgate.audit.formats.records import Place, columns_of, encode_record, parse_record
from lockgate.audit.store import Entry, Head
from lockgate.audit.writing.append_store import AppendStore
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.storage import write_transaction
from support.audit_logs import make_event


def lengthen(engine: Engine, signer: Signer, size: int, step_ns: int = 1_000_000) -> None:
    """Add records until the log holds `size`, `step_ns` apart."""
    log = signer.verifier_key.name
    with write_transaction(engine) as connection:
        head = store.read_head(connection, log)
        assert head is not None
        last = store.read_entry(connection, log, head.size - 1)
        assert last is not None
        ts, prev = parse_timestamp(last.columns.ts), head.leaf
        hashes = store.read_nodes(connection, log, nodes_of((0, head.size)))
        nodes: dict[Node, bytes] = {}
        entries = []
        for seq in range(head.size, size):
            ts = EpochNs(ts + step_ns)
            place = Place(
                log=log, seq=seq, prev=prev, ts=ts, instance="test", boot=str(uuid.UUID(int=1)), schema_sha256="0" * 64
            )
            body = encode_record(make_event(f"event {seq}", str(uuid.UUID(int=seq + 2**64))), place)
            prev = leaf_hash(body)
            entries.append(Entry(body=body, columns=columns_of(parse_record(body), prev)))
            completed = nodes_completed_by(seq, prev, hashes)
            hashes |= completed
            nodes |= completed
        rows = AppendStore(connection, log)
        rows.add_entries(entries)
        rows.add_nodes(nodes)
        root = span_hash((0, size), hashes)
        rows.add_checkpoint(size, sign_checkpoint(Checkpoint(origin=log, size=size, root=root), signer))
        rows.move_head(Head(size=size, leaf=prev))


def cut_front(engine: Engine, before: int) -> None:
    """Take the first records away as pruning does; `before` is a multiple of 256."""
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE audit_head SET first_seq = :before"), {"before": before})
        connection.execute(text("DELETE FROM audit_entry WHERE seq < :before"), {"before": before})
        connection.execute(
            text("DELETE FROM audit_node WHERE level < 8 AND ((idx + 1) << level) <= :before"), {"before": before}
        )
