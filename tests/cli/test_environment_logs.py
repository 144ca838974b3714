"""Every command that keeps or audits a log, on a gate whose environments have logs of their own."""

import json
import shutil
import sqlite3
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lockgate.audit import LogBehindError, LogSealedError, create_key_file, load_public_key
from lockgate.audit.errors import KeyInvalidError, LogForeignError, LogNotSealedError
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.types import RecordFilter
from lockgate.bootstrap import open_logs
from lockgate.cli.main import lockgate
from lockgate.config import load_settings
from lockgate.errors import ConfigError
from lockgate.gate_logs import Logs
from lockgate.storage import open_engine
from lockgate.system_clock import SystemClock
from support.audit_logs import make_event

ORIGIN = "gate.test/audit"
NAMES = ("", "production", "staging")
TABLES = ("entry", "node", "checkpoint", "head")
ORIGINS = [ORIGIN, f"{ORIGIN}/production", f"{ORIGIN}/staging"]
OPENSSL = """#!/bin/sh
set -eu
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat >"$text"
openssl pkeyutl -sign -inkey {folder}/"$1".pem -rawin -in "$text" | base64 -w 0
"""
Run: TypeAlias = Callable[..., Result]
"""`run(*arguments, **settings)` runs `lockgate` on a data folder."""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the gate lives."""
    return tmp_path / "data"


@pytest.fixture
def bare(data_dir: Path) -> Run:
    """Run a command of a gate that is not initialised; keywords are settings."""

    def run(*arguments: object, **settings: object) -> Result:
        values = {"LOCKGATE_DATA_DIR": str(data_dir), "LOCKGATE_ENVIRONMENT_LOGS": "production staging"}
        values |= {f"LOCKGATE_{name}": str(value) for name, value in settings.items()}
        return CliRunner(env=values).invoke(lockgate, [str(each) for each in arguments], standalone_mode=False)

    return run


@pytest.fixture
def run(bare: Run) -> Run:
    """Run a command of a gate with three logs."""
    done = bare("init", "--origin", ORIGIN)
    assert done.exception is None
    return bare


def keys(data_dir: Path) -> dict[str, str]:
    """Return each log's public key."""
    return {name: str(load_public_key(data_dir / (f"log-{name}.key" if name else "log.key"))) for name in NAMES}


def logs(data_dir: Path) -> Logs:
    """Open the logs as a new service process does."""
    settings = load_settings(
        {"LOCKGATE_DATA_DIR": str(data_dir), "LOCKGATE_ENVIRONMENT_LOGS": "production staging"},
    )
    return open_logs(settings, SystemClock(), open_engine(settings.database_url))


def found(data_dir: Path, origin: str, database: str = "lockgate.db") -> list[str]:
    """Return the kinds of a log's records."""
    engine = open_engine(f"sqlite:///{data_dir / database}")
    records = LogReader(engine, origin).find(RecordFilter(), limit=1000)
    engine.dispose()
    return [json.loads(record.body)["kind"] for record in records]  # noqa: TID251 - a test's own look at a record


def verify(run: Run, data_dir: Path, *more: str, known: tuple[str, ...] = NAMES) -> tuple[int, list[str], str]:
    """Verify the live gate under some keys; return the exit code, each log's verdict, and what was said beside."""
    every = keys(data_dir)
    named = [word for name in known for word in ("--key", every[name])]
    done = run("audit", "verify", "--data-dir", data_dir, *named, *more)
    verdicts = [line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    code = done.return_value if done.exception is None else getattr(done.exception, "exit_code", 3)
    return code, verdicts, done.stderr


def edit(data_dir: Path, *statements: tuple[str, list[str]]) -> None:
    """Change the database behind the logs' back, as somebody who may drop its triggers can."""
    database = sqlite3.connect(data_dir / "lockgate.db")
    for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {trigger}")
    for statement, values in statements:
        database.execute(statement, values)
    database.commit()
    database.close()


def back_up(data_dir: Path, copy: Path) -> None:
    """Copy the database as a backup does."""
    source, target = sqlite3.connect(data_dir / "lockgate.db"), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def restore(data_dir: Path, copy: Path) -> None:
    """Put a backup in the database's place."""
    for path in data_dir.glob("lockgate.db*"):
        path.unlink()
    shutil.copy(copy, data_dir / "lockgate.db")


def test_init_makes_every_log_and_prints_every_key(bare: Run, data_dir: Path) -> None:
    """One a line, the main log's first; each key its owner's alone, and each log begun."""
    done = bare("init", "--origin", ORIGIN)

    assert done.stdout.splitlines() == [keys(data_dir)[name] for name in NAMES]
    assert [load_public_key(data_dir / f"log{name}.key").name for name in ("", "-production", "-staging")] == ORIGINS
    assert {stat.S_IMODE(path.stat().st_mode) for path in data_dir.glob("*.key")} == {0o600}
    assert [found(data_dir, origin) for origin in ORIGINS] == [["log.genesis"]] * 3
    assert (data_dir / "checkpoints-production.txt").read_text().count(f"\n{ORIGIN}/production\n1\n") == 1
    assert bare("init", "--origin", ORIGIN).stdout == done.stdout
    assert [found(data_dir, origin) for origin in ORIGINS] == [["log.genesis"]] * 3


def test_a_name_that_is_given_twice_is_one_log(bare: Run, data_dir: Path) -> None:
    """It is made, printed, sealed and let go on once."""
    twice = {"ENVIRONMENT_LOGS": "production production"}
    made = bare("init", "--origin", ORIGIN, **twice)
    copied = bare("db", "copy", "--to", f"sqlite:///{data_dir / 'new.db'}", **twice)

    assert len(made.stdout.splitlines()) == 2
    assert copied.exception is None
    assert found(data_dir, ORIGINS[1], "new.db") == ["log.genesis", "log.seal", "log.resume"]


def test_init_adds_a_log_later(bare: Run, data_dir: Path) -> None:
    """An environment that is named later gets its log; one that is no longer named keeps it."""
    bare("init", "--origin", ORIGIN, ENVIRONMENT_LOGS="")
    assert not list(data_dir.glob("log-*"))
    first = bare("init", "--origin", ORIGIN, ENVIRONMENT_LOGS="staging").stdout.splitlines()
    second = bare("init", "--origin", ORIGIN, ENVIRONMENT_LOGS="production").stdout.splitlines()

    assert (len(first), len(second)) == (2, 2)
    assert first == [keys(data_dir)[""], keys(data_dir)["staging"]]
    assert found(data_dir, ORIGINS[2]) == ["log.genesis"]


@pytest.mark.parametrize("name", ["log.key", "log-production.key"])
def test_init_makes_no_second_key_for_a_log(run: Run, data_dir: Path, name: str) -> None:
    """A key that is lost is not replaced by one that could not continue the log."""
    (data_dir / name).unlink()
    done = run("init", "--origin", ORIGIN)

    assert isinstance(done.exception, ConfigError)
    assert name in str(done.exception)
    assert not (data_dir / name).exists()


def test_init_refuses_another_logs_key(bare: Run, data_dir: Path) -> None:
    """A key file is held to the name that its place says."""
    data_dir.mkdir(mode=0o700)
    create_key_file(data_dir / "log-production.key", "else.example/production")

    done = bare("init", "--origin", ORIGIN)
    assert isinstance(done.exception, ConfigError)
    assert "log-production.key" in str(done.exception)


def test_a_gate_without_its_logs_does_not_start(bare: Run, data_dir: Path) -> None:
    """Named in the settings and never begun: the start says so, and nothing goes to the main log meanwhile."""
    bare("init", "--origin", ORIGIN, ENVIRONMENT_LOGS="")
    missing = bare("serve")
    create_key_file(data_dir / "log-production.key", ORIGINS[1])
    begun = bare("serve", ENVIRONMENT_LOGS="production")
    (data_dir / "log-production.key").unlink()
    create_key_file(data_dir / "log-production.key", ORIGINS[2])
    mistaken = bare("serve", ENVIRONMENT_LOGS="production")

    assert isinstance(missing.exception, KeyInvalidError)
    assert isinstance(begun.exception, LogForeignError)
    assert isinstance(mistaken.exception, ConfigError)
    assert "want the key of gate.test/audit/production" in str(mistaken.exception)


def test_environments_need_a_main_log_of_two_words(bare: Run, data_dir: Path) -> None:
    """Else clients could take an environment's log for a main one, which may speak for all."""
    bare("init", "--origin", ORIGIN, ENVIRONMENT_LOGS="")
    (data_dir / "log.key").unlink()
    create_key_file(data_dir / "log.key", "gate.test")
    create_key_file(data_dir / "log-production.key", "gate.test/production")
    done = bare("serve", ENVIRONMENT_LOGS="production")

    assert isinstance(done.exception, ConfigError)
    assert "want a main log named HOST/NAME, got 'gate.test'" in str(done.exception)


def test_the_doctor_looks_at_each_log(run: Run, data_dir: Path) -> None:
    """Keys, endings and clocks of all; and it says which name the policy does not know."""
    well = run("doctor").output
    (data_dir / "log-staging.key").chmod(0o644)
    ill = run("doctor")

    assert all(f"of {origin}; its owner's alone" in well for origin in ORIGINS)
    assert f"{' and '.join(ORIGINS)} ends where" in well
    assert "chmod 600" in ill.output
    assert "['staging']" not in well
    assert "names ['moon']" in run("doctor", ENVIRONMENT_LOGS="moon").output


@pytest.mark.parametrize("command", [("export", "--out", "out"), ("show", "0"), ("key",), ("publish", "--out", "out")])
def test_log_chooses(run: Run, tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--log` names the log; a name that has none is refused, and the main log does not stand in for it."""
    monkeypatch.chdir(tmp_path)
    done = run("audit", *command, "--log", "production")
    unknown = run("audit", *command, "--log", "moon")

    assert done.exception is None
    assert f"{ORIGIN}/production" in done.output
    assert isinstance(unknown.exception, ConfigError)
    assert "'moon'" in str(unknown.exception)


def test_reading_is_recorded_in_the_log_that_is_read(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """Whoever exports or looks leaves a record there, and none elsewhere."""
    run("audit", "show", "--last", "5", "--log", "production")
    run("audit", "export", "--out", tmp_path / "out", "--log", "production")
    run("audit", "attachments", "--record", "0", "--log", "staging")

    assert [found(data_dir, origin)[1:] for origin in ORIGINS] == [[], ["log.read", "log.export"], ["log.read"]]


def test_each_export_verifies_by_itself(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """Under the key of its own log, and under no other's."""
    run("audit", "export", "--out", tmp_path / "out", "--log", "production")
    own = run("audit", "verify", "--export", tmp_path / "out", "--key", keys(data_dir)["production"])
    main = run("audit", "verify", "--export", tmp_path / "out", "--key", keys(data_dir)[""])

    assert (own.return_value, main.return_value) == (0, 2)


def test_verify_judges_every_log(run: Run, data_dir: Path) -> None:
    """Of a live gate all are verified; the exit code is the worst, and a tampered one is worst."""
    assert verify(run, data_dir)[:2] == (0, [f"VALID  {origin}" for origin in ORIGINS])
    logs(data_dir).named("production").append(make_event())
    edit(data_dir, ("UPDATE audit_entry SET actor = 'nobody' WHERE log = ? AND seq = 1", [ORIGINS[1]]))

    assert verify(run, data_dir)[:2] == (1, [f"VALID  {ORIGINS[0]}", f"TAMPERED  {ORIGINS[1]}", f"VALID  {ORIGINS[2]}"])
    assert verify(run, data_dir, "--log", "staging")[:2] == (0, [f"VALID  {ORIGINS[2]}"])
    assert verify(run, data_dir, "--log", "")[:2] == (0, [f"VALID  {ORIGINS[0]}"])
    assert verify(run, data_dir, "--log", "production")[0] == 1


def test_verify_says_which_log_nobody_vouches_for(run: Run, data_dir: Path) -> None:
    """A log in the database whose key the auditor lacks is not passed over in silence."""
    code, verdicts, said = verify(run, data_dir, known=("", "production"))

    assert (code, len(verdicts)) == (2, 2)
    assert f"UNVERIFIABLE  {ORIGINS[2]}: want its public key too [key_unknown]" in said
    assert verify(run, data_dir, "--log", "staging", known=("",))[0] == 2
    assert verify(run, data_dir, "--log", "", known=("",))[0] == 0


def test_verify_misses_a_log_that_was_taken_away(run: Run, data_dir: Path) -> None:
    """Its key is named and its rows are gone: that is no valid gate."""
    edit(data_dir, *((f"DELETE FROM audit_{table} WHERE log = ?", [ORIGINS[1]]) for table in TABLES))  # noqa: S608 - a test's own names

    assert verify(run, data_dir)[0] in {1, 2}
    assert verify(run, data_dir, known=("", "staging"))[0] == 0


def test_verify_believes_no_log_in_anothers_place(run: Run, data_dir: Path) -> None:
    """Whoever has the database shows staging's records as production's: no key of production signed them."""
    staging = logs(data_dir).named("staging")
    for _ in range(3):
        staging.append(make_event())
    (data_dir / "checkpoints-production.txt").unlink()
    edit(data_dir, *((f"DELETE FROM audit_{table} WHERE log = ?", [ORIGINS[1]]) for table in TABLES))  # noqa: S608 - a test's own names
    edit(data_dir, *((f"UPDATE audit_{table} SET log = ? WHERE log = ?", ORIGINS[1:]) for table in TABLES))  # noqa: S608 - as above

    assert verify(run, data_dir, "--log", "production")[0] == 2


def test_verify_holds_each_log_against_its_own_file_and_checkpoints(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """A checkpoint that the auditor kept is of one log; a restored backup is seen in the file of that log."""
    production = logs(data_dir).named("production")
    production.append(make_event())
    (tmp_path / "kept").write_bytes(production.checkpoint())
    assert verify(run, data_dir, "--checkpoint", str(tmp_path / "kept"))[0] == 0
    newer = f"\n{production.checkpoint().decode()}"
    backup = tmp_path / "backup.db"
    back_up(data_dir, backup)
    production.append(make_event())
    assert newer in (data_dir / "checkpoints-production.txt").read_text()
    restore(data_dir, backup)

    code, verdicts, _ = verify(run, data_dir)
    assert (code, verdicts[1]) == (1, f"TAMPERED  {ORIGINS[1]}")


def test_verify_as_json_is_a_line_for_each_log(run: Run, data_dir: Path) -> None:
    """For machines: the same object as ever, one a line."""
    named = [word for key in keys(data_dir).values() for word in ("--key", key)]
    done = run("audit", "verify", "--data-dir", data_dir, *named, "--output", "json")

    assert [json.loads(line)["log"] for line in done.stdout.splitlines()] == ORIGINS  # noqa: TID251 - as above


def test_tend_tends_every_log(run: Run, data_dir: Path) -> None:
    """A heartbeat in each that was silent; one that cannot be tended ends the command with 3, and holds no other up."""
    time.sleep(1)
    done = run("audit", "tend", "--once", HEARTBEAT_INTERVAL_S="2")
    assert done.return_value == 0
    assert [found(data_dir, origin)[1:] for origin in ORIGINS] == [["log.heartbeat"]] * 3
    time.sleep(1)
    edit(data_dir, ("UPDATE audit_head SET size = size + 1 WHERE log = ?", [ORIGIN]))
    ill = run("audit", "tend", "--once", HEARTBEAT_INTERVAL_S="2")

    assert ill.return_value == 3
    assert "audit.log_inconsistent" in ill.output
    assert [len(found(data_dir, origin)) for origin in ORIGINS] == [2, 3, 3]


def test_a_key_of_an_environment_is_rotated(run: Run, data_dir: Path) -> None:
    """Recorded in its log; the printed steps let both keys sign, and then the new one alone. The main key stays."""
    old = keys(data_dir)
    done = run("audit", "rotate-key", "--log", "production", "--new-key", data_dir / "new.key")
    stopped = run("audit", "show", "0", "--log", "production")
    moves = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("  mv ")]
    for source, target in moves:
        Path(source).rename(target)
    both = run("audit", "show", "0", "--log", "production")
    again = run("audit", "rotate-key", "--log", "production", "--new-key", data_dir / "newer.key")
    note = logs(data_dir).named("production").checkpoint()
    (data_dir / "log-production.former.key").unlink()
    alone = run("audit", "show", "0", "--log", "production")

    assert isinstance(stopped.exception, LogForeignError)
    assert (both.exception, alone.exception) == (None, None)
    assert note.count("— ".encode()) == 2
    assert isinstance(again.exception, ConfigError)
    assert "log-production.former.key" in str(again.exception)
    assert "LOCKGATE_LOG_KEY_FILE" not in done.stderr
    assert done.stdout.strip() == keys(data_dir)["production"] != old["production"]
    assert found(data_dir, ORIGINS[1])[1] == "log.key.rotate"
    assert keys(data_dir)[""] == old[""]
    assert found(data_dir, ORIGIN) == ["log.genesis"]


def _keep_by_program(folder: Path, *signers: SeedSigner) -> Path:
    for signer in signers:
        pem = Ed25519PrivateKey.from_private_bytes(signer.seed).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        (folder / f"{signer.verifier_key.key_id.hex()}.pem").write_bytes(pem)
    script = folder / "sign"
    script.write_text(OPENSSL.format(folder=folder))
    script.chmod(0o700)
    return script


def test_one_program_keeps_the_keys_of_all_logs(bare: Run, data_dir: Path, tmp_path: Path) -> None:
    """`{key_id}` in its arguments says which one is asked; private keys never lie in the data folder."""
    signers = [make_signer(origin, bytes([number] * 32)) for number, origin in enumerate(ORIGINS)]
    command = f"{_keep_by_program(tmp_path, *signers)} {{key_id}}"
    data_dir.mkdir(mode=0o700)
    for name, signer in zip(("log.key", "log-production.key"), signers, strict=False):
        (data_dir / name).write_text(f"{signer.verifier_key}\n")
    missing = bare("init", "--origin", ORIGIN, LOG_SIGNER_COMMAND=command)
    assert not (data_dir / "log-staging.key").exists()
    (data_dir / "log-staging.key").write_text(f"{signers[2].verifier_key}\n")
    done = bare("init", "--origin", ORIGIN, LOG_SIGNER_COMMAND=command)
    doctor = bare("doctor", LOG_SIGNER_COMMAND=command)
    wrong = bare("doctor", LOG_SIGNER_COMMAND=command.replace("{key_id}", signers[0].verifier_key.key_id.hex()))

    assert isinstance(missing.exception, ConfigError)
    assert "want the public key of gate.test/audit/staging" in str(missing.exception)
    assert done.exception is None
    assert done.stdout.splitlines() == [str(signer.verifier_key) for signer in signers]
    assert [found(data_dir, origin) for origin in ORIGINS] == [["log.genesis"]] * 3
    assert all(f"of {origin}; {tmp_path / 'sign'} signs with it" in doctor.output for origin in ORIGINS)
    assert "audit.signer_failed" in wrong.output


def test_each_log_is_recovered_by_itself(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """A restored backup lacks records of two logs: each comes back from an export of its own."""
    backup = tmp_path / "backup.db"
    back_up(data_dir, backup)
    for name in ("production", "staging"):
        logs(data_dir).named(name).append(make_event())
        assert run("audit", "export", "--out", tmp_path / name, "--log", name).exception is None
    restore(data_dir, backup)
    with pytest.raises(LogBehindError):
        logs(data_dir).named("production").append(make_event())
    first = run("audit", "recover", "--log", "production", "--from", tmp_path / "production")

    assert first.return_value == 0, first.exception
    assert found(data_dir, ORIGINS[1]) == ["log.genesis", "app.event", "log.export", "log.recover"]
    with pytest.raises(LogBehindError):
        logs(data_dir).named("staging").append(make_event())
    assert run("audit", "recover", "--log", "staging", "--from", tmp_path / "staging").return_value == 0
    assert run("doctor").output.count("FAILED       audit log") == 0


def test_copying_a_database_seals_and_resumes_every_log(run: Run, data_dir: Path) -> None:
    """After the copy no log goes on in the old database, and all go on in the new one."""
    target = f"sqlite:///{data_dir / 'new.db'}"
    done = run("db", "copy", "--to", target)

    assert done.return_value == 0, done.exception
    for origin in ORIGINS:
        assert found(data_dir, origin) == ["log.genesis", "log.seal"]
        assert found(data_dir, origin, "new.db") == ["log.genesis", "log.seal", "log.resume"]
        assert f"{origin} goes on in the copy with record 2" in done.stderr
    for log in logs(data_dir):
        with pytest.raises((LogSealedError, LogBehindError)):
            log.append(make_event())


def test_copying_refuses_a_log_that_nobody_named(run: Run, data_dir: Path) -> None:
    """What is not sealed could go on in both."""
    done = run("db", "copy", "--to", f"sqlite:///{data_dir / 'new.db'}", ENVIRONMENT_LOGS="production")

    assert isinstance(done.exception, LogForeignError)
    assert "staging" in str(done.exception)
    assert found(data_dir, ORIGIN) == ["log.genesis"]


def test_resuming_lets_every_sealed_log_go_on(run: Run, data_dir: Path) -> None:
    """A copy that was stopped after the first seal: what was not sealed needs no resuming."""
    none = run("db", "resume", "--reason", "nothing was sealed", "--yes")
    for name in ("", "staging"):
        logs(data_dir).named(name).append(_seal())
    done = run("db", "resume", "--reason", "the new server was too slow", "--yes")

    assert isinstance(none.exception, LogNotSealedError)
    assert done.return_value == 0, done.exception
    assert [found(data_dir, origin)[1:] for origin in ORIGINS] == [
        ["log.seal", "log.resume"],
        [],
        ["log.seal", "log.resume"],
    ]


def _seal() -> OwnEvent:
    return OwnEvent(id=str(uuid.uuid4()), kind="log.seal", actor=make_event().actor, body={"reason": "a copy"})
