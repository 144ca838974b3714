"""The manifest beside a compiled policy: what it was built from, with what, and the rules in it. Pure.

`docs/formats/policy.md` describes it field by field.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from lockgate.canonical_json import CanonicalJSONError, MalformedJSONError, canonicalize, parse_canonical
from lockgate.digests import Sha256Hex
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.types import PolicyRevision, RuleInfo
from lockgate.schemas import SchemaError, check_schema

FORMAT: Final = "lockgate-policy/1"
MANIFEST_BYTES_MAX: Final = 1024 * 1024  # 512 sources and 64 rules at their limits
MANIFEST_SCHEMA: Final = "v1/policy/manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a compiled policy was built from."""

    opa_version: str
    entrypoint: str
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
        "entrypoint": manifest.entrypoint,
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
        entrypoint=document["entrypoint"],
        revision=PolicyRevision(document["revision"]),
        sources={source["path"]: Sha256Hex(source["sha256"]) for source in document["sources"]},
        wasm_sha256=Sha256Hex(document["wasm_sha256"]),
        rules=tuple(_rule(rule) for rule in document["rules"]),
    )


def _rule(rule: dict[str, Any]) -> RuleInfo:
    return RuleInfo(**{**rule, "controls": tuple(rule["controls"])})
