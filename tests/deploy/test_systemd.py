"""The units for one machine: they run our commands, as somebody without rights, and systemd finds nothing wrong."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from lockgate.config.table import SETTINGS

ROOT: Final = Path(__file__).parents[2]
UNITS: Final = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
ANALYZE: Final = shutil.which("systemd-analyze")
EXPOSURE_MAX: Final = 20  # of 100, systemd's own figure; a service of no care has 96. What is left is the network
INSTALLED: Final = "/opt/lockgate/bin/lockgate"
needs_systemd: Final = pytest.mark.skipif(ANALYZE is None, reason="this machine has no systemd-analyze")


def read_directives(unit: Path) -> dict[str, list[str]]:
    """Return every directive of a unit with its values."""
    directives: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z]\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        directives.setdefault(name, []).append(value)
    return directives


def test_units_differ_in_their_command_alone() -> None:
    """What tends the log is as shut in as the gate; it stops without workers, and needs no memory that becomes code."""
    gate, tend = (
        read_directives(ROOT / "deploy" / "systemd" / name) for name in ("lockgate.service", "lockgate-tend.service")
    )
    for name in ("Description", "After", "ExecStart", "MemoryMax"):
        del gate[name], tend[name]
    del gate["ExecReload"], gate["KillMode"], tend["MemoryDenyWriteExecute"]

    assert gate == tend


def test_what_delivers_differs_from_the_gate_in_its_command_alone() -> None:
    """It decides anew by the same policy, so it is shut in as the gate is, and reads the policy again when told."""
    gate, deliver = (
        read_directives(ROOT / "deploy" / "systemd" / name) for name in ("lockgate.service", "lockgate-deliver.service")
    )
    for name in ("Description", "After", "ExecStart"):
        del gate[name], deliver[name]
    del gate["KillMode"]

    assert gate == deliver


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_shut_in(unit: Path) -> None:
    """No root, no capability, no privilege to gain, one folder to write to that is its owner's alone."""
    directives = read_directives(unit)

    assert directives["User"] == ["lockgate"]
    assert directives["CapabilityBoundingSet"] == directives["AmbientCapabilities"] == [""]
    assert directives["NoNewPrivileges"] == ["yes"]
    assert directives["ProtectSystem"] == ["strict"]
    assert (directives["StateDirectory"], directives["StateDirectoryMode"]) == (["lockgate"], ["0700"])
    assert "ReadWritePaths" not in directives


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_sets_what_is_a_setting(unit: Path) -> None:
    """Each variable is known, in what is commented out as well."""
    variables = re.findall(r"Environment=(\w+)=", unit.read_text())
    known = {f"LOCKGATE_{setting.name.upper()}" for setting in SETTINGS} | {"LOCKGATE_CONFIG"}

    assert {name.removesuffix("_FILE") for name in variables} <= known
    assert "LOCKGATE_CONFIG" in variables


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    """Every directive is known, and the exposure that systemd sees stays low."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, str(Path(sys.executable).with_name("lockgate"))))

    assert analyze("verify", copy) == (0, "")
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", copy)[0] == 0


def analyze(*arguments: str | Path) -> tuple[int, str]:
    """Return the exit code and everything that systemd-analyze says."""
    done = subprocess.run(
        [str(ANALYZE), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout
