"""The JSON Schemas of `schemas/`, compiled once, used in both directions: on what comes in and on what goes out.

A schema's name is its path below `schemas/` without the suffix, for example `v1/policy/input`. In a wheel the files
lie in the package; in a checkout they lie at the top of the repository.

Two validators share the work: jsonschema-rs says in a microsecond whether a document is valid, and jsonschema, some 500
times slower, says what is wrong with one that is not.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import jsonschema_rs
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from lockgate.canonical_json import parse_json
from lockgate.errors import LockgateError
from lockgate.shipped import shipped_folder

SCHEMA_BYTES_MAX: Final = 1024 * 1024  # our own files; a larger one is a mistake
MESSAGE_CHARS_MAX: Final = 240  # the longest pattern and the longest enumeration of ours, and little more

_TYPES: Final = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "null": "null",
}
_PYTHON_TYPES: Final = {"boolean": bool, "integer": int, "number": float, "string": str, "array": list, "object": dict}
_COUNTED: Final = {
    "maxItems": ("at most", "items"),
    "minItems": ("at least", "items"),
    "maxLength": ("at most", "characters"),
    "minLength": ("at least", "characters"),
}
_WORDS: Final = {
    "const": "{}",
    "maximum": "at most {}",
    "minimum": "at least {}",
    "uniqueItems": "each item once",
}


class SchemaError(LockgateError):
    """A document breaks its schema.

    Attributes:
        pointer: Where, as a JSON Pointer (RFC 6901) into the document.
    """

    code: ClassVar[str] = "schema.invalid"

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer

    @property
    def path(self) -> str:
        """Where, as settings are written: `.rule[0].claims`; "" for the document itself."""
        steps = (step.replace("~1", "/").replace("~0", "~") for step in self.pointer.split("/")[1:])
        return "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps)


def schemas_root() -> Path:
    """Return the folder that holds `v1/`."""
    return shipped_folder("schemas")


@functools.cache
def load_schema(name: str) -> dict[str, Any]:
    """Return one schema as a dict; callers must not change it."""
    schema: dict[str, Any] = parse_json(_path(name).read_bytes(), bytes_max=SCHEMA_BYTES_MAX)
    return schema


@functools.cache
def schema_sha256(name: str) -> str:
    """Return the SHA-256 of a schema file's bytes, in lower-case hex."""
    return hashlib.sha256(_path(name).read_bytes()).hexdigest()


def check_schema(name: str, document: object) -> None:
    """Make sure that a document is valid.

    Args:
        name: The schema's name, for example `v1/api/promotion_request`.
        document: What was parsed.

    Raises:
        SchemaError: It is not; the message names the most telling of the breaches, bounded in length.
    """
    try:
        if _fast_validator(name).is_valid(document):
            return
    except ValueError:  # what it cannot even read as JSON: a lone surrogate, a key that is no string
        pass
    breach = best_match(_validator(name).iter_errors(document))
    if breach is None:
        raise SchemaError("want a document that every JSON Schema validator calls valid", "")
    raise SchemaError(_describe(breach), _pointer(breach))


def schema_names() -> Iterator[str]:
    """List every schema, sorted."""
    root = schemas_root()
    for path in sorted(root.glob("v*/**/*.json")):
        yield path.relative_to(root).with_suffix("").as_posix()


def _path(name: str) -> Path:
    return schemas_root() / f"{name}.json"


@functools.cache
def _registry() -> Registry[Any]:
    resources = (DRAFT202012.create_resource(_undated(load_schema(name))) for name in schema_names())
    return Registry().with_resources((str(resource.id()), resource) for resource in resources)


def _undated(schema: dict[str, Any]) -> dict[str, Any]:
    # jsonschema takes its own validator for a referenced schema that names its draft, and with it Python's `$`.
    return {name: value for name, value in schema.items() if name != "$schema"}


def _check_pattern(_validator: object, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _compile(pattern).search(instance):
        yield ValidationError(f"want a match of {pattern}")


@functools.cache
def _compile(pattern: str) -> re.Pattern[str]:
    # JSON Schema's patterns are those of ECMA 262, where `$` is the very end. Python's also matches before a last line
    # break, so that a name with a line break would pass for a name.
    if "$" in pattern[:-1]:
        raise ValueError(f"want '$' only at the end of a schema's pattern, got {pattern}")
    return re.compile(re.sub(r"\$\Z", r"\\Z", pattern), re.ASCII)


_STRICT_VALIDATOR: Final = validators.extend(Draft202012Validator, {"pattern": _check_pattern})  # type: ignore[no-untyped-call] # the library has no types here


@functools.cache
def _fast_registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(load_schema(name)["$id"], load_schema(name)) for name in schema_names()])


@functools.cache
def _fast_validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(load_schema(name), registry=_fast_registry())


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    validator: Draft202012Validator = _STRICT_VALIDATOR(schema, registry=_registry())
    return validator


def _describe(breach: ValidationError) -> str:
    # The library's own text repeats the offending value; only what is wanted goes out, and the value's type or size.
    instance: Any = breach.instance
    schema: Any = breach.schema
    if breach.validator == "required":
        missing = [name for name in schema["required"] if name not in instance]
        return f"want the field {missing[0]!r}"
    if breach.validator == "additionalProperties":
        unknown = sorted(name for name in instance if name not in schema.get("properties", {}))
        return f"want only known fields, got {unknown[0][:40]!r}"
    wanted: Any = breach.validator_value
    match breach.validator:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            message = f"want {' or '.join(_TYPES[kind] for kind in kinds)}, got {_type_of(instance)}"
        case "enum":
            message = f"want one of {', '.join(map(json.dumps, wanted))}"
        case "pattern":
            message = f"want text of the form {wanted}"
        case "maxItems" | "minItems" | "maxLength" | "minLength":
            few, what = _COUNTED[breach.validator]
            message = f"want {few} {wanted} {what}, got {len(instance)}"
        case keyword:
            message = f"want {_WORDS.get(str(keyword), f'{keyword} {{}}').format(json.dumps(wanted))}"
    return message[:MESSAGE_CHARS_MAX]


def _type_of(instance: object) -> str:
    # A boolean is an int for Python, so it is asked for first.
    kinds = (kind for kind, python_type in _PYTHON_TYPES.items() if isinstance(instance, python_type))
    return _TYPES[next(kinds, "null")]


def _pointer(breach: ValidationError) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in breach.absolute_path)
