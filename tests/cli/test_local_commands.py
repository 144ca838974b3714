"""What an operator runs beside the service."""

import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from lockgate.audit import parse_verifier_key
from lockgate.canonical_json import parse_json
from lockgate.identity import IdentityStore
from lockgate.shipped import shipped_folder
from lockgate.storage import check_schema, open_engine, write_transaction
from lockgate.system_clock import SystemClock
from support.commands import Ended, Run

_ORIGIN: Final = "gate.test/audit"
_PERSON: Final = ("--subject", "alice@example.org", "--type", "user", "--role", "approver:risk")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the gate shall live; not there yet."""
    return tmp_path / "data"


@pytest.fixture
def local(run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command beside the service."""
    for name in ("DATABASE_URL", "LOG_KEY_FILE", "POLICY_DIR", "POLICY_CONFIG_DIR", "POLICY_ENGINE"):
        monkeypatch.delenv(f"LOCKGATE_{name}", raising=False)

    trust_dir = data_dir.parent / "domains"
    trust_dir.mkdir()
    (trust_dir / "public-good.toml").write_text('name = "public-good"\ntrusted_root = "builtin:public-good"\n')
    settings = {"LOCKGATE_DATA_DIR": str(data_dir), "LOCKGATE_TRUST_DIR": str(trust_dir)}

    def local(*arguments: str, environment: dict[str, str | None] | None = None) -> Ended:
        return run(*arguments, environment={**settings, **(environment or {})})

    return local


@pytest.fixture
def initialised(local: Run) -> Run:
    """Run a command beside a service that was initialised."""
    assert local("init", "--origin", _ORIGIN).code == 0

    return local


def _store(data_dir: Path) -> IdentityStore:
    return IdentityStore(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"), SystemClock())


def test_init(local: Run, data_dir: Path) -> None:
    """A fresh folder gets a key for its owner alone, the tables and the log; the public key is printed alone."""
    ended = local("init", "--origin", _ORIGIN)

    assert ended.code == 0
    assert parse_verifier_key(ended.out.strip()).name == _ORIGIN
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "log.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((data_dir / "permit.key").stat().st_mode) == 0o600
    check_schema(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"))


def test_init_again(initialised: Run, data_dir: Path) -> None:
    """A second run prints the same key and changes neither key nor log."""
    key, permit_key = (data_dir / "log.key").read_bytes(), (data_dir / "permit.key").read_bytes()

    first, second = (initialised("init", "--origin", _ORIGIN) for _ in range(2))

    assert (first.code, first.out) == (second.code, second.out) == (0, first.out)
    assert (data_dir / "log.key").read_bytes() == key
    assert (data_dir / "permit.key").read_bytes() == permit_key


def test_init_under_another_name(initialised: Run) -> None:
    """A log keeps its name."""
    ended = initialised("init", "--origin", "other.test/audit")

    assert (ended.code, ended.out) == (2, "")
    assert _ORIGIN in ended.err


def test_init_without_the_key_of_a_log(initialised: Run, data_dir: Path) -> None:
    """Where a log is and its key is not, no new key is made: it could not continue the log."""
    (data_dir / "log.key").unlink()

    ended = initialised("init", "--origin", _ORIGIN)

    assert (ended.code, ended.out) == (2, "")
    assert "put the key back from the backup" in ended.err
    assert not (data_dir / "log.key").exists()


def test_init_of_an_upgraded_database(local: Run, data_dir: Path) -> None:
    """Tables without a log do not keep a key from being made."""
    data_dir.mkdir()
    assert local("db", "upgrade").code == 0

    assert local("init", "--origin", _ORIGIN).code == 0


@pytest.mark.parametrize(
    ("origin", "named"),
    [
        ("https://gate.test", "a name without scheme"),
        ("gate.test", "HOST/NAME"),
        ("gate.test/", "HOST/NAME"),
        ("gate.test/audit/staging", "HOST/NAME"),
        ("gate.test/my log", "a name without white space"),
        ("gate.test\t", "a name without white space"),
        ("a+b", "a name without '+'"),
    ],
)
def test_init_under_a_bad_name(origin: str, named: str, local: Run, data_dir: Path) -> None:
    """A name that is no log's name is refused for what is wrong with it, before anything is made."""
    ended = local("init", "--origin", origin)

    assert (ended.code, ended.out) == (2, "")
    assert f"want {named}" in ended.err
    assert not data_dir.exists()


def test_no_data_folder(local: Run) -> None:
    """Without the one setting that has no default, a local command is a usage error that names it."""
    ended = local("db", "upgrade", environment={"LOCKGATE_DATA_DIR": None})

    assert (ended.code, ended.out) == (2, "")
    assert "LOCKGATE_DATA_DIR" in ended.err


def test_data_dir_option_wins(local: Run, tmp_path: Path) -> None:
    """--data-dir wins over the environment."""
    ended = local("init", "--origin", _ORIGIN, "--data-dir", str(tmp_path / "elsewhere"))

    assert ended.code == 0
    assert (tmp_path / "elsewhere" / "lockgate.db").is_file()


def test_db_upgrade(local: Run, data_dir: Path) -> None:
    """An empty database gets the tables of this version, and a second run changes nothing."""
    data_dir.mkdir()

    assert [local("db", "upgrade").code, local("db", "upgrade").code] == [0, 0]
    check_schema(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"))


def test_token_create(initialised: Run, data_dir: Path) -> None:
    """The secret is all of standard output, and stands for the principal that the options describe."""
    ended = initialised("token", "create", *_PERSON, "--identity", "alice@sign.example", "--expires-in", "30d")

    secret = ended.out.strip()
    holder = _store(data_dir).authenticate(secret)
    assert ended.code == 0
    assert ended.out == f"{secret}\n"
    assert secret not in ended.err
    assert holder is not None
    principal = holder.principal
    assert (principal.subject, principal.type) == ("alice@example.org", "user")
    assert (principal.roles, principal.identities) == (("approver:risk",), ("alice@sign.example",))


def test_token_renew(initialised: Run, data_dir: Path) -> None:
    """Without --type another token is made and the principal stays as it is."""
    initialised("token", "create", *_PERSON, "--expires-in", "30d")

    ended = initialised("token", "create", "--subject", "alice@example.org", "--expires-in", "12h")

    holder = _store(data_dir).authenticate(ended.out.strip())
    assert holder is not None
    assert holder.principal.roles == ("approver:risk",)


def test_token_list_and_revoke(initialised: Run, data_dir: Path) -> None:
    """A revoked token stands for nobody; the list shows its state and no secret."""
    secret = initialised("token", "create", *_PERSON, "--expires-in", "30d").out.strip()
    token_id = initialised("token", "list").out.split()[0]

    ended = initialised("token", "revoke", token_id)

    listed = initialised("token", "list").out
    assert ended.code == 0
    assert _store(data_dir).authenticate(secret) is None
    assert listed.split()[:2] == [token_id, "revoked"]
    assert "alice@example.org" in listed
    assert secret not in listed


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--subject", "alice", "--role", "requester", "--expires-in", "1d"), 2),
        (("--subject", "alice", "--type", "robot", "--expires-in", "1d"), 2),
        ((*_PERSON, "--expires-in", "0d"), 2),
        ((*_PERSON, "--expires-in", "30"), 2),
        ((*_PERSON, "--expires-in", "367d"), 2),
        ((*_PERSON, "--expires-in", "-1d"), 2),
        (_PERSON, 2),
        (("--subject", "nobody", "--expires-in", "1d"), 3),
    ],
)
def test_token_refused(arguments: tuple[str, ...], code: int, initialised: Run) -> None:
    """A token without a clear owner, role or end is not made."""
    ended = initialised("token", "create", *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert initialised("token", "list").out == ""


def test_token_with_an_unknown_role(initialised: Run) -> None:
    """A role that there is not is named."""
    ended = initialised("token", "create", *_PERSON, "--role", "boss", "--expires-in", "1d")

    assert (ended.code, ended.out) == (2, "")
    assert "got 'boss'" in ended.err


def test_token_without_a_role(initialised: Run) -> None:
    """A token that permits nothing is made with a warning, also when it is renewed."""
    made = initialised("token", "create", "--subject", "alice", "--type", "user", "--expires-in", "1d")
    renewed = initialised("token", "create", "--subject", "alice", "--expires-in", "1d")
    useful = initialised("token", "create", *_PERSON, "--expires-in", "1d")

    assert (made.code, renewed.code) == (0, 0)
    assert "alice has no role" in made.err
    assert "alice has no role" in renewed.err
    assert "no role" not in useful.err


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "| :"])
def test_token_that_nobody_received(redirection: str, initialised: Run, data_dir: Path) -> None:
    """A token whose secret could not be handed over is revoked."""
    arguments = ("token", "create", *_PERSON, "--expires-in", "30d", "--data-dir", str(data_dir))
    # In a pipe the reader is gone before the writer begins.
    script = f'(sleep 0.5; "$@"; echo $? >&2) {redirection}'
    ended = subprocess.run(
        ("sh", "-c", script, "sh", sys.executable, "-m", "lockgate", *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.stderr.endswith("[client.output]\n3\n")
    assert "could not be shown, and is revoked" in ended.stderr
    assert initialised("token", "list").out.split()[1] == "revoked"


def test_every_change_of_who_may_call_is_recorded(initialised: Run) -> None:
    """Who was given which role, and every token made or ended, stands in the audit log; no secret does."""
    made = initialised("token", "create", *_PERSON, "--expires-in", "30d")
    token_id = initialised("token", "list").out.split()[0]
    initialised("token", "revoke", token_id)

    shown = initialised("audit", "show", "--last", "10", "--output", "json").out
    records = [parse_json(line.encode(), bytes_max=40_000) for line in shown.splitlines()]
    changes = [(record["kind"], record["body"].get("change")) for record in records if record["kind"] != "log.genesis"]
    assert sorted(changes, key=str) == [
        ("identity.principal", "put"),
        ("identity.token", "created"),
        ("identity.token", "revoked"),
    ]
    assert made.out.strip() not in shown


def test_token_revoke_unknown(initialised: Run) -> None:
    """A token that is not there cannot be revoked."""
    ended = initialised("token", "revoke", "42")

    assert ended.code == 3
    assert "[identity.token_unknown]" in ended.err


def test_token_without_tables(local: Run, data_dir: Path) -> None:
    """A database without the tables is named as such, with the command that mends it."""
    data_dir.mkdir()
    (data_dir / "lockgate.db").touch()

    ended = local("token", "list")

    assert ended.code == 3
    assert "lockgate db upgrade" in ended.err


def test_serve_without_a_gate(local: Run, tmp_path: Path) -> None:
    """Where nothing was initialised, serving ends with one line that names the place and what makes it."""
    absent = tmp_path / "absent"

    ended = local("serve", "--bind", "127.0.0.1:0", "--data-dir", str(absent))

    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert str(absent) in ended.err
    assert "'lockgate init'" in ended.err


def test_serve_where_another_serves(initialised: Run) -> None:
    """An address that is taken is named in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"

        ended = initialised("serve", "--bind", bind)

    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"lockgate: cannot listen on {bind}: Address already in use [serve.address]\n"


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:65536", "8080", "127.0.0.1", "unix:/tmp/x", "fd://3", "127.0.0.1:8080 --config=x"]
)
def test_serve_refuses(bind: str, initialised: Run) -> None:
    """Gunicorn's other kinds of address are not passed on."""
    assert initialised("serve", "--bind", bind).code == 2


def _doctor(run: Run, **settings: Path) -> dict[str, tuple[str, str]]:
    """Run the doctor; return what is said of each check: its state, and its detail with the next step."""
    ended = run("doctor", environment={f"LOCKGATE_{name.upper()}": str(value) for name, value in settings.items()})
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in ended.out.splitlines():
        state, heading, text = line[:13].strip(), line[13:30].strip(), line[30:]
        if state:
            name = heading
            found[name] = (state, text)
        else:
            assert heading == "next"
            found[name] = (found[name][0], f"{found[name][1]} NEXT {text}")
    assert ended.err == ""
    assert ended.code == (0 if {state for state, _ in found.values()} == {"ok"} else 3)
    return found


def _in_state(found: dict[str, tuple[str, str]], wanted: str) -> set[str]:
    return {name for name, (state, _) in found.items() if state == wanted}


def _replace_database(data_dir: Path, content: bytes) -> None:
    for path in data_dir.glob("lockgate.db*"):  # SQLite's side files too
        path.unlink()
    (data_dir / "lockgate.db").write_bytes(content)


def test_doctor_well(initialised: Run) -> None:
    """A gate just initialised is well in every part."""
    found = _doctor(initialised)

    assert _in_state(found, "ok") == set(found)
    assert len(found) == 11


def test_doctor_without_settings(local: Run) -> None:
    """Without settings the doctor says which one is missing, and does not guess the rest."""
    ended = local("doctor", environment={"LOCKGATE_DATA_DIR": None})

    assert ended.code == 3
    assert ended.out.startswith("FAILED       settings         LOCKGATE_DATA_DIR")


def test_doctor_before_init(local: Run, data_dir: Path) -> None:
    """Before init the doctor says once what is missing and what makes it, and makes nothing."""
    found = _doctor(local)

    assert _in_state(found, "FAILED") == {"data folder"}
    assert found["data folder"][1].endswith("NEXT run 'lockgate init --origin NAME'")
    assert _in_state(found, "not checked") == {"log key", "database", "audit log", "clock", "decision"}
    assert found["database"][1] == "needs: data folder"
    assert not data_dir.exists()


def test_doctor_without_a_database(initialised: Run, data_dir: Path) -> None:
    """A missing database is made by init."""
    (data_dir / "lockgate.db").unlink()

    found = _doctor(initialised)

    assert _in_state(found, "FAILED") == {"database"}
    assert found["database"][1].endswith("NEXT run 'lockgate init --origin NAME'")


def test_doctor_with_another_database(initialised: Run, data_dir: Path) -> None:
    """A file that is no database is called one, and nothing that would overwrite it is advised."""
    _replace_database(data_dir, b"not a database " * 1000)

    found = _doctor(initialised)

    assert _in_state(found, "FAILED") == {"database"}
    assert "file is not a database" in found["database"][1]
    assert "lockgate init" not in found["database"][1]


def test_doctor_without_tables(initialised: Run, data_dir: Path) -> None:
    """A database without this version's tables is upgraded."""
    _replace_database(data_dir, b"")

    assert _doctor(initialised)["database"][1].endswith("NEXT run 'lockgate db upgrade'")


@pytest.mark.parametrize(("name", "check", "want"), [(".", "data folder", 700), ("log.key", "log key", 600)])
def test_doctor_open_to_others(name: str, check: str, want: int, initialised: Run, data_dir: Path) -> None:
    """A folder or key that others can enter is found, with the one command that closes it."""
    path = data_dir / name
    path.chmod(path.stat().st_mode | 0o044)

    found = _doctor(initialised)

    assert _in_state(found, "FAILED") == {check}
    assert found[check][1].endswith(f"NEXT chmod {want} {path}")


def test_doctor_with_a_shortened_log(initialised: Run, data_dir: Path) -> None:
    """A log whose newest record was deleted is found, and what reads that record is not checked."""
    with write_transaction(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}")) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_entry_delete")
        connection.exec_driver_sql("DELETE FROM audit_entry WHERE seq = (SELECT max(seq) FROM audit_entry)")

    found = _doctor(initialised)

    assert _in_state(found, "FAILED") == {"audit log"}
    assert _in_state(found, "not checked") == {"clock", "decision"}


def test_doctor_without_a_key(initialised: Run, data_dir: Path) -> None:
    """A key that is gone is put back, not made anew."""
    (data_dir / "log.key").unlink()

    assert "NEXT if there was a log, put its key back" in _doctor(initialised)["log key"][1]


def test_doctor_with_a_broken_check(initialised: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in one check does not keep the others from being made."""

    def fail(_folder: Path) -> None:
        raise IndexError

    monkeypatch.setattr("lockgate.cli.doctor.load_trust_domains", fail)

    found = _doctor(initialised)

    assert _in_state(found, "FAILED") == {"trust domains"}
    assert "the check broke: IndexError" in found["trust domains"][1]


def test_doctor_says_where_the_policys_data_come_from(initialised: Run, tmp_path: Path) -> None:
    """The folder that is read is named, so that nobody edits another one: the policy's own, or that of the settings."""
    config = tmp_path / "config"
    shutil.copytree(shipped_folder("policies") / "lockgate" / "config", config)

    assert _doctor(initialised)["policy"][1].endswith(f"data from {shipped_folder('policies')}/lockgate/config")
    assert _doctor(initialised, policy_config_dir=config)["policy"][1].endswith(f"data from {config}")


def test_doctor_unreadable_policy(initialised: Run, tmp_path: Path) -> None:
    """A policy folder without a policy is found."""
    (tmp_path / "policies").mkdir()

    found = _doctor(initialised, policy_dir=tmp_path / "policies")

    assert _in_state(found, "FAILED") == {"policy"}
    assert _in_state(found, "not checked") == {"trusted signers", "decision"}


@pytest.mark.parametrize(
    ("setting", "check"),
    [("policy_dir", "policy"), ("policy_config_dir", "policy"), ("trust_dir", "trust domains")],
)
def test_doctor_with_a_folder_that_is_not_there(setting: str, check: str, initialised: Run, tmp_path: Path) -> None:
    """A folder that a setting names and that is not there is named as that."""
    found = _doctor(initialised, **{setting: tmp_path / "absent"})

    variable = f"LOCKGATE_{setting.upper()}"
    assert found[check][1].startswith(f"{variable}: there is no folder {tmp_path / 'absent'} NEXT make it")


def test_doctor_without_trust(initialised: Run, tmp_path: Path) -> None:
    """A trust folder without a domain is found."""
    (tmp_path / "trust").mkdir()

    assert _in_state(_doctor(initialised, trust_dir=tmp_path / "trust"), "FAILED") == {"trust domains"}


def test_doctor_with_a_signer_of_no_trust_domain(initialised: Run, tmp_path: Path) -> None:
    """A signer whose trust domain is not loaded, and who so can never be trusted, is found."""
    config = tmp_path / "config"
    shutil.copytree(shipped_folder("policies") / "lockgate" / "config", config)
    trust = config / "trust" / "data.json"
    trust.write_text(trust.read_text().replace('"public-good"', '"elsewhere"'))

    found = _doctor(initialised, policy_config_dir=config)

    assert _in_state(found, "FAILED") == {"trusted signers"}
    assert "'elsewhere', which is not among ['public-good']" in found["trusted signers"][1]
