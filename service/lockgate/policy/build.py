"""Builds a policy folder into a module that may be trusted.

(1) The sources and the data are read and checked (`sources.py`, `data.py`).
(2) `opa fmt` has nothing to change; `opa check`: strict, typed by the schemas, pure by the capabilities.
(3) No rule says what OPA's Wasm output gets wrong (`dialect.py`).
(4) `opa test`: every test passes and every line is covered (`rule_tests.py`).
(5) Every rule has its METADATA, its own identifier and a test beside it, and the entrypoint lists it.
(6) The module is compiled; it needs no built-in of its host.
(7) The module answers what OPA answers at both entrypoints, on the inputs of the policy's own tests and on generated
    ones.

The same sources give the same bytes, wherever they lie.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import canonicalize, parse_json
from lockgate.digests import sha256_hex
from lockgate.policy.authorization import INPUT_SCHEMA
from lockgate.policy.comparison import compare_authz_with_opa, compare_with_opa
from lockgate.policy.data import make_catalogue
from lockgate.policy.dialect import read_member, refuse_not_blocks, refuse_scans_in_negations
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.manifest import Manifest, parse_rule, write_manifest
from lockgate.policy.opa_binary import OPA_VERSION, opa_version, run_opa
from lockgate.policy.probes import fitting_inputs, freeze_edges, neighbours
from lockgate.policy.rule_tests import run_rule_tests
from lockgate.policy.signing import signing_arguments
from lockgate.policy.sources import CAPABILITIES, SCHEMA_AREA, PolicySources, read_sources, revision_of
from lockgate.policy.types import (
    AUTHZ_DECISION,
    PROMOTION_DECISION,
    AuthzInput,
    CompiledPolicy,
    PolicyRevision,
    RuleInfo,
)
from lockgate.schemas import SchemaError, check_schema

ENTRYPOINTS: Final = (AUTHZ_DECISION, PROMOTION_DECISION)
# What the policy's own tests offer for the comparison.
TEST_INPUTS: Final = "data.lockgate.promotion_test.inputs"
AUTHZ_TEST_INPUTS: Final = "data.lockgate.authz_test.inputs"
RULES_IN_FORCE: Final = "data.lockgate.promotion.rules"
MODULE_FILE: Final = "module.wasm"  # not policy.wasm: OPA would load that as part of a bundle
MANIFEST_FILE: Final = "manifest.json"
BUNDLE_FILE: Final = "bundle.tar.gz"
NEIGHBOURED_MAX: Final = 40  # calls whose every neighbour is compared too: some 1,500, a second
JSON_BYTES_MAX: Final = 64 * 1024 * 1024  # OPA's own output about a policy of some hundred files
_RULES: Final = "lockgate/rules/"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPolicy:
    """What a build makes."""

    policy: CompiledPolicy
    manifest: bytes
    bundle: bytes  # for an OPA server; its provenance tells the same revision
    compared: int  # promotions on which module and OPA agreed
    allowed: int  # of these, how many were allowed
    calls_compared: int  # calls of the API on whose authorisation they agreed
    calls_allowed: int


def build_policy(folder: Path, *, out: Path, opa: Path, config: Path | None = None) -> BuiltPolicy:
    """Build a policy folder and write the module, its manifest and the bundle.

    Args:
        folder: The policy folder.
        out: Where to write; made if it is not there.
        opa: The pinned OPA.
        config: The folder with the data, if it is not the policy folder's own.

    Raises:
        PolicyBuildError: One of the numbered steps of this module refuses the policy; nothing was written.
    """
    built = compile_sources(read_sources(folder, config), opa)
    out.mkdir(parents=True, exist_ok=True)
    # The manifest last: whoever reads in between finds one that does not fit, and refuses.
    for name, content in (
        (MODULE_FILE, built.policy.wasm),
        (BUNDLE_FILE, built.bundle),
        (MANIFEST_FILE, built.manifest),
    ):
        partial = out / f".{name}.partial"
        partial.write_bytes(content)
        partial.replace(out / name)
    return built


def check_policy(folder: Path, *, opa: Path, config: Path | None = None) -> tuple[RuleInfo, ...]:
    """Check a policy folder without testing or compiling it: format, types, purity, dialect, metadata.

    Raises:
        PolicyBuildError: It is refused.
    """
    sources = read_sources(folder, config)
    with tempfile.TemporaryDirectory(prefix="lockgate-policy-") as temporary:
        stage = Path(temporary)
        _stage(sources, stage)
        _check(sources, opa, stage)
        return _catalogue(sources, opa, stage)


def run_policy_tests(folder: Path, *, opa: Path, config: Path | None = None) -> str:
    """Run a policy folder's own tests and return how many passed, on one line.

    Raises:
        PolicyBuildError: A test fails or a line is not covered; the message names each on a line of its own.
    """
    sources = read_sources(folder, config)
    with tempfile.TemporaryDirectory(prefix="lockgate-policy-") as temporary:
        _stage(sources, Path(temporary))
        return run_rule_tests(opa, Path(temporary) / "policy")


def bundle_sources(sources: PolicySources, opa: Path, signing_key: Path) -> bytes:
    """Write a policy's bundle, signed, without testing the rules; who calls knows that they were built.

    Raises:
        PolicyBuildError: The key cannot be used, or OPA refuses the policy.
    """
    signing = signing_arguments(signing_key)
    with tempfile.TemporaryDirectory(prefix="lockgate-policy-") as temporary:
        _stage(sources, Path(temporary))
        return _build(opa, Path(temporary), "rego", revision_of(sources.digests()), signing)


def compile_sources(sources: PolicySources, opa: Path) -> BuiltPolicy:
    """Build a policy in memory.

    Raises:
        PolicyBuildError: One of the numbered steps of this module refuses the policy.
    """
    if opa_version(opa) != OPA_VERSION:
        raise PolicyBuildError(f"want OPA {OPA_VERSION} to build a policy")
    digests = sources.digests()
    revision = revision_of(digests)
    with tempfile.TemporaryDirectory(prefix="lockgate-policy-") as temporary:
        stage = Path(temporary)
        _stage(sources, stage)
        _check(sources, opa, stage)
        run_rule_tests(opa, stage / "policy")  # (4)
        rules = _catalogue(sources, opa, stage)
        wasm = read_member(_build(opa, stage, "wasm", revision), "policy.wasm")
        bundle = _build(opa, stage, "rego", revision)
        policy = CompiledPolicy(
            catalogue=make_catalogue(revision, rules, sources.data),
            entrypoints=ENTRYPOINTS,
            opa_version=OPA_VERSION,
            wasm=wasm,
            data=sources.data,
        )
        # (7) The module answers what OPA answers; loading it is (6), it needs no built-in of its host.
        fitting = list(fitting_inputs(sources.data, revision))
        whole = [*fitting, *freeze_edges(sources.data, revision)]
        broken = [*chain.from_iterable(map(neighbours, fitting)), *_test_inputs(TEST_INPUTS, opa, stage)]
        allowed = compare_with_opa(policy, opa, stage, whole=whole, broken=broken)
        calls = _authz_inputs(opa, stage, revision)
        broken_calls = list(chain.from_iterable(map(neighbours, calls[:: -(-len(calls) // NEIGHBOURED_MAX)])))
        calls_allowed = compare_authz_with_opa(policy, opa, stage, whole=calls, broken=broken_calls)
    manifest = Manifest(
        opa_version=OPA_VERSION,
        entrypoints=ENTRYPOINTS,
        revision=revision,
        sources=digests,
        wasm_sha256=sha256_hex(wasm),
        rules=rules,
    )
    return BuiltPolicy(
        policy=policy,
        manifest=write_manifest(manifest),
        bundle=bundle,
        compared=len(whole) + len(broken),
        allowed=allowed,
        calls_compared=len(calls) + len(broken_calls),
        calls_allowed=calls_allowed,
    )


def _stage(sources: PolicySources, stage: Path) -> None:
    # A copy, so that what was hashed is what OPA reads, and no stray file is: rules and data in policy/, and what must
    # not become data of the bundle beside it.
    for path, text in {**sources.rules, **sources.tests, **sources.config}.items():
        beside = path == CAPABILITIES or path.startswith("schemas/")
        target = stage / path if beside else stage / "policy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
    roots = canonicalize({"rego_version": 1, "roots": ["lockgate"]})
    (stage / "policy" / ".manifest").write_bytes(roots)


def _check(sources: PolicySources, opa: Path, stage: Path) -> None:
    policy = stage / "policy"  # OPA runs inside, so that it names files as their author does
    # (2) Well formatted, strict, typed and pure. The tests run in OPA alone and may use any of its built-ins.
    unformatted = run_opa(opa, ["fmt", "--list", "."], cwd=policy).split()
    if unformatted:
        raise PolicyBuildError(f"want the format that opa fmt --write gives, for: {', '.join(unformatted[:8])}")
    typed = ["--strict", "--schema", f"../schemas/{SCHEMA_AREA}"]
    pure = ["--capabilities", f"../{CAPABILITIES}", "--ignore", "*_test.rego"]
    run_opa(opa, ["check", "--bundle", *typed, *pure, "."], cwd=policy)
    run_opa(opa, ["check", "--bundle", *typed, "."], cwd=policy)
    # (3) No rule says what OPA's Wasm output gets wrong.
    for path in sorted(sources.rules):
        if path.endswith(".rego"):
            refuse_not_blocks(opa, cwd=policy, file=path)
    refuse_scans_in_negations(_build(opa, stage, "plan", ""))


def _build(opa: Path, stage: Path, target: str, revision: str, signing: Sequence[str] = ()) -> bytes:
    out = stage / f"{target}.tar.gz"
    arguments = ["--bundle", "--target", target, "--ignore", "*_test.rego", "--capabilities", f"../{CAPABILITIES}"]
    if target != "rego":
        arguments += [part for entrypoint in ENTRYPOINTS for part in ("--entrypoint", entrypoint)]
    # Run inside the folder: OPA writes the paths that it was given into what it builds.
    run_opa(
        opa, ["build", *arguments, *signing, "--revision", revision, "--output", str(out), "."], cwd=stage / "policy"
    )
    return out.read_bytes()


def _catalogue(sources: PolicySources, opa: Path, stage: Path) -> tuple[RuleInfo, ...]:
    # (5) Every rule has its METADATA, its own identifier and a test beside it, and the entrypoint lists it.
    found = _json(run_opa(opa, ["inspect", "--annotations", "--format", "json", "."], cwd=stage / "policy"))
    rules: dict[str, RuleInfo] = {}
    files: dict[str, str] = {}
    for entry in found["annotations"]:
        about = entry["annotations"]
        file = entry["location"]["file"]
        if about["scope"] != "package" or not file.startswith(_RULES) or file in sources.tests:
            continue
        description = " ".join(about.get("description", "").split())
        rule = parse_rule(file, {**about.get("custom", {}), **about, "description": description})
        if rule.rule_id in rules:
            raise PolicyBuildError(f"{file}: want an identifier of its own, got {rule.rule_id} a second time")
        if file.removesuffix(".rego") + "_test.rego" not in sources.tests:
            raise PolicyBuildError(f"{file}: want a test beside the rule")
        rules[rule.rule_id] = rule
        files[rule.rule_id] = file
    for path in sorted(sources.rules):
        if path.startswith(_RULES) and path not in files.values():
            raise PolicyBuildError(f"{path}: want package METADATA with custom.rule_id")
    _check_listed(files, opa, stage)
    return tuple(rules[rule_id] for rule_id in sorted(rules))


def _check_listed(files: Mapping[str, str], opa: Path, stage: Path) -> None:
    query = f"[rule_id | some rule_id, _ in {RULES_IN_FORCE}]"
    listed = _json(run_opa(opa, ["eval", "--format", "raw", "--bundle", ".", query], cwd=stage / "policy"))
    if not listed:
        raise PolicyBuildError(f"want {RULES_IN_FORCE} defined for every input; has each rule a default status?")
    for rule_id, file in sorted(files.items()):
        if rule_id not in listed:
            raise PolicyBuildError(f"{file}: want {rule_id} listed in {RULES_IN_FORCE}, or it is never evaluated")
    for rule_id in listed:
        if rule_id not in files:
            raise PolicyBuildError(f"want only rules with a file listed in {RULES_IN_FORCE}, got {str(rule_id)[:40]!r}")


def _authz_inputs(opa: Path, stage: Path, revision: PolicyRevision) -> list[AuthzInput]:
    calls = [{**call, "policy_revision": revision} for call in _test_inputs(AUTHZ_TEST_INPUTS, opa, stage)]
    for number, call in enumerate(calls):
        try:
            check_schema(INPUT_SCHEMA, call)
        except SchemaError as exc:
            where = f"{AUTHZ_TEST_INPUTS}[{number}] at {exc.pointer or '/'}"
            raise PolicyBuildError(f"{where}: {exc}") from exc
    return [AuthzInput(call) for call in calls]


def _test_inputs(name: str, opa: Path, stage: Path) -> list[dict[str, Any]]:
    query = f"[one | some one in {name}]"
    inputs = _json(run_opa(opa, ["eval", "--format", "raw", "--bundle", ".", query], cwd=stage / "policy"))
    if not isinstance(inputs, list) or not inputs:
        raise PolicyBuildError(f"want inputs for the comparison in {name}")
    return inputs


def _json(text: str) -> Any:  # noqa: ANN401 - OPA's own output, read by key
    return parse_json(text.encode(), bytes_max=JSON_BYTES_MAX)
