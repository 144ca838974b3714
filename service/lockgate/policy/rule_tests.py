"""Runs the tests beside the rules, and says which of them fail and which lines none of them reaches."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import parse_json
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.opa_binary import run_opa

REPORT_BYTES_MAX: Final = 64 * 1024 * 1024  # OPA's own report on a policy of some hundred files
NAMED_MAX: Final = 40  # of the failing tests, or of the uncovered lines: one screen
PRINTED_CHARS_MAX: Final = 400  # of what one failing test prints
_RAN: Final = frozenset({0, 2})  # OPA ends with 2 where a test fails, and with 1 where it could not run them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One test, or one case of a test that iterates."""

    name: str  # of a case `test_name[note]`
    passed: bool
    where: str  # file:row of the test
    printed: str


def run_rule_tests(opa: Path, policy: Path) -> str:
    """Run every test of a policy: all must pass, and together they must reach every line.

    Args:
        opa: The pinned OPA.
        policy: The staged policy, a bundle with its tests.

    Returns:
        How many tests passed and what they cover, on one line.

    Raises:
        PolicyBuildError: A test fails or is skipped, there is none, or a line is not covered. The message names each
            on a line of its own.
    """
    run = ["test", "--bundle", "--timeout", "60s"]
    results = _json(run_opa(opa, [*run, "--format", "json", "."], cwd=policy, exit_codes=_RAN))
    # OPA runs tests side by side and reports them as they end.
    results.sort(key=lambda result: (result["location"]["file"], result["location"]["row"]))
    cases = [case for result in results for case in _cases(result, result["name"], result)]
    failing = [_line(case) for case in cases if not case.passed]
    if not cases:
        raise PolicyBuildError("want tests beside the rules, got none")
    if failing:
        raise PolicyBuildError(f"want every test to pass, got {len(failing)} of {len(cases)} failing:{_list(failing)}")
    # A second run, because one gives either the results or the coverage.
    report = _json(run_opa(opa, [*run, "--coverage", "."], cwd=policy))
    uncovered = _uncovered(report)
    if uncovered:
        raise PolicyBuildError(f"want full coverage by tests, got {report['coverage']:.2f} %:{_list(uncovered)}")
    return f"PASS {len(cases)}/{len(cases)}, coverage 100 %"


def _cases(result: dict[str, Any], name: str, test: dict[str, Any]) -> list[_Case]:
    failed = any(result.get(mark) for mark in ("fail", "error", "skip"))
    inner = sorted(result.get("sub_results", {}).items())
    cases = [case for note, part in inner for case in _cases(part, f"{name}[{note}]", test)]
    # A test can fail as a whole although each of its cases passed.
    if not cases or (failed and all(case.passed for case in cases)):
        where = f"{test['location']['file']}:{test['location']['row']}"
        printed = base64.b64decode(test.get("output", "")).decode(errors="replace")
        cases.append(_Case(name=name, passed=not failed, where=where, printed=printed[:PRINTED_CHARS_MAX]))
    return cases


def _line(case: _Case) -> str:
    return "\n    ".join((f"FAIL {case.where} {case.name}", *case.printed.splitlines()))


def _uncovered(report: dict[str, Any]) -> list[str]:
    return [
        f"{file}:{row}"
        for file, lines in sorted(report["files"].items())
        for row in sorted({span["start"]["row"] for span in lines.get("not_covered", [])})
    ]


def _list(lines: Sequence[str]) -> str:
    left = len(lines) - NAMED_MAX
    more = [f"and {left} more"] if left > 0 else []
    return "".join(f"\n{line}" for line in (*lines[:NAMED_MAX], *more))


def _json(text: str) -> Any:  # noqa: ANN401 - OPA's own output, read by key
    return parse_json(text.encode(), bytes_max=REPORT_BYTES_MAX)
