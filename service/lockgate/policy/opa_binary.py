"""Finds and runs the pinned OPA. Needed to build, test and check a policy; never to decide."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lockgate.policy.errors import PolicyBuildError

OPA_VERSION: Final = "1.22.2"  # docs/adr/0004-policy-engines.md says why this one
OPA_TIMEOUT_S: Final = 120.0  # the slowest command, the tests with coverage, takes two seconds on a small machine
OUTPUT_CHARS_MAX: Final = 4000  # of a failing command: enough for the ten errors that OPA prints
_PROJECT_LOCAL: Final = Path(__file__).parents[3] / ".tools" / "bin" / "opa"  # where `make tools` puts it


def find_opa() -> Path | None:
    """Return the pinned OPA: the project's own, else the one on PATH; None when neither has the pinned version."""
    on_path = shutil.which("opa")
    for candidate in (_PROJECT_LOCAL, Path(on_path) if on_path else None):
        if candidate is not None and candidate.is_file() and opa_version(candidate) == OPA_VERSION:
            return candidate
    return None


def opa_version(opa: Path) -> str:
    """Return the version that a binary says it has; empty when it does not say."""
    try:
        said = run_opa(opa, ["version"], cwd=opa.parent)
    except PolicyBuildError:
        return ""
    for line in said.splitlines():
        name, _, value = line.partition(":")
        if name == "Version":
            return value.strip()
    return ""


def run_opa(
    opa: Path,
    arguments: Sequence[str],
    *,
    cwd: Path,
    stdin: bytes = b"",
    exit_codes: frozenset[int] = frozenset({0}),
) -> str:
    """Run one OPA command to its end.

    Args:
        opa: The binary.
        arguments: The command and its flags; paths are relative to `cwd`, because OPA writes them into what it builds.
        cwd: Where to run it.
        stdin: What it reads.
        exit_codes: With which it may end.

    Returns:
        Its standard output.

    Raises:
        PolicyBuildError: It cannot be started, takes too long, or ends otherwise; the message holds what it said.
    """
    try:
        # An empty environment: no proxy, no configuration, nothing that a policy could read.
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [str(opa), *arguments],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            env={},
            timeout=OPA_TIMEOUT_S,
            check=False,
        )
    except OSError as exc:
        raise PolicyBuildError(f"opa cannot be run: {exc.strerror}") from exc
    except subprocess.TimeoutExpired as exc:
        raise PolicyBuildError(f"opa {arguments[0]} took more than {OPA_TIMEOUT_S:.0f} s") from exc
    if done.returncode not in exit_codes:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        # OPA tells the first error first, and indents by tabs, which a terminal's escaping would spell out.
        raise PolicyBuildError(f"opa {arguments[0]} failed: {said[:OUTPUT_CHARS_MAX].expandtabs(4)}")
    return done.stdout.decode(errors="replace")
