"""Vectors of the record: canonical bytes and leaf hash, and bytes that are no record."""

from dataclasses import replace
from typing import Any

from interop.vectors.small_log import ORIGIN, SmallLog, make_event
from lockgate.audit import Actor, Event
from lockgate.audit.formats.merkle import leaf_hash

_INTEGER_MAX = 2**53 - 1
_CHARACTERS = "\x01\b\t\n\x0b\f\r\x1f \"/\\'<>&\x7f\x80\u00e9e\u0301\u2028\u2029\ufeff\uffff\U0001f600"


def records() -> dict[str, Any]:
    """Return the file."""
    return {
        "description": "Section 1. `record_hex` holds the bytes; `leaf` is the leaf hash in hex (section 2). "
        "Whatever is below `invalid` is no record.",
        "valid": [
            {"name": name, "record_hex": record.hex(), "leaf": leaf_hash(record).hex()}
            for name, record in _valid().items()
        ],
        "invalid": [{"name": name, "record_hex": record.hex()} for name, record in _invalid().items()],
    }


def _valid() -> dict[str, bytes]:
    log = SmallLog.begun()
    nested: dict[str, Any] = {"level": 8}
    for _ in range(6):
        nested = {"level": nested}
    event = make_event()
    events = {
        "plain": event,
        "every optional field": replace(
            make_event(attachments=(b"one", b"two")), subject="model:fraud-detector", trace="request-1"
        ),
        "characters that are escaped, and others that are not": replace(event, body={"text": _CHARACTERS}),
        "the largest and the smallest integer": replace(event, body={"n": [_INTEGER_MAX, -_INTEGER_MAX, 0]}),
        "null, booleans and empty values": replace(event, body={"a": [None, True, False, "", [], {}]}),
        "keys sorted by bytes": replace(event, body={"a": 1, "a0": 2, "a_b": 3, "aa": 4, "ab": 5}),
        "an empty body": replace(event, body={}),
        "eight levels": replace(event, body=nested),
        "the longest texts": Event(
            id="",
            kind="a" * 31 + "." + "b" * 32,
            actor=Actor(type="machine", id="\U0001f600" * 255, roles=("r" * 64,) * 32),
            body={},
            subject="s" * 255,
            trace="t" * 255,
        ),
        "the shortest kind": replace(event, kind="a.b"),
    }
    for each in events.values():
        log.put(each)
    log.now = 1_835_438_399_999_999_000
    log.put(event)
    return dict(zip(["genesis", *events, "a leap day's last microsecond"], log.records, strict=True))


def _invalid() -> dict[str, bytes]:
    valid = _valid()
    return _other_spellings(valid["plain"]) | _other_fields(valid)


def _other_spellings(plain: bytes) -> dict[str, bytes]:
    value = b'"value":1'
    deep = b'"value":' + b"[" * 6 + b"]" * 6
    return {
        "nothing": b"",
        "no object": b"[]",
        "white space": _swapped(plain, b",", b", "),
        "a newline at the end": plain + b"\n",
        "a second value": plain + b"{}",
        "a byte-order mark": b"\xef\xbb\xbf" + plain,
        "cut": plain[:-1],
        "keys in another order": b'{"v":1,' + _swapped(plain, b',"v":1', b"")[1:],
        "a key twice": _swapped(plain, b',"v":1', b',"v":1,"v":1'),
        "an escape that is not needed": _swapped(plain, b'"tested"', b'"\\u0074ested"'),
        "an escaped slash": _swapped(plain, b'"tested"', b'"\\/"'),
        "an escape in upper case": _swapped(plain, b'"tested"', b'"\\u001F"'),
        "a control character as it is": _swapped(plain, b'"tested"', b'"\x1f"'),
        "U+0000": _swapped(plain, b'"tested"', b'"\\u0000"'),
        "a lone surrogate, escaped": _swapped(plain, b'"tested"', b'"\\ud800"'),
        "a lone surrogate, as bytes": _swapped(plain, b'"tested"', b'"\xed\xa0\x80"'),
        "no UTF-8": _swapped(plain, b'"tested"', b'"\xff"'),
        "an overlong encoding": _swapped(plain, b'"tested"', b'"\xc0\xaf"'),
        "a float": _swapped(plain, value, b'"value":1.5'),
        "an integer with a fraction": _swapped(plain, value, b'"value":1.0'),
        "an exponent": _swapped(plain, value, b'"value":1e3'),
        "minus zero": _swapped(plain, value, b'"value":-0'),
        "a leading zero": _swapped(plain, value, b'"value":01'),
        "no number": _swapped(plain, value, b'"value":NaN'),
        "2^53": _swapped(plain, value, b'"value":9007199254740992'),
        "-2^53": _swapped(plain, value, b'"value":-9007199254740992'),
        "a key in upper case": _swapped(plain, b'"level"', b'"Level"'),
        "a key with a hyphen": _swapped(plain, b'"level"', b'"level-x"'),
        "an empty key": _swapped(plain, b'"event"', b'""'),
        "a key outside ASCII": _swapped(plain, b'"level"', '"l\u00e9vel"'.encode()),
        "nine levels": _swapped(plain, value, deep),
    }


def _other_fields(valid: dict[str, bytes]) -> dict[str, bytes]:
    genesis, plain, full = valid["genesis"], valid["plain"], valid["every optional field"]
    ts, log = b'"ts":"2026-01-01T00:00:01.000000Z"', f'"log":"{ORIGIN}"'.encode()
    digest = b"sha256:" + b"0" * 64
    named = full[full.index(b'"attachments":[') + 15 : full.index(b'],"body"')]
    first, second = named.split(b",")
    cases = {
        "an unknown field": (b',"v":1', b',"v":1,"w":1'),
        "version 2": (b'"v":1', b'"v":2'),
        "version true": (b'"v":1', b'"v":true'),
        "version as text": (b'"v":1', b'"v":"1"'),
        "no version": (b',"v":1', b""),
        "no log": (log + b",", b""),
        "a log with a space": (log, b'"log":"gate example"'),
        "a log with U+00A0": (log, '"log":"gate\u00a0example"'.encode()),
        "a log with a plus": (log, b'"log":"gate+example"'),
        "an empty log": (log, b'"log":""'),
        "a log of 256 characters": (log, b'"log":"' + b"l" * 256 + b'"'),
        "no seq": (b'"seq":1,', b""),
        "a negative seq": (b'"seq":1,', b'"seq":-1,'),
        "seq as text": (b'"seq":1,', b'"seq":"1",'),
        "seq true": (b'"seq":1,', b'"seq":true,'),
        "seq 0 of another kind than genesis": (b'"seq":1,', b'"seq":0,'),
        "prev without its algorithm": (b'"prev":"sha256:', b'"prev":"'),
        "prev in upper case": (b'"prev":"sha256:', b'"prev":"SHA256:'),
        "a short prev": (b'","schema"', b'0","schema"'),
        "no ts": (b"," + ts, b""),
        "ts without microseconds": (ts, b'"ts":"2026-01-01T00:00:01Z"'),
        "ts with nanoseconds": (ts, b'"ts":"2026-01-01T00:00:01.000000000Z"'),
        "ts with an offset": (ts, b'"ts":"2026-01-01T00:00:01.000000+00:00"'),
        "ts in lower case": (ts, b'"ts":"2026-01-01t00:00:01.000000z"'),
        "30 February": (ts, b'"ts":"2026-02-30T00:00:01.000000Z"'),
        "the hour 24": (ts, b'"ts":"2026-01-01T24:00:00.000000Z"'),
        "the second 60": (ts, b'"ts":"2026-06-30T23:59:60.000000Z"'),
        "the year 0": (ts, b'"ts":"0000-01-01T00:00:01.000000Z"'),
        "ts in other digits": (ts, '"ts":"\u0662\u0660\u0662\u0666-01-01T00:00:01.000000Z"'.encode()),
        "an id in upper case": (b'"id":"019b', b'"id":"019B'),
        "an id in braces": (b'"id":"019b', b'"id":"{019b'),
        "a boot that is no UUID": (b'"boot":"0b6b2f2e', b'"boot":"0b6b2f2'),
        "a kind of one word": (b'"kind":"app.event"', b'"kind":"event"'),
        "a kind in upper case": (b'"kind":"app.event"', b'"kind":"App.event"'),
        "a kind with a hyphen": (b'"kind":"app.event"', b'"kind":"app.an-event"'),
        "a kind with an empty word": (b'"kind":"app.event"', b'"kind":"app..event"'),
        "a kind of 65 characters": (b'"kind":"app.event"', b'"kind":"a.' + b"b" * 63 + b'"'),
        "genesis elsewhere": (b'"kind":"app.event"', b'"kind":"log.genesis"'),
        "no actor": (b'"actor":{"id":"ann@example.com","roles":["owner"],"type":"user"},', b""),
        "an actor without roles": (b',"roles":["owner"]', b""),
        "an actor with more": (b',"type":"user"}', b',"type":"user","x":1}'),
        "an actor of another type": (b'"type":"user"', b'"type":"robot"'),
        "an empty actor id": (b'"id":"ann@example.com"', b'"id":""'),
        "an actor id of 256 characters": (b'"id":"ann@example.com"', b'"id":"' + b"i" * 256 + b'"'),
        "33 roles": (b'["owner"]', b"[" + b",".join([b'"owner"'] * 33) + b"]"),
        "an empty role": (b'["owner"]', b'[""]'),
        "a role of 65 characters": (b'["owner"]', b'["' + b"r" * 65 + b'"]'),
        "a role that is no text": (b'["owner"]', b"[1]"),
        "roles as text": (b'["owner"]', b'"owner"'),
        "an empty instance": (b'"inst":"gate-1"', b'"inst":""'),
        "a trace of null": (b'"ts":', b'"trace":null,"ts":'),
        "a schema that is no digest": (b'"schema":"sha256:', b'"schema":"sha512:'),
        "a body that is no object": (plain[plain.index(b'"body"') : plain.index(b',"boot"')], b'"body":[]'),
    }
    others = {
        "an empty subject": _swapped(full, b'"subject":"model:fraud-detector"', b'"subject":""'),
        "a subject of 256 characters": _swapped(full, b"model:fraud-detector", b"s" * 256),
        "an empty trace": _swapped(full, b'"trace":"request-1"', b'"trace":""'),
        "no attachment": _swapped(full, named, b""),
        "attachments out of order": _swapped(full, named, second + b"," + first),
        "an attachment twice": _swapped(full, named, first + b"," + first),
        "65 attachments": _swapped(full, named, b",".join(b'"sha256:%064x"' % n for n in range(65))),
        "an attachment that is no digest": _swapped(full, named, b'"one"'),
        "another kind than genesis at 0": _swapped(genesis, b"log.genesis", b"log.begun_x"),
        "genesis with a prev": _swapped(genesis, digest, b"sha256:" + b"1" * 64),
    }
    return {name: _swapped(plain, *case) for name, case in cases.items()} | others


def _swapped(record: bytes, old: bytes, new: bytes) -> bytes:
    changed = record.replace(old, new, 1)
    if changed == record:
        raise AssertionError(f"want {old!r} in the record")
    return changed
