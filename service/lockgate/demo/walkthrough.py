"""The demonstration: one promotion from an unsigned model to an allowed one, then the audit of it, told as it goes.

Every step is a real `lockgate` command against a real gate on loopback: SQLite, the compiled policy, a trust domain
made a moment before. Nothing is kept, unless the caller names the folder.
"""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.text import Text

from lockgate.clock import Clock
from lockgate.demo.material import LEO, MAYA, MODEL, PEOPLE, RITA, Material, Person, make_material
from lockgate.demo.stage import Finished, Stage, StageError, free_port

_LOG_ORIGIN: Final = "demo.lockgate.example/audit"
_PASSED: Final = ("  pass  ", "  n/a   ")  # most rules pass; the story is told by the others
_CHANGED_FROM: Final = b'"verdict":"pending"'
_CHANGED_TO: Final = b'"verdict":"allow"'


class DemoFailedError(StageError):
    """A step did not end as it must; the gate, or this demonstration, is broken."""

    code = "demo.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    console: Console
    stage: Stage
    material: Material
    tokens: dict[str, str]
    log_key: str

    def say(self, number: int, title: str, why: str) -> None:
        self.console.print()
        self._print(f"{number}. {title}", style="bold")
        self._print(f"   {why}", style="dim")

    def run(self, arguments: Sequence[str], *, expected: int, person: Person | None = None) -> Finished:
        who = person.subject if person else "auditor"
        self._print(f"   {who} $ lockgate {' '.join(arguments)}", style="cyan")
        variables = {"LOCKGATE_TOKEN": self.tokens[person.subject]} if person else {}
        done = self.stage.run(arguments, variables)
        lines = (done.stdout if done.stdout.strip() else done.stderr).rstrip().splitlines()
        for line in lines:
            if not line.startswith(_PASSED):
                self._print(f"   | {line}")
        passed = sum(line.startswith(_PASSED) for line in lines)
        if passed:
            self._print(f"   | ({passed} rules that pass or do not apply are left out here)", style="dim")
        if done.exit_code != expected:
            raise DemoFailedError(f"want exit code {expected}, got {done.exit_code}: {done.stderr.strip()[-500:]}")
        self._print(f"   exit code {done.exit_code}", style="green")
        return done

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(Text(line, style=style), soft_wrap=True)

    def request(self, bundles: Sequence[str], *, expected: int) -> str:
        arguments = ["request", MODEL, "1.0.0", "--from", "staging", "--to", "production", "--model-dir", "model"]
        arguments += ["--contributor", "trainer:tess"]
        for bundle in bundles:
            arguments += ["--bundle", bundle]
        answered = self.run([*arguments, "--receipt", "receipt.json"], expected=expected, person=RITA)
        return _promotion_id(self.stage.folder / "receipt.json", answered)

    def approve(self, promotion_id: str, person: Person, role: str, *, expected: int) -> None:
        arguments = ["approve", promotion_id, "--role", role, "--yes", "--receipt", "receipt.json"]
        (self.stage.folder / "receipt.json").unlink(missing_ok=True)
        self.run(arguments, expected=expected, person=person)


def run_demo(console: Console, folder: Path, clock: Clock) -> None:
    """Set a gate up in an empty folder, walk through it, audit it.

    Args:
        console: Where the story is told.
        folder: An empty folder.
        clock: Gives the time of the demonstration's signatures.

    Raises:
        DemoFailedError: A step did not end as it must.
        StageError: The gate could not be set up.
        OSError: The folder cannot be written.
    """
    console.print(Text("Lockgate, from an unsigned model to an audited promotion", style="bold"), soft_wrap=True)
    console.print("Setting up a throw-away gate: data folder, log key, people, Sigstore, policy.", soft_wrap=True)
    material = make_material(folder, clock)
    port = free_port()
    environment = {
        "LOCKGATE_DATA_DIR": str(folder / "data"),
        "LOCKGATE_TRUST_DIR": str(material.trust_dir),
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
        "LOCKGATE_POLICY_CONFIG_DIR": str(material.policy_config_dir),
        "LOCKGATE_URL": f"http://127.0.0.1:{port}",
        "NO_COLOR": "1",
        "COLUMNS": "110",
    }
    stage = Stage(folder=folder, environment=environment)
    stage.run_or_stop(["init", "--origin", _LOG_ORIGIN])
    tokens = {person.subject: _create_token(stage, person) for person in PEOPLE}
    log_key = stage.run_or_stop(["audit", "key"]).strip()
    environment["LOCKGATE_LOG_KEY"] = log_key
    stage = replace(stage, environment=environment)
    _leave_keys(folder, environment, tokens)
    walk = _Walk(console=console, stage=stage, material=material, tokens=tokens, log_key=log_key)
    with stage.serving(port):
        _promote(walk)
    _audit(walk)
    console.print()
    console.print(Text("Done: refused, denied, pending, allowed, audited; each with its reasons.", style="bold"))


def _promote(walk: _Walk) -> None:
    walk.say(1, "An unsigned model", "No signature, no way in: exit code 5 tells CI that trust is missing.")
    walk.request([], expected=5)
    walk.say(2, "Signed by a stranger", "The signature is sound, but nobody trusts this signer for this model.")
    walk.request(["stranger.sig"], expected=5)
    walk.say(3, "Signed by the release workflow", "Evidence is complete; the matrix asks for two people: pending.")
    promotion_id = walk.request(["model.sig"], expected=4)
    walk.say(4, "The requester approves herself", "It is recorded, and it does not count.")
    walk.approve(promotion_id, RITA, "ml-lead", expected=4)
    walk.say(5, "Two others approve, each in one role", "Each approval is bound to this digest, transition and policy.")
    walk.approve(promotion_id, LEO, "ml-lead", expected=4)
    walk.approve(promotion_id, MAYA, "risk", expected=0)


def _audit(walk: _Walk) -> None:
    folder = walk.stage.folder
    walk.say(6, "The gate is switched off; the auditor verifies", "One export and one public key; no server, no trust.")
    walk.run(["audit", "export", "--out", "export"], expected=0)
    walk.run(["audit", "verify", "--export", "export", "--key", walk.log_key], expected=0)
    walk.run(["audit", "verify-receipt", "receipt.json", "--key", walk.log_key], expected=0)
    walk.say(7, "Somebody changes one record of the export", "A pending answer is made to look like an allow.")
    shutil.copytree(folder / "export", folder / "export-changed")
    records = folder / "export-changed" / "records.jsonl"
    content = records.read_bytes()
    if _CHANGED_FROM not in content:
        raise DemoFailedError("want a pending decision in the export")
    records.write_bytes(content.replace(_CHANGED_FROM, _CHANGED_TO, 1))
    walk.run(["audit", "verify", "--export", "export-changed", "--key", walk.log_key], expected=1)


def _leave_keys(folder: Path, environment: Mapping[str, str], tokens: Mapping[str, str]) -> None:
    # For whoever keeps the folder: `. ./env` in it, and the commands work there by hand.
    names = {name: value for name, value in environment.items() if name.startswith("LOCKGATE_")}
    names["LOCKGATE_URL"] = "http://127.0.0.1:8080"  # where `lockgate serve` listens unless told otherwise
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in names.items())
    (folder / "env").write_text("".join(lines))
    for subject, token in tokens.items():
        file = folder / f"{subject}.token"
        file.touch(mode=0o600)
        file.write_text(token + "\n")


def _create_token(stage: Stage, person: Person) -> str:
    arguments = ["token", "create", "--subject", person.subject, "--type", "user", "--expires-in", "1d"]
    for role in person.roles:
        arguments += ["--role", role]
    return stage.run_or_stop(arguments).strip()


def _promotion_id(receipt: Path, answered: Finished) -> str:
    try:
        document = orjson.loads(receipt.read_bytes())
        promotion_id: str = orjson.loads(document["record"])["body"]["promotion_id"]
    except (OSError, ValueError, KeyError) as exc:
        raise DemoFailedError(f"want a receipt, got: {answered.stderr.strip()[-300:]}") from exc
    receipt.unlink()
    return promotion_id
