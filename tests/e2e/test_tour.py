"""The README's tours do what they say, typed as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.served_gates import make_served_gate

README = Path(__file__).parents[2] / "README.md"
EDITOR = """#!/bin/sh
sed -i '/"role": "risk",/{n;s/"count": 1/"count": 2/}' "$1"
"""
WAIT = "until grep -q reload_accepted gate.log; do sleep 0.1; done"  # as long as a person takes to type the next line
KEEP_ID = "exec >&3; ID=$(sed -n 's/^Promotion //p' asked); DIGEST=$(grep -o 'sha256:[0-9a-f]*' asked | head -1)"
KEEP_PERMIT = "PERMIT=$(sed -n 's/^lockgate: permit \\([0-9a-f-]*\\) .*/\\1/p' permitted)"
TOUR_S_MAX = 120  # a dozen commands on a busy machine


def _commands(title: str) -> str:
    section = README.read_text().split(f"## {title}\n")[1]
    block = section.split("```console\n")[1].split("```")[0]
    commands: str = re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
    return commands


@pytest.mark.opa
@pytest.mark.usefixtures("opa_binary")
def test_the_security_teams_tour_changes_what_the_gate_asks_for(tmp_path: Path) -> None:
    """The edited matrix is the gate's own, and the reload puts it in force: two risk officers instead of one."""
    gate = make_served_gate(tmp_path)
    editor = tmp_path / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    (tmp_path / "rita.token").write_text(gate.tokens["rita"])
    forecast = "lockgate check" + _commands("Five minutes for CI").split("lockgate check")[1].split("\nlockgate")[0]
    tour = _commands("Five minutes for the security team")
    with gate.serving(workers=2) as main:
        done = subprocess.run(
            ["/bin/bash", "-c", f"{forecast}\n{tour.replace('%1', f'{main}; {WAIT}')}\nlockgate doctor"],
            cwd=tmp_path,
            env={
                **gate.stage.environment,
                "LOCKGATE_URL": gate.url,
                "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
                "EDITOR": str(editor),
                "LOCKGATE_TOKEN_FILE": "rita.token",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=TOUR_S_MAX,
        )

    assert re.findall(r"^  risk: .*", done.stdout, flags=re.MULTILINE) == ["  risk: 0 of 1", "  risk: 0 of 2"], done
    assert f"data from {tmp_path / 'policy-config'}" in done.stdout


def test_the_deployers_tour_ends_with_what_is_live(tmp_path: Path) -> None:
    """What CI's tour has allowed is carried out and seen to run; the gate then tells who let it in."""
    gate = make_served_gate(tmp_path)
    for person in ("rita", "leo", "maya"):
        (tmp_path / f"{person}.token").write_text(gate.tokens[person])
    typed = _commands("Five minutes for CI") + _commands("Five minutes for whoever deploys")
    typed = re.sub(r"\b(ID|DIGEST|PERMIT)\b", r"$\1", typed)
    typed = typed.replace("lockgate request", "exec 3>&1 >asked; lockgate request")
    typed = typed.replace("\nlockgate approve", f"\n{KEEP_ID}\nlockgate approve", 1)
    typed = typed.replace("> permit.jwt", f"> permit.jwt 2> permitted; {KEEP_PERMIT}")
    with gate.serving(workers=2):
        done = subprocess.run(
            ["/bin/bash", "-c", typed],
            cwd=tmp_path,
            env={
                **gate.stage.environment,
                "LOCKGATE_URL": gate.url,
                "LOCKGATE_LOG_KEY": gate.log_key,
                "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=TOUR_S_MAX,
        )

    words = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert [word for word in words if word in {"deploy", "EXECUTING", "CONFIRMED", "LIVE"}] == [
        "deploy",
        "EXECUTING",
        "CONFIRMED",
        "LIVE",
    ], done
    assert "leo (ml-lead), maya (risk)" in done.stdout
