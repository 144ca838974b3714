"""Canonical JSON, and the strict reading of JSON that others wrote.

The written form ("the record profile", a strict subset of RFC 8785):

- object keys match `[a-z][a-z0-9_]*`, so that UTF-16 order, code-point order and byte order are one;
- no floats; integers lie within plus or minus (2^53 - 1), or fit 64 bits signed where a caller says so;
- strings are valid Unicode without lone surrogates and without U+0000; nothing is normalised;
- at most `depth_max` levels of nesting and `bytes_max` bytes.

`canonicalize` enforces it on the way out and `parse_canonical` on the way in, so that a value has one spelling.

Reading what others wrote is stricter than Python's own: duplicate keys, NaN, lone surrogates, U+0000 in a string, a
byte-order mark, excessive depth and excessive size are all refused.
"""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeAlias

import orjson

from lockgate.errors import LockgateError

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
"""What a parsed JSON text is made of."""

SAFE_INTEGER_MAX: Final = 2**53 - 1  # RFC 8785, section 3.2.2.3: what every JSON number reader holds exactly
INT64_MAX: Final = 2**63 - 1  # what OPA and its Wasm modules hold exactly
RECORD_BYTES_MAX: Final = 32 * 1024  # C2SP tlog-tiles entries are at most 65,535 bytes; half leaves room to grow
RECORD_DEPTH_MAX: Final = 8  # the deepest record of ours has six levels
JSON_DEPTH_MAX: Final = 64  # SLSA provenance by known builders stays below twenty
JSON_NODES_MAX: Final = (
    1_000_000  # values and keys; outsiders get far fewer: a megabyte of brackets takes half a second
)
_KEY: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_KNOWN_KEYS_MAX: Final = 4096  # every schema of ours together names some hundreds; others' keys cannot fill the memory
_ESCAPED_NUL: Final = rb"\u0000"
_known_keys: set[object] = set()  # keys that were found to match `_KEY`; the same few come again and again


class CanonicalJSONError(LockgateError):
    """A value is outside the profile and has no canonical form."""

    code = "json.not_canonical"


class MalformedJSONError(LockgateError):
    """Bytes are not JSON, or are JSON that two readers could understand differently."""

    code = "json.malformed"


class JSONTooLargeError(MalformedJSONError):
    """A JSON text is longer or deeper than its limit."""

    code = "json.too_large"


def canonicalize(
    value: object,
    *,
    integer_max: int = SAFE_INTEGER_MAX,
    bytes_max: int = RECORD_BYTES_MAX,
    depth_max: int = RECORD_DEPTH_MAX,
) -> bytes:
    """Write a value in its one canonical form.

    Args:
        value: Nested dicts, lists, strings, integers, booleans and None.
        integer_max: The largest magnitude of an integer.
        bytes_max: The largest result, in bytes.
        depth_max: The deepest nesting; a scalar has depth 0.

    Returns:
        UTF-8 bytes, the same as RFC 8785 gives for the same value.

    Raises:
        CanonicalJSONError: `value` is outside the profile; the message says where.

    Source: RFC 8785.
    """
    if not is_surely_in_profile(value, integer_max=integer_max, depth_max=depth_max):
        _check_profile(value, integer_max=integer_max, depth_max=depth_max)
    try:
        # Sorted by bytes, not by locale: hashes depend on it. Keys are ASCII, so this is RFC 8785's UTF-16 order.
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as exc:  # orjson.JSONEncodeError is a TypeError: lone surrogates, foreign types
        _check_profile(value, integer_max=integer_max, depth_max=depth_max)
        raise CanonicalJSONError("want strings without lone surrogates") from exc
    if b"\\" in text and _ESCAPED_NUL in text:  # U+0000, or a backslash and "u0000"; few texts have a backslash at all
        _check_profile(value, integer_max=integer_max, depth_max=depth_max)
    if len(text) > bytes_max:
        raise CanonicalJSONError(f"want at most {bytes_max} bytes, got {len(text)}")
    return text


def parse_canonical(
    data: bytes,
    *,
    integer_max: int = SAFE_INTEGER_MAX,
    bytes_max: int = RECORD_BYTES_MAX,
    depth_max: int = RECORD_DEPTH_MAX,
) -> Any:  # noqa: ANN401 - JSON is typed by the schema that the caller checks next
    """Read bytes that must be exactly what `canonicalize` writes.

    Raises:
        MalformedJSONError: `data` is not JSON or too large.
        CanonicalJSONError: `data` is JSON in another spelling, or outside the profile.
    """
    if len(data) <= min(bytes_max, JSON_NODES_MAX):  # no text has more nodes than bytes
        value = load_own_spelling(data)
        if value is not None and is_surely_in_profile(value, integer_max=integer_max, depth_max=depth_max):
            return value
    # The slow way decides in every doubt, and says what is wrong.
    value = parse_json(data, bytes_max=bytes_max, depth_max=depth_max)
    if canonicalize(value, integer_max=integer_max, bytes_max=bytes_max, depth_max=depth_max) != data:
        raise CanonicalJSONError("want the canonical spelling of this JSON value")
    return value


def parse_json(data: bytes, *, bytes_max: int, depth_max: int = JSON_DEPTH_MAX, nodes_max: int = JSON_NODES_MAX) -> Any:  # noqa: ANN401 - as above
    """Read JSON that somebody else wrote.

    Args:
        data: The text, UTF-8 without a byte-order mark.
        bytes_max: The longest text, in bytes.
        depth_max: The deepest nesting; a scalar has depth 0.
        nodes_max: The most values and keys together.

    Returns:
        The value, made of dicts, lists, strings, integers, floats, booleans and None.

    Raises:
        JSONTooLargeError: `data` is longer or deeper than the limit, or has more values.
        MalformedJSONError: `data` is not JSON, or is ambiguous: a duplicate key, NaN, a lone surrogate, U+0000.
    """
    if len(data) > bytes_max:
        raise JSONTooLargeError(f"want at most {bytes_max} bytes of JSON, got {len(data)}")
    try:
        # orjson first: it refuses invalid UTF-8, a byte-order mark, NaN and lone surrogates, and bounds its recursion.
        _check_shape(orjson.loads(data), depth_max, nodes_max)
        return json.loads(data.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except MalformedJSONError:
        raise
    except (ValueError, RecursionError) as exc:  # both libraries' decode errors are ValueErrors
        raise MalformedJSONError("want one JSON value in UTF-8") from exc


def load_own_spelling(data: bytes) -> Any:  # noqa: ANN401 - as above
    """Return the value of bytes that the writer would write for it again, or None; most that we read are such.

    They have each key once and in order, no white space, valid UTF-8, no lone surrogate and no U+0000. The rest of the
    profile is not looked at: ask `is_surely_in_profile`.
    """
    try:
        value = orjson.loads(data)
        is_own = orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == data
    except (TypeError, ValueError):  # orjson's two errors; the writer's is for a depth that no caller allows
        return None
    # Most texts have no backslash, and to look for one byte costs a third.
    return value if is_own and (b"\\" not in data or _ESCAPED_NUL not in data) else None


def is_surely_in_profile(value: object, *, integer_max: int = SAFE_INTEGER_MAX, depth_max: int) -> bool:
    """Tell whether a value is in the profile but for U+0000 and surrogates; False means that nothing is known."""
    return _are_surely_in_profile((value,), integer_max, depth_max)


def _are_surely_in_profile(values: Iterable[object], integer_max: int, depth_max: int) -> bool:
    # Asked of every value of every record, so in the order of their frequency and with few calls.
    for value in values:
        kind = type(value)
        if kind is str:
            continue
        if kind is dict:
            if not _known_keys.issuperset(value) and not _are_keys(value):  # type: ignore[arg-type] # it is a dict
                return False
            children: Iterable[object] = value.values()  # type: ignore[attr-defined] # same
        elif kind is list:
            children = value  # type: ignore[assignment] # it is a list
        elif kind is int:
            if not -integer_max <= value <= integer_max:  # type: ignore[operator] # it is an integer
                return False
            continue
        elif kind is bool or value is None:
            continue
        else:
            return False
        if not depth_max or not _are_surely_in_profile(children, integer_max, depth_max - 1):
            return False
    return True


def _are_keys(names: Collection[object]) -> bool:
    if not all(type(name) is str and _KEY.fullmatch(name) for name in names):
        return False
    if len(_known_keys) + len(names) <= _KNOWN_KEYS_MAX:
        _known_keys.update(names)
    return True


def _check_profile(value: object, *, integer_max: int, depth_max: int) -> None:
    stack: list[tuple[object, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if item is None or item is True or item is False:
            continue
        if type(item) is str:
            if "\0" in item:
                raise CanonicalJSONError("want strings without U+0000")
        elif type(item) is int:
            if not -integer_max <= item <= integer_max:
                raise CanonicalJSONError(f"want integers of magnitude at most {integer_max}")
        elif type(item) is dict:
            _check_depth(depth + 1, depth_max)
            for key, child in item.items():
                if type(key) is not str or not _KEY.fullmatch(key):
                    raise CanonicalJSONError(f"want keys of the form [a-z][a-z0-9_]*, got {str(key)[:40]!r}")
                stack.append((child, depth + 1))
        elif type(item) is list:
            _check_depth(depth + 1, depth_max)
            stack.extend((child, depth + 1) for child in item)
        else:
            raise CanonicalJSONError(
                f"want JSON without floats, made of plain dicts and lists, got a {type(item).__name__}"
            )


def _check_depth(depth: int, depth_max: int) -> None:
    if depth > depth_max:
        raise CanonicalJSONError(f"want at most {depth_max} levels of nesting")


def _check_shape(value: object, depth_max: int, nodes_max: int) -> None:
    stack: list[tuple[object, int]] = [(value, 0)]
    nodes = 0
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if nodes + len(stack) > nodes_max:
            raise JSONTooLargeError(f"want at most {nodes_max} values")
        if isinstance(item, str):
            if "\0" in item:
                raise MalformedJSONError("want strings without U+0000")
        elif isinstance(item, dict | list):
            if depth >= depth_max:
                raise JSONTooLargeError(f"want at most {depth_max} levels of nesting")
            if isinstance(item, dict):
                stack.extend((key, depth + 1) for key in item)
                stack.extend((child, depth + 1) for child in item.values())
            else:
                stack.extend((child, depth + 1) for child in item)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedJSONError(f"want each key once, got {twice[:40]!r} twice in one object")
    return result


def _refuse_constant(name: str) -> None:
    raise MalformedJSONError(f"want JSON numbers, got {name}")
