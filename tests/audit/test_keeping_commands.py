"""`lockgate audit rotate-key`, `compromise-key` and `recover`, as the log's keeper runs them."""

import shutil
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lockgate.audit import AuditLog, KindCatalogue, load_key_file, load_public_key, load_signer, verify_receipt
from lockgate.audit.errors import (
    KeyChangeError,
    LogBehindError,
    LogForeignError,
    NothingMissingError,
    RecoveryError,
)
from lockgate.audit.formats.kind_names import KEY_COMPROMISE, KEY_ROTATE, RECOVER
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.types import RecordFilter
from lockgate.cli.main import lockgate
from lockgate.errors import ConfigError
from lockgate.identity import IdentityStore, parse_principal
from lockgate.registration import REGISTRATION_KINDS, Call, Registration
from lockgate.registry import BUILTIN
from lockgate.storage import open_engine
from lockgate.system_clock import SystemClock

ORIGIN = "gate.test/audit"
OPENSSL = """#!/bin/sh
set -eu
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat >"$text"
openssl pkeyutl -sign -inkey {key} -rawin -in "$text" | base64 -w 0
"""


Run: TypeAlias = Callable[..., Result]
"""`run(*arguments, **settings)` runs `lockgate` on a data folder."""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the gate lives."""
    return tmp_path / "data"


@pytest.fixture
def run(data_dir: Path) -> Run:
    """Run a command beside a gate that was initialised; keywords are settings."""

    def run(*arguments: object, **settings: object) -> Result:
        values = {"LOCKGATE_DATA_DIR": str(data_dir)} | {f"LOCKGATE_{name}": str(it) for name, it in settings.items()}
        return CliRunner(env=values).invoke(lockgate, [str(each) for each in arguments], standalone_mode=False)

    assert run("init", "--origin", ORIGIN).exception is None
    return run


def _bodies(data_dir: Path, kind: str) -> list[dict[str, Any]]:
    engine = open_engine(f"sqlite:///{data_dir / 'lockgate.db'}")
    records = LogReader(engine, ORIGIN).find(RecordFilter(kind=kind), limit=1000)
    engine.dispose()
    return [parse_record(record.body)["body"] for record in records]


def _rotated(data_dir: Path) -> dict[str, object]:
    return {"LOG_KEY_FILE": data_dir / "new.key", "LOG_FORMER_KEY_FILE": data_dir / "log.key"}


def test_rotation_from_end_to_end(run: Run, data_dir: Path) -> None:
    """A new key is made and recorded; the old settings stop, the printed ones go on, and then the new key alone."""
    done = run("audit", "rotate-key", "--new-key", data_dir / "new.key")
    new = load_key_file(data_dir / "new.key")
    (body,) = _bodies(data_dir, KEY_ROTATE)

    assert (done.return_value, done.stdout) == (0, f"{new.verifier_key}\n")
    assert body == {"old_key": str(load_public_key(data_dir / "log.key")), "new_key": str(new.verifier_key)}
    assert "set LOCKGATE_LOG_KEY_FILE to the new one" in run("doctor").output
    for name, value in _rotated(data_dir).items():
        assert f"LOCKGATE_{name}={value}" in done.stderr
    assert isinstance(run("audit", "show", "0").exception, LogForeignError)
    assert run("audit", "show", "0", **_rotated(data_dir)).exception is None
    assert run("audit", "show", "0", LOG_KEY_FILE=data_dir / "new.key").exception is None


def test_rotation_twice(run: Run, data_dir: Path) -> None:
    """The command again changes nothing; in the middle of a rotation there is no other."""
    first = run("audit", "rotate-key", "--new-key", data_dir / "new.key")
    again = run("audit", "rotate-key", "--new-key", data_dir / "new.key")
    another = run("audit", "rotate-key", "--new-key", data_dir / "newer.key")
    within = run("audit", "rotate-key", "--new-key", data_dir / "newer.key", **_rotated(data_dir))

    assert (again.return_value, again.stdout) == (0, first.stdout)
    assert isinstance(another.exception, LogForeignError)
    assert isinstance(within.exception, ConfigError)
    assert len(_bodies(data_dir, KEY_ROTATE)) == 1


def test_rotation_to_a_key_of_another_name(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """The log's name is its key's for ever."""
    CliRunner(env={"LOCKGATE_DATA_DIR": str(tmp_path / "other")}).invoke(lockgate, ["init", "--origin", "other/audit"])
    done = run("audit", "rotate-key", "--new-key", tmp_path / "other" / "log.key")

    assert isinstance(done.exception, ConfigError)
    assert _bodies(data_dir, KEY_ROTATE) == []


def test_rotation_to_a_program(run: Run, tmp_path: Path) -> None:
    """The new key may be one that another program keeps: the log goes on with it, and the doctor asks it to sign."""
    signer = make_signer(ORIGIN, bytes(range(32)))
    (tmp_path / "public.key").write_text(f"{signer.verifier_key}\n")
    (tmp_path / "key.pem").write_bytes(
        Ed25519PrivateKey.from_private_bytes(signer.seed).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    script = tmp_path / "sign it"
    script.write_text(OPENSSL.format(key=tmp_path / "key.pem"))
    script.chmod(0o700)
    command = f"'{script}' --quiet"
    done = run("audit", "rotate-key", "--new-key", tmp_path / "public.key", "--new-signer-command", command)
    settings = {"LOG_KEY_FILE": tmp_path / "public.key", "LOG_SIGNER_COMMAND": command}
    shown = run("audit", "show", "1", **settings)
    doctor = run("doctor", **settings)
    ill = run("doctor", **settings | {"LOG_SIGNER_COMMAND": "/bin/false"})

    assert (done.return_value, done.stdout) == (0, f"{signer.verifier_key}\n")
    assert f"LOCKGATE_LOG_SIGNER_COMMAND={command}" in done.stderr
    assert "log.key.rotate" in shown.stdout
    assert f"of {ORIGIN}; {script} signs with it" in doctor.output
    assert "audit.signer_failed" in ill.output


def test_compromise(run: Run, data_dir: Path) -> None:
    """A lost key is given up under its successor, with the size that was named; a key in use is not."""
    lost = str(load_public_key(data_dir / "log.key"))
    early = run("audit", "compromise-key", lost, "--trusted-size", "1", "--reason", "a tape was lost")
    run("audit", "rotate-key", "--new-key", data_dir / "new.key")
    during = run(
        "audit", "compromise-key", lost, "--trusted-size", "1", "--reason", "a tape was lost", **_rotated(data_dir)
    )
    new = {"LOG_KEY_FILE": data_dir / "new.key"}
    unknown = run("audit", "compromise-key", lost, "--reason", "a tape was lost", **new)
    done = run("audit", "compromise-key", lost, "--trusted-size", "1", "--reason", "a tape was lost", **new)

    assert isinstance(early.exception, KeyChangeError)
    assert isinstance(during.exception, KeyChangeError)
    assert "want --trusted-size" in str(unknown.exception)
    assert done.return_value == 0
    assert _bodies(data_dir, KEY_COMPROMISE) == [{"key": lost, "trusted_size": 1, "reason": "a tape was lost"}]


def _back_up(data_dir: Path, copy: Path) -> None:
    source, target = sqlite3.connect(data_dir / "lockgate.db"), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def _restore(data_dir: Path, copy: Path) -> None:
    for path in data_dir.glob("lockgate.db*"):
        path.unlink()
    shutil.copy(copy, data_dir / "lockgate.db")


def _register(data_dir: Path, name: str, version: str) -> None:
    engine, clock = open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"), SystemClock()
    log = AuditLog(
        engine=engine,
        signer=load_signer(data_dir / "log.key"),
        clock=clock,
        catalogue=KindCatalogue(REGISTRATION_KINDS),
        instance="test",
        checkpoint_file=data_dir / "checkpoints.txt",
    )
    registration = Registration(log=log, database=engine, clock=clock, registries=[BUILTIN], known_models=tuple)
    principal = parse_principal(subject="ravi", type="user", roles=["requester"], identities=[])
    model = orjson.dumps({"schema_version": 1, "name": name, "owner": "payments-ml"})
    made = orjson.dumps({"schema_version": 1, "version": version, "digest": "sha256:" + "a" * 64})
    registration.create_model(Call(principal=principal, body=model, trace=str(uuid.uuid4())))
    registration.create_version(Call(principal=principal, body=made, trace=str(uuid.uuid4())), name)
    engine.dispose()


def _make_token(run: Run, subject: str, *more: str) -> None:
    kind = ["--type", "machine"] if more else []
    roles = [word for role in more for word in ("--role", role)]
    assert run("token", "create", "--subject", subject, *kind, *roles, "--expires-in", "1d").exception is None


def _tokens(data_dir: Path) -> dict[str, bool]:
    engine = open_engine(f"sqlite:///{data_dir / 'lockgate.db'}")
    tokens = IdentityStore(engine, SystemClock()).list_tokens()
    engine.dispose()
    return {token.token_id: token.revoked_ns is not None for token in tokens}


def test_recovery_from_end_to_end(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """The log comes back, a token revoked since is revoked again, and what else was undone is named; code 3."""
    _make_token(run, "ci", "requester", "operator")
    _make_token(run, "ci")
    kept, revoked = _tokens(data_dir)
    _back_up(data_dir, tmp_path / "backup.db")
    run("token", "revoke", revoked)
    _make_token(run, "ci", "requester")  # takes a role away
    (made,) = _tokens(data_dir).keys() - {kept, revoked}
    assert run("audit", "export", "--out", tmp_path / "export").exception is None
    _restore(data_dir, tmp_path / "backup.db")
    assert _tokens(data_dir) == {kept: False, revoked: False}
    assert isinstance(run("token", "create", "--subject", "ci", "--expires-in", "1d").exception, LogBehindError)
    done = run("audit", "recover", "--from", tmp_path / "export", "--reason", "the disk failed")

    assert done.return_value == 3, done.exception
    assert _tokens(data_dir) == {kept: False, revoked: True}
    assert [line.split("  ")[2:] for line in done.stdout.splitlines()] == [
        ["identity.token", f"revoked {revoked} of ci"],
        ["identity.principal", "ci"],
        ["identity.token", f"created {made} of ci"],
    ]
    assert f"token {revoked} of ci: was valid again, and is revoked again" in done.stderr
    assert f"token {made} of ci: is gone" in done.stderr
    assert "principals were changed" in done.stderr
    assert [body["reason"] for body in _bodies(data_dir, RECOVER)] == ["the disk failed"]
    assert run("audit", "show", "0").exception is None
    again = run("audit", "recover", "--from", tmp_path / "export")
    assert (again.return_value, again.stdout) == (3, done.stdout)


def test_recovery_after_the_principals_were_put_right(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """Each principal that was put again since the recovery is done with; with the last of them the code is 0."""
    _back_up(data_dir, tmp_path / "backup.db")
    _make_token(run, "ci", "requester")
    _make_token(run, "nightly", "requester")
    run("audit", "export", "--out", tmp_path / "export")
    _restore(data_dir, tmp_path / "backup.db")
    first = run("audit", "recover", "--from", tmp_path / "export")
    _make_token(run, "ci", "requester")
    second = run("audit", "recover", "--from", tmp_path / "export")
    _make_token(run, "nightly", "requester")
    third = run("audit", "recover", "--from", tmp_path / "export")

    assert [done.return_value for done in (first, second, third)] == [3, 3, 0]
    assert first.stderr.endswith("starts:\n  ci\n  nightly\n")
    assert second.stderr.endswith("starts:\n  nightly\n")
    assert "principals were changed" not in third.stderr
    assert first.stdout == second.stdout == third.stdout


def test_recovery_names_the_models_that_are_gone(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """What was registered since the backup is not there; the records put back say what it was."""
    _back_up(data_dir, tmp_path / "backup.db")
    _register(data_dir, "fraud-detector", "1.4.0")
    run("audit", "export", "--out", tmp_path / "export")
    _restore(data_dir, tmp_path / "backup.db")
    done = run("audit", "recover", "--from", tmp_path / "export")

    assert done.return_value == 0, done.exception
    assert [line.split("  ")[2:] for line in done.stdout.splitlines()] == [
        ["registry.model", "created model:fraud-detector"],
        ["registry.version", "created model:fraud-detector 1.4.0"],
    ]
    assert "models, principals and tokens are those of the backup" in done.stderr


def test_nothing_to_recover(run: Run, tmp_path: Path) -> None:
    """A log that is whole, and always was, is told so."""
    run("audit", "export", "--out", tmp_path / "export")

    assert isinstance(run("audit", "recover", "--from", tmp_path / "export").exception, NothingMissingError)


def test_recovery_of_records_that_changed_nothing_else(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """Where only the log itself was behind there is nothing to put right, and the code is 0."""
    _back_up(data_dir, tmp_path / "backup.db")
    run("audit", "show", "0")  # is recorded
    run("audit", "export", "--out", tmp_path / "export")
    _restore(data_dir, tmp_path / "backup.db")
    done = run("audit", "recover", "--from", tmp_path / "export")
    again = run("audit", "recover", "--from", tmp_path / "export")

    assert (done.return_value, done.stdout) == (0, "")
    assert (again.return_value, again.stdout) == (0, "")
    assert len(_bodies(data_dir, RECOVER)) == 1


def test_recovery_without_a_good_export(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """With an export that is too old, or was changed, nothing is put back, and the message says what is left."""
    _back_up(data_dir, tmp_path / "backup.db")
    run("audit", "export", "--out", tmp_path / "export")
    run("audit", "show", "0")
    _restore(data_dir, tmp_path / "backup.db")
    short = run("audit", "recover", "--from", tmp_path / "export")
    records = tmp_path / "export" / "records.jsonl"
    records.write_bytes(records.read_bytes().replace(b"folder", b"fodder"))
    changed = run("audit", "recover", "--from", tmp_path / "export")

    assert isinstance(short.exception, RecoveryError)
    assert "begin another in a new database" in str(short.exception)
    assert isinstance(changed.exception, RecoveryError)
    assert _bodies(data_dir, RECOVER) == []


def test_receipt_from_before_verifies_after(run: Run, data_dir: Path, tmp_path: Path) -> None:
    """A receipt that was given for a record that the backup lacked is the one that the recovered log gives."""
    _back_up(data_dir, tmp_path / "backup.db")
    run("audit", "show", "0")
    engine = open_engine(f"sqlite:///{data_dir / 'lockgate.db'}")
    before = LogReader(engine, ORIGIN).receipt(1)
    engine.dispose()
    run("audit", "export", "--out", tmp_path / "export")
    _restore(data_dir, tmp_path / "backup.db")
    run("audit", "recover", "--from", tmp_path / "export")
    after = LogReader(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"), ORIGIN).receipt(1)

    assert after == before
    assert verify_receipt(after, [load_public_key(data_dir / "log.key")])["kind"] == "log.read"
