"""The manifest beside a compiled policy: what it was built from, with what, and the rules in it. Pure.

`docs/formats/policy.md` describes it field by field.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from lockgate.canonical_json import CanonicalJSONError, MalformedJSONError, canonicalize, parse_canonical
from lockgate.digests import Sha256Hex
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.types import PolicyRevision, RuleInfo
from lockgate.schemas import SchemaError, check_schema

FORMAT: Final = "lockgate-policy/2"
MANIFEST_BYTES_MAX: Final = 1024 * 1024  # 512 sources and 64 rules at their limits
MANIFEST_SCHEMA: Final = "v1/policy/manifest"

_NO_SHA256: Final = "0" * 64
# A schema is of a whole manifest: this is the smallest that a rule can be checked within.
_SMALLEST: Final = {
    "format": FORMAT,
    "opa_version": "0.0.0",
    "entrypoints": ["lockgate/none"],
    "revision": f"sha256:{_NO_SHA256}",
    "sources": [{"path": "none", "sha256": _NO_SHA256}],
    "wasm_sha256": _NO_SHA256,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a compiled policy was built from."""

    opa_version: str
    entrypoints: tuple[str, ...]
    revision: PolicyRevision
    sources: Mapping[str, Sha256Hex]  # everything that a decision depends on, by path; the data among them
    wasm_sha256: Sha256Hex
    rules: tuple[RuleInfo, ...]  # sorted by rule_id


def write_manifest(manifest: Manifest) -> bytes:
    """Write a manifest: canonical JSON and one newline.

    Raises:
        PolicyBuildError: A rule's text is outside the schema's bounds.
    """
    document = {
        "format": FORMAT,
        "opa_version": manifest.opa_version,
        "entrypoints": list(manifest.entrypoints),
        "revision": manifest.revision,
        "sources": [{"path": path, "sha256": manifest.sources[path]} for path in sorted(manifest.sources)],
        "wasm_sha256": manifest.wasm_sha256,
        "rules": [{**asdict(rule), "controls": list(rule.controls)} for rule in manifest.rules],
    }
    try:
        check_schema(MANIFEST_SCHEMA, document)
        return canonicalize(document, bytes_max=MANIFEST_BYTES_MAX) + b"\n"
    except (SchemaError, CanonicalJSONError) as exc:
        raise PolicyBuildError(f"the policy's manifest: {exc}") from exc


def parse_manifest(text: bytes) -> Manifest:
    """Read what `write_manifest` writes, and no other spelling.

    Raises:
        PolicyBuildError: `text` is not a manifest.
    """
    try:
        document = parse_canonical(text.removesuffix(b"\n"), bytes_max=MANIFEST_BYTES_MAX)
        check_schema(MANIFEST_SCHEMA, document)
    except (MalformedJSONError, CanonicalJSONError, SchemaError) as exc:
        raise PolicyBuildError(f"the policy's manifest: {exc}") from exc
    return Manifest(
        opa_version=document["opa_version"],
        entrypoints=tuple(document["entrypoints"]),
        revision=PolicyRevision(document["revision"]),
        sources={source["path"]: Sha256Hex(source["sha256"]) for source in document["sources"]},
        wasm_sha256=Sha256Hex(document["wasm_sha256"]),
        rules=tuple(_rule(rule) for rule in document["rules"]),
    )


def parse_rule(file: str, about: Mapping[str, Any]) -> RuleInfo:
    """Read a rule's METADATA.

    Args:
        file: The rule's file, for messages.
        about: The block's `title`, `description` and every `custom` field, in one mapping; others are left out.

    Raises:
        PolicyBuildError: A field is missing or not as the manifest's schema has it.
    """
    rule = {field.name: about[field.name] for field in fields(RuleInfo) if field.name in about}
    try:
        check_schema(MANIFEST_SCHEMA, {**_SMALLEST, "rules": [rule]})
    except SchemaError as exc:
        where = exc.pointer.removeprefix("/rules/0").strip("/")
        raise PolicyBuildError(f"{file}: METADATA{where and ' at '}{where}: {exc}") from exc
    return _rule(rule)


def _rule(rule: dict[str, Any]) -> RuleInfo:
    return RuleInfo(**{**rule, "controls": tuple(rule["controls"])})
