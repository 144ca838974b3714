"""A second verifier, written from docs/formats/audit-log.md and docs/formats/witness.md alone; it imports no Lockgate.

It is slow and plain on purpose: each function is one paragraph of those pages. Where it and Lockgate disagree about a
vector, one of the two is wrong, or a page does not say enough.
"""

# ruff: noqa: TID251 - no Lockgate here, so its JSON reader neither
import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SAFE_INTEGER_MAX = 2**53 - 1
SHA256 = re.compile("sha256:[0-9a-f]{64}")
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
TS = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII)
REQUIRED = {"v", "log", "seq", "prev", "ts", "id", "kind", "actor", "inst", "boot", "schema", "body"}
OPTIONAL = {"subject", "trace", "attachments"}
P = 2**255 - 19


class RefusedError(Exception):
    """Something is not what the page says it must be; the first argument is a code where the page has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key: section 3. Its type is 1 for a log's and 4 for a witness's."""

    name: str
    type: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that mark its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def __str__(self) -> str:
        """Its text form."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Section 3."""

    origin: str
    size: int
    root: bytes


def want(holds: object, code: str = "") -> None:
    """Refuse unless something holds."""
    if not holds:
        raise RefusedError(code)


# Section 1: the record.


def parse_canonical(data: bytes) -> Any:
    """Read canonical JSON; `RefusedError` if it is none."""
    want(len(data) <= 32_768)
    try:
        value = json.loads(data.decode(), object_pairs_hook=_object, parse_float=_refuse, parse_constant=_refuse)
        _check_values(value, 0)
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise RefusedError(str(exc)) from exc
    want(canonical == data)
    return value


def parse_record(data: bytes) -> dict[str, Any]:
    """Read canonical bytes as a record; `RefusedError` if they are none."""
    record: dict[str, Any] = parse_canonical(data)
    want(isinstance(record, dict))
    want(record.keys() >= REQUIRED and record.keys() <= REQUIRED | OPTIONAL)
    want(type(record["v"]) is int and record["v"] == 1)
    want(type(record["seq"]) is int and 0 <= record["seq"] <= SAFE_INTEGER_MAX)
    want(_is_text(record["log"], 255) and "+" not in record["log"] and not re.search(r"\s", record["log"]))
    want(all(_matches(SHA256, record[name]) for name in ("prev", "schema")))
    want(all(_matches(UUID, record[name]) for name in ("id", "boot")))
    want(_matches(KIND, record["kind"]) and len(record["kind"]) <= 64)
    want(all(_is_text(record[name], 255) for name in ("inst", "subject", "trace") if name in record))
    want(isinstance(record["body"], dict))
    want(_is_instant(record["ts"]))
    actor = record["actor"]
    want(isinstance(actor, dict) and actor.keys() == {"id", "roles", "type"})
    want(actor["type"] in ("user", "machine", "system") and _is_text(actor["id"], 255))
    want(isinstance(actor["roles"], list) and len(actor["roles"]) <= 32)
    want(all(_is_text(role, 64) for role in actor["roles"]))
    if "attachments" in record:
        names = record["attachments"]
        want(isinstance(names, list) and 1 <= len(names) <= 64 and all(_matches(SHA256, name) for name in names))
        want(names == sorted(set(names)))
    want((record["seq"] == 0) == (record["kind"] == "log.genesis"))
    want(record["seq"] != 0 or record["prev"] == "sha256:" + "0" * 64)
    return record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    want(len(value) == len(pairs))
    return value


def _refuse(_text: str) -> NoReturn:
    raise RefusedError("floats")


def _check_values(value: object, level: int) -> None:
    if isinstance(value, dict | list):
        want(level < 8)
        if isinstance(value, dict):
            want(all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in value))
        for child in value.values() if isinstance(value, dict) else value:
            _check_values(child, level + 1)
    elif isinstance(value, str):
        want("\0" not in value)
    elif type(value) is int:
        want(abs(value) <= SAFE_INTEGER_MAX)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: object, characters_max: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= characters_max


def _is_instant(value: object) -> bool:
    if not _matches(TS, value):
        return False
    try:
        datetime.fromisoformat(str(value)[:19])
    except ValueError:
        return False
    return True


# Section 2: the tree.


def leaf_hash(record: bytes) -> bytes:
    """SHA-256(0x00 || record)."""
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, from left to right."""
    root = subtrees[-1] if subtrees else hashlib.sha256(b"").digest()
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def roots(leaves: Sequence[bytes], before: int = 0, edge: Sequence[bytes] = ()) -> Iterator[bytes]:
    """The root after each leaf, in a tree that begins with `before` leaves of which only the `edge` is known."""
    subtrees = [(1 << bit, digest) for bit, digest in zip(_bits(before), edge, strict=True)]
    for leaf in leaves:
        subtrees.append((1, leaf))
        while len(subtrees) > 1 and subtrees[-1][0] == subtrees[-2][0]:
            (size, left), (_, right) = subtrees[-2:]
            subtrees[-2:] = [(2 * size, node_hash(left, right))]
        yield fold([digest for _, digest in subtrees])


def _bits(size: int) -> list[int]:
    return [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """RFC 9162, section 2.1.3.2."""
    want(index < size)
    fn, sn, r = index, size - 1, leaf
    for p in path:
        want(sn != 0)
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    want(sn == 0)
    return r


def grew(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2."""
    if old == new:
        return not path and old_root == new_root
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not 0 < old < new or not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = hashes[0]
    for c in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr, sn) == (old_root, new_root, 0)


# Section 3: keys and checkpoints.


def parse_key(text: str, key_type: int = 1) -> Key:
    """Read a public key; `RefusedError` if it is none that binds its holder."""
    parts = text.split("+", 2)
    want(len(parts) == 3)
    data = _base64(parts[2])
    key = Key(name=parts[0], type=key_type, public=data[1:])
    want(_is_name(key.name))
    want(data[0] == key_type and len(data) == 33 and key.key_id.hex() == parts[1])
    # A canonical encoding of a point of the curve: RFC 8032, section 5.1.3.
    y = int.from_bytes(key.public, "little") % 2**255
    want(y < P)
    x_squared = (y * y - 1) * pow(-121665 * pow(121666, -1, P) * y * y + 1, -1, P) % P
    want(pow(x_squared, (P - 1) // 2, P) in (0, 1))
    # Not of low order: three doublings do not lead to the neutral element. On the curve -x^2 + y^2 = 1 + d x^2 y^2 a
    # point doubles to y' = (y^2 + x^2) / (2 - y^2 + x^2), and x'^2 follows from y'; y' = 1 only at the neutral element.
    for _ in range(3):
        y = (y * y + x_squared) * pow(2 - y * y + x_squared, -1, P) % P
        x_squared = (y * y - 1) * pow(-121665 * pow(121666, -1, P) * y * y + 1, -1, P) % P
    want(y != 1)
    return key


def _is_name(name: str) -> bool:
    # Every character in Unicode's categories L, M, N, P or S.
    return _is_text(name, 255) and "+" not in name and all(unicodedata.category(char)[0] in "LMNPS" for char in name)


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RefusedError(str(exc)) from exc
    want(data and base64.b64encode(data).decode() == text)
    return data


def read_note(note: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Take a note apart: its text, and the name, key ID and signature of each line."""
    try:
        content = note.decode()
    except UnicodeDecodeError as exc:
        raise RefusedError("checkpoint_malformed") from exc
    want(len(note) <= 65_536 and not re.search(r"[\x00-\x09\x0b-\x1f]", content), "checkpoint_malformed")
    text, empty_line, tail = content.rpartition("\n\n")
    want(text and empty_line and tail.endswith("\n") and tail.count("\n") <= 100, "checkpoint_malformed")
    signatures = []
    for line in tail[:-1].split("\n"):
        parts = re.fullmatch(r"\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)", line)
        if parts is None or not _is_name(parts[1]):
            raise RefusedError("checkpoint_malformed")
        try:
            data = _base64(parts[2])
        except RefusedError as exc:
            raise RefusedError("checkpoint_malformed") from exc
        want(len(data) > 4, "checkpoint_malformed")
        signatures.append((parts[1], data[:4], data[4:]))
    return f"{text}\n", signatures


def read_checkpoint(note: bytes) -> Checkpoint:
    """Read a checkpoint's three lines; nobody has signed them yet."""
    text, _ = read_note(note)
    parts = re.fullmatch(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n", text)
    if parts is None or int(parts[2]) > SAFE_INTEGER_MAX:
        raise RefusedError("checkpoint_malformed")
    try:
        root = _base64(parts[3])
    except RefusedError as exc:
        raise RefusedError("checkpoint_malformed") from exc
    return Checkpoint(origin=parts[1], size=int(parts[2]), root=root)


def open_checkpoint(note: bytes, keys: Sequence[Key]) -> Checkpoint:
    """Read a checkpoint that one of the keys signed."""
    checkpoint = read_checkpoint(note)
    text, signatures = read_note(note)
    signed = False
    for name, key_id, signature in signatures:
        for key in keys:
            if (key.name, key.key_id) == (name, key_id) and name == checkpoint.origin:
                want(is_signature(key, signature, text.encode()), "signature_invalid")
                signed = True
    want(signed, "key_unknown")
    return checkpoint


def is_signature(key: Key, signature: bytes, message: bytes) -> bool:
    """Whether this is the key's bare Ed25519 signature of the message."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


# Section 4: the receipt.


def parse_proof(proof: str) -> tuple[int, list[bytes], bytes]:
    """Read a tlog-proof: index, path and checkpoint."""
    parts = re.fullmatch(
        r"c2sp\.org/tlog-proof@v1\nindex (0|[1-9][0-9]{0,15})\n((?:[A-Za-z0-9+/]{43}=\n){0,64})\n(.*)", proof, re.DOTALL
    )
    if parts is None:
        raise RefusedError
    return int(parts[1]), [_base64(line) for line in parts[2].split()], parts[3].encode()


def believe_receipt(receipt: dict[str, Any], keys: Sequence[Key]) -> dict[str, Any]:
    """Return the record that a receipt proves to be in the log."""
    index, path, note = parse_proof(receipt["proof"])
    checkpoint = open_checkpoint(note, keys)
    record = parse_record(receipt["record"].encode())
    want(index == receipt["seq"] == record["seq"] and record["log"] == checkpoint.origin)
    want(root_of_path(leaf_hash(receipt["record"].encode()), index, checkpoint.size, path) == checkpoint.root)
    return record
