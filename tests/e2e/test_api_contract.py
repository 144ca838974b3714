"""The served API against its own description, by schemathesis: as somebody with every role, with none, and as nobody.

Whatever is sent, well-formed or not, no answer is a 5xx, has a status, content type or shape that the description does
not know, or takes what the description refuses. `LOCKGATE_TEST_API_EXAMPLES=200` tries for longer, with all phases,
and as people of each role. Who may do what is tested elsewhere, call by call (tests/web/test_access.py).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from support.served_gates import EVERYTHING, ROLES, ServedGate, make_served_gate

EXAMPLES: Final = os.environ.get("LOCKGATE_TEST_API_EXAMPLES", "")  # noqa: TID251 - of a test run, not a setting
SEED: Final = "5"
NOBODY: Final = "nobody"
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
# A stranger is told that they are one, whatever they ask.
CHECKS_OF_THE_KNOWN: Final = ("unsupported_method", "allow_header_conformance", "missing_required_header")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGate]:
    """A served gate with its description in a file."""
    gate = make_served_gate(tmp_path_factory.mktemp("gate"))
    with gate.serving():
        answer = requests.get(f"{gate.url}/openapi.json", headers=gate.headers("aude"), timeout=30)
        assert answer.status_code == 200
        (gate.stage.folder / "openapi.json").write_bytes(answer.content)
        yield gate


def run_schemathesis(served: ServedGate, who: str, phases: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Try the API as somebody."""
    known = who != NOBODY
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(served.stage.folder / "openapi.json")),
        *("--url", served.url),
        *("--phases", phases),
        *("--max-examples", EXAMPLES or "3"),
        *("--seed", SEED),
        *("--checks", ",".join(CHECKS + (CHECKS_OF_THE_KNOWN if known else ()))),
        *("--warnings", "off"),
        "--continue-on-failure",
        "--no-color",
    ]
    if known:
        command.extend(["--header", f"Authorization: {served.headers(who)['Authorization']}"])
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.timeout(3600 if EXAMPLES else 300)
@pytest.mark.parametrize("who", [EVERYTHING, *(ROLES if EXAMPLES else ["nemo"]), NOBODY])
def test_every_answer_is_one_that_the_description_knows(served: ServedGate, tmp_path: Path, who: str) -> None:
    """For good and bad data, at every boundary that the description names, and along links between operations."""
    phases = "coverage,fuzzing" if who == EVERYTHING else "fuzzing"
    done = run_schemathesis(served, who, "examples,coverage,fuzzing,stateful" if EXAMPLES else phases, tmp_path)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.partition("Test cases:")[2]


def test_nothing_failed_unseen_and_the_log_is_whole(served: ServedGate) -> None:
    """After all that, no failure stands in the gate's own log, and the audit log verifies."""
    said = (served.stage.folder / "gate.log").read_text()

    assert "http_request" in said
    assert "unforeseen_error" not in said
    assert "Traceback" not in said
    assert served.verify().exit_code == 0


def test_a_description_that_lies_is_noticed(served: ServedGate, tmp_path: Path) -> None:
    """The tests above would fail: with a description that knows no 403, somebody without a role gets one."""
    description = served.stage.folder / "openapi.json"
    truth = description.read_text()
    try:
        description.write_text(truth.replace('"403":', '"418":'))
        done = run_schemathesis(served, "nemo", "fuzzing", tmp_path)
    finally:
        description.write_text(truth)

    assert done.returncode == 1
    assert "Undocumented status code" in done.stdout
