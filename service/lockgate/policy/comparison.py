"""Compares the compiled module with OPA itself, input by input, before the module is accepted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import INT64_MAX, canonicalize, parse_json
from lockgate.policy.authorization import parse_authz_result
from lockgate.policy.documents import parse_result
from lockgate.policy.errors import PolicyBuildError, PolicyFailureError
from lockgate.policy.opa_binary import run_opa
from lockgate.policy.types import AUTHZ_DECISION, PROMOTION_DECISION, AuthzInput, CompiledPolicy, PolicyInput
from lockgate.policy.wasm import WasmModule

ANSWERS_BYTES_MAX: Final = 256 * 1024 * 1024  # some thousand answers of some KiB
INPUTS_BYTES_MAX: Final = 64 * 1024 * 1024  # some thousand inputs of some KiB
DEPTH_MAX: Final = 32  # broken inputs nest no deeper than whole ones


def compare_with_opa(
    compiled: CompiledPolicy,
    opa: Path,
    stage: Path,
    *,
    whole: Sequence[PolicyInput],
    broken: Sequence[Mapping[str, Any]],
) -> int:
    """Evaluate decisions on promotions by the module and by OPA, and refuse the module where they differ.

    Args:
        compiled: The module to be accepted.
        opa: The OPA that compiled it.
        stage: The folder with the policy as a bundle, `policy/`.
        whole: Valid inputs; the answers to these must be complete as well as equal, and one of them must be an allow,
            or the comparison would show nothing.
        broken: Inputs that need not be valid; none of these answers may be undefined.

    Returns:
        How many of the answers allow.

    Raises:
        PolicyBuildError: They differ, or an answer is undefined, incomplete, or no answer allows.
    """

    def check(raw: object, number: int) -> None:
        if number < len(whole):
            parse_result(raw, document=whole[number], catalogue=compiled.catalogue, engine="", engine_version="")

    allows = _compare(compiled, PROMOTION_DECISION, [*whole, *broken], check, opa=opa, stage=stage)
    if not allows:
        raise PolicyBuildError(
            "want at least one generated input that is allowed; do any trusted signers fit the matrix?"
        )
    return allows


def compare_authz_with_opa(
    compiled: CompiledPolicy,
    opa: Path,
    stage: Path,
    *,
    whole: Sequence[AuthzInput],
    broken: Sequence[Mapping[str, Any]],
) -> int:
    """Evaluate the authorisation of calls by the module and by OPA; otherwise as `compare_with_opa`."""

    def check(raw: object, number: int) -> None:
        if number < len(whole):
            parse_authz_result(raw, document=whole[number], revision=compiled.catalogue.revision)

    allows = _compare(compiled, AUTHZ_DECISION, [*whole, *broken], check, opa=opa, stage=stage)
    if not allows:
        raise PolicyBuildError("want at least one call that is permitted")
    return allows


def _compare(  # noqa: PLR0913 - what is compared, by whom, on what
    compiled: CompiledPolicy,
    entrypoint: str,
    documents: Sequence[Mapping[str, Any]],
    check: Callable[[object, int], None],
    *,
    opa: Path,
    stage: Path,
) -> int:
    """Return how many answers allow; `check` raises for an answer, by its number, that is not as it must be."""
    answers = evaluate_by_opa(entrypoint, opa, stage, documents)
    module = WasmModule(compiled)
    allows = 0
    try:
        for number, (document, answer) in enumerate(zip(documents, answers, strict=True)):
            try:
                raw = module.evaluate(canonical_bytes(document), entrypoint)
                check(raw, number)
            except PolicyFailureError as exc:
                raise PolicyBuildError(
                    f"the compiled policy fails on generated input {number} of {entrypoint}: {exc}"
                ) from exc
            if ordered(raw) != ordered(answer):
                raise PolicyBuildError(
                    f"the compiled policy and OPA differ on generated input {number} of {entrypoint}"
                )
            allows += raw["allow"] is True
    finally:
        module.close()
    return allows


def evaluate_by_opa(entrypoint: str, opa: Path, stage: Path, documents: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Evaluate many inputs in one run of OPA.

    Raises:
        PolicyBuildError: OPA fails, or is undefined for one of the inputs.
    """
    inputs = list(documents)
    query = f"[answer | some document in input; answer := data.{entrypoint.replace('/', '.')} with input as document]"
    arguments = ["eval", "--format", "raw", "--strict-builtin-errors", "--bundle", ".", "--stdin-input", query]
    said = run_opa(opa, arguments, cwd=stage / "policy", stdin=b"[" + b",".join(map(canonical_bytes, inputs)) + b"]")
    answers = parse_json(said.encode(), bytes_max=ANSWERS_BYTES_MAX)
    if not isinstance(answers, list) or len(answers) != len(inputs):
        raise PolicyBuildError(f"want an answer by OPA to each of {len(inputs)} inputs: the decision is not total")
    return answers


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """Write an input that need not be a valid one."""
    return canonicalize(dict(document), integer_max=INT64_MAX, bytes_max=INPUTS_BYTES_MAX, depth_max=DEPTH_MAX)


def ordered(answer: object) -> object:
    """Put an answer's lists in order: Rego's sets have none, and the engines write them differently."""
    if isinstance(answer, dict):
        return {key: ordered(answer[key]) for key in sorted(answer)}
    if isinstance(answer, list):
        return sorted(map(ordered, answer), key=repr)
    return answer
