"""What a rule may not say, because OPA's Wasm output is known to get it wrong.

A `not { … }` block that iterates lets through in Wasm what OPA itself denies: the plan never resets the mark of a
block that succeeded before (measured with OPA 1.22.2; `tests/policy/test_dialect.py` notices when that is mended).
Name the positive helper and negate that. Two independent looks, because a hole here opens the gate:

(1) in the syntax tree of each file, no negation has a body in braces;
(2) in the plan that the Wasm module is made from, no negation holds a scan.
"""

import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import parse_json
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.opa_binary import run_opa

OUTPUT_BYTES_MAX: Final = 64 * 1024 * 1024  # a syntax tree with locations is some hundred times its source
TREE_DEPTH_MAX: Final = 4096  # plans nest blocks within blocks


def refuse_not_blocks(opa: Path, *, cwd: Path, file: str) -> None:
    """Refuse negation with a body in braces (1).

    Raises:
        PolicyBuildError: The file has one, or cannot be parsed; the message says at which row.
    """
    tree = _json(run_opa(opa, ["parse", "--format", "json", "--json-include", "locations", file], cwd=cwd))
    for node in _objects(tree):
        terms = node.get("terms")
        if isinstance(terms, dict) and terms.get("type") == "not" and terms.get("explicit_body"):
            row = node["location"]["row"]
            raise PolicyBuildError(f"{file}:{row}: want a named helper and its negation, got a not {{ … }} block")


def refuse_scans_in_negations(plan_bundle: bytes) -> None:
    """Refuse a plan with iteration inside a negation (2).

    Args:
        plan_bundle: What `opa build -t plan` wrote.

    Raises:
        PolicyBuildError: There is one; the message says in which file and row.
    """
    plan = _json(read_member(plan_bundle, "plan.json").decode())
    files = [entry["value"] for entry in plan["static"].get("files") or []]
    for node in _objects(plan):
        if node.get("type") == "NotStmt" and any(inner.get("type") == "ScanStmt" for inner in _objects(node["stmt"])):
            where = node["stmt"]
            raise PolicyBuildError(
                f"{files[where['file']]}:{where['row']}: want no iteration inside a negation; name a positive helper"
            )


def read_member(bundle: bytes, name: str) -> bytes:
    """Return one file of a bundle that OPA wrote.

    Raises:
        PolicyBuildError: The bundle has no such file.
    """
    with tarfile.open(fileobj=BytesIO(bundle), mode="r:gz") as archive:
        for member in archive:
            if member.name.lstrip("/") == name:
                file = archive.extractfile(member)
                if file is not None:
                    return file.read()
    raise PolicyBuildError(f"want {name} in what opa build wrote")


def _json(text: str) -> Any:  # noqa: ANN401 - OPA's own output, walked by key
    return parse_json(text.encode(), bytes_max=OUTPUT_BYTES_MAX, depth_max=TREE_DEPTH_MAX)


def _objects(tree: object) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
