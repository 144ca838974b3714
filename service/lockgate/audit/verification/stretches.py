"""A stretch of records checked by itself: what one worker does. Pure.

A log is cut into stretches that begin and end where complete subtrees do. A stretch is parsed, checked and hashed
without knowing what lies before it; what remains to be compared with its neighbours and with the checkpoints is a few
hashes and names, the `StretchFacts`. They are had only of a stretch in which nothing is wrong: who gets none goes
through the same records one by one (`lockgate.audit.verification.examination`) and learns what and where.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.kind_names import (
    ANCHOR,
    ERASE,
    HEARTBEAT,
    KEY_COMPROMISE,
    KEY_ROTATE,
    PRUNE,
)
from lockgate.audit.formats.records import ZERO_PREV, Columns, attachments_of, columns_of, parse_record
from lockgate.digests import sha256_hex

STRETCH_RECORDS_MAX: Final = 4096  # a power of two; about 5 MB, a twentieth of a second, and leaf hashes of 128 KiB
EVENT_KINDS: Final = frozenset({ANCHOR, ERASE, HEARTBEAT, KEY_COMPROMISE, KEY_ROTATE, PRUNE})
_SECONDS: Final = slice(19)  # of a record's `ts`: all but the fraction
_PROMISE_MIN: Final = timedelta(seconds=1)  # a heartbeat's smallest `interval_s`

Attachments = Callable[[str], bytes | None]
"""Gives the document kept under a SHA-256 in hex, or None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchFacts:
    """What is left to be compared of a stretch in which everything is right by itself."""

    log: str
    begin: int  # the first record's position
    first_prev: str  # as the first record has it, "sha256:<hex>"
    first_ts: str
    last_leaf: bytes
    last_ts: str
    subtrees: tuple[tuple[int, bytes], ...]  # (level, hash) of each complete subtree, from left to right
    tails: tuple[bytes, ...]  # for each size asked for: the complete subtrees from `begin` up to it, folded
    times: tuple[str, ...]  # for each size asked for: the `ts` of the last record below it
    events: tuple[tuple[int, dict[str, Any]], ...]  # (position, record) of the log's own acts that a verifier heeds
    silences: tuple[tuple[int, timedelta], ...]  # (position, time since the record before) that a heartbeat may forbid
    missing: tuple[tuple[int, str], ...]  # (position, SHA-256) of each document that is named but not there


def stretch_records(begin: int) -> int:
    """Return how many records the stretch at `begin` has, unless the log ends before: complete subtrees end with it."""
    return min(begin & -begin, STRETCH_RECORDS_MAX) if begin else STRETCH_RECORDS_MAX


def check_stretch(
    entries: Iterable[tuple[bytes, Columns | None]],
    begin: int,
    sizes: Sequence[int] = (),
    attachments: Attachments | None = None,
) -> StretchFacts | None:
    """Check records that follow one another.

    Args:
        entries: At most `stretch_records(begin)` records' exact bytes, each with a database's columns or None.
        begin: The position of the first.
        sizes: Of the checkpoints to be compared: above `begin`, and up to the end of the stretch.
        attachments: Where the documents are; without it they are not looked for.

    Returns:
        The facts, or None if anything is wrong, or there is no record.
    """
    seq, prev, ts, log = begin, ZERO_PREV, "", ""
    leaves: list[bytes] = []
    stamps: list[str] = []
    events: list[tuple[int, dict[str, Any]]] = []
    missing: list[tuple[int, str]] = []
    silences: list[tuple[int, timedelta]] = []
    first: dict[str, Any] | None = None
    sha256 = hashlib.sha256
    for line, columns in entries:
        try:
            record = parse_record(line, prev)
        except RecordInvalidError:
            return None
        now: str = record["ts"]
        if first is None:
            first, log, prev, ts = record, record["log"], record["prev"], now
        if record["seq"] != seq or record["prev"] != prev or record["log"] != log or now < ts:
            return None
        if now[_SECONDS] != ts[_SECONDS]:  # of most records it is the same, and this is quick
            silence = silence_between(ts, now)
            if silence is not None:
                silences.append((seq, silence))
        leaf = sha256(b"\x00" + line).digest()
        if columns is not None and columns != columns_of(record, leaf):
            return None
        if record["kind"] in EVENT_KINDS:
            events.append((seq, record))
        if attachments is not None and "attachments" in record:
            lost = _lost_documents(record, attachments)
            if lost is None:
                return None
            missing.extend((seq, name) for name in lost)
        leaves.append(leaf)
        stamps.append(now)
        prev, ts, seq = "sha256:" + leaf.hex(), now, seq + 1
    if first is None:
        return None
    levels = _levels(leaves)
    return StretchFacts(
        log=log,
        begin=begin,
        first_prev=first["prev"],
        first_ts=first["ts"],
        last_leaf=leaves[-1],
        last_ts=ts,
        subtrees=tuple(_subtrees(levels, len(leaves))),
        tails=tuple(_tail(levels, size - begin) for size in sizes),
        times=tuple(stamps[size - begin - 1] for size in sizes),
        events=tuple(events),
        silences=tuple(silences),
        missing=tuple(missing),
    )


def silence_between(before: str, after: str) -> timedelta | None:
    """Return the time between two records, or None if no heartbeat could forbid it.

    Args:
        before: The `ts` of a record.
        after: Of the next one.
    """
    silence = datetime.fromisoformat(after) - datetime.fromisoformat(before)
    return silence if silence > _PROMISE_MIN else None


def _lost_documents(record: dict[str, Any], attachments: Attachments) -> list[str] | None:
    lost = []
    for name in attachments_of(record):
        document = attachments(name)
        if document is None:
            lost.append(name)
        elif sha256_hex(document) != name:
            return None
    return lost


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    # Each level holds the complete subtrees of its height: half as many as the one below, an odd one left out.
    sha256 = hashlib.sha256
    levels = [leaves]
    while len(levels[-1]) > 1:
        hashes = iter(levels[-1])
        levels.append([sha256(b"\x01" + left + right).digest() for left, right in zip(hashes, hashes, strict=False)])
    return levels


def _subtrees(levels: list[list[bytes]], size: int) -> list[tuple[int, bytes]]:
    return [(level, hashes[(size >> level) - 1]) for level, hashes in enumerate(levels) if size >> level & 1][::-1]


def _tail(levels: list[list[bytes]], size: int) -> bytes:
    # The complete subtrees up to `size` are at the one bits of it; folded from the smallest, the rightmost.
    level = (size & -size).bit_length() - 1
    tail = levels[level][(size >> level) - 1]
    while size >> (level := level + 1):
        if size >> level & 1:
            tail = hashlib.sha256(b"\x01" + levels[level][(size >> level) - 1] + tail).digest()
    return tail
