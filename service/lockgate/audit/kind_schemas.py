"""The schema of a module's own kind of record: read strictly, bounded, compiled before it counts. Pure.

A registered schema was written by somebody else and is run on every body of its kind, under the log's write lock if
need be. So nothing in it may run for long: its keywords are a closed list, a `$ref` leads to its own `$defs` only, the
schema written out without `$ref` has few parts and patterns, and a `pattern` is run by an engine whose time is linear
in the text. The worst schema that we could think of takes three seconds for the largest body; an honest one takes
microseconds.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from lockgate.audit.errors import BodyInvalidError, KindInvalidError
from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.digests import sha256_hex

KIND_SCHEMA_BYTES_MAX: Final = 64 * 1024  # the largest schema of ours has 15 KiB
KIND_SCHEMA_DEPTH_MAX: Final = 32  # of the file's nesting; a body has at most eight levels, each costs the schema two
KIND_SCHEMA_PARTS_MAX: Final = 1000  # subschemas, each `$ref` written out; the largest schema of ours has 190
KIND_SCHEMA_PATTERNS_MAX: Final = 32  # the same; each takes up to 80 ms for a body of 32 KiB
PATTERN_BYTES_MAX: Final = 16 * 1024  # of one compiled pattern: `[0-9a-f]{128}` fits, for longer there is maxLength
_MESSAGE_CHARACTERS_MAX: Final = 240
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# No other spelling of a name: in `%61` or `~01` the library sees another definition than whoever counts the parts.
_REF: Final = re.compile(r"#/\$defs/([A-Za-z0-9_-]+)", re.ASCII)
# `format` is not among them: JSON Schema only annotates with it, and a check that does not check misleads.
_PLAIN: Final = frozenset(
    {
        "title",
        "description",
        "type",
        "const",
        "enum",
        "required",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minProperties",
        "maxProperties",
    }
)
_TOP: Final = frozenset({"$schema", "$id"})  # further down they would change what a `$ref` refers to
_ONE: Final = frozenset({"additionalProperties", "items", "propertyNames", "not", "if", "then", "else"})
_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAP: Final = frozenset({"properties", "$defs"})


class KindSchema:
    """What the bodies of one kind are held to."""

    def __init__(self, data: bytes) -> None:
        """Read a schema file.

        The steps:
          (1) It is one unambiguous JSON object within the limits, of draft 2020-12, for bodies that are objects.
          (2) It uses known keywords only and refers to nothing outside itself; written out, it is small.
          (3) It is sound JSON Schema, and its patterns are regular expressions without look-around and back-references.

        Args:
            data: The file's bytes; their SHA-256 is what records name.

        Raises:
            KindInvalidError: One of the steps fails; the message says which keyword or limit.
        """
        self.sha256 = sha256_hex(data)
        # (1) JSON, of the one dialect.
        try:
            schema = parse_json(data, bytes_max=KIND_SCHEMA_BYTES_MAX, depth_max=KIND_SCHEMA_DEPTH_MAX)
        except MalformedJSONError as exc:
            raise KindInvalidError(f"want a JSON Schema in JSON: {exc}") from exc
        if not isinstance(schema, dict) or schema.get("$schema") != _DIALECT:
            raise KindInvalidError(f"want a JSON Schema with '$schema': '{_DIALECT}'")
        if schema.get("type") != "object":
            raise KindInvalidError("want a schema with 'type': 'object', which a body is")
        # (2) Self-contained and small.
        _check_parts(schema)
        # (3) Sound, and quick to run.
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema,
                offline=True,
                mask="the value",  # what breaks a schema may be a secret
                pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES_MAX),
            )
        except ValueError as exc:  # the library's every refusal of a schema
            where = "/".join(map(str, getattr(exc, "instance_path", ())))
            raise KindInvalidError(f"want a sound JSON Schema with linear patterns, which '{where}' is not") from exc

    def check(self, body: Mapping[str, Any]) -> None:
        """Make sure that a body keeps to the schema; it was found canonical before.

        Raises:
            BodyInvalidError: It does not.
        """
        breach = next(self._validator.iter_errors(body), None)
        if breach is not None:
            pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in breach.instance_path)
            raise BodyInvalidError(f"the body breaks its schema: {breach.message}"[:_MESSAGE_CHARACTERS_MAX], pointer)


def _check_parts(schema: dict[str, Any]) -> None:
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, dict):
        raise KindInvalidError("want an object under '$defs'")
    waiting: list[object] = [{keyword: value for keyword, value in schema.items() if keyword not in _TOP}]
    seen = patterns = 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > KIND_SCHEMA_PARTS_MAX:
            raise KindInvalidError(
                f"want at most {KIND_SCHEMA_PARTS_MAX} subschemas with each '$ref' written out, and none within itself"
            )
        if isinstance(part, dict):
            patterns += "pattern" in part
            if patterns > KIND_SCHEMA_PATTERNS_MAX:
                raise KindInvalidError(f"want at most {KIND_SCHEMA_PATTERNS_MAX} patterns with each '$ref' written out")
            _check_values(part)
            waiting.extend(_children(part, definitions))
        elif not isinstance(part, bool):
            raise KindInvalidError("want an object or a boolean where a subschema stands")


def _check_values(part: Mapping[str, Any]) -> None:
    # The library finds a text among texts, and a number among numbers, at once; anything else it compares one by one.
    values = part.get("enum", [""])
    if not isinstance(values, list) or {type(value) for value in values} not in ({str}, {int}):
        raise KindInvalidError("want an 'enum' of strings alone or of integers alone")
    if isinstance(part.get("const"), dict | list):
        raise KindInvalidError("want a 'const' that is neither an object nor an array")


def _children(part: Mapping[str, Any], definitions: Mapping[str, object]) -> Iterator[object]:
    for keyword, value in part.items():
        if keyword in _ONE:
            yield value
        elif keyword in _LIST and isinstance(value, list):
            yield from value
        elif keyword in _MAP and isinstance(value, dict):
            yield from value.values()
        elif keyword == "$ref" and isinstance(value, str):
            name = _REF.fullmatch(value)
            if name is None or name[1] not in definitions:
                raise KindInvalidError(f"want a '$ref' to #/$defs/<a plain name that is there>, got {value[:80]!r}")
            yield definitions[name[1]]
        elif keyword not in _PLAIN:
            raise KindInvalidError(f"want only keywords that are known, in their forms, got {keyword[:40]!r}")
