"""What an operator runs beside the service."""

import stat
from pathlib import Path
from typing import Final

import pytest

from lockgate.audit import parse_verifier_key
from lockgate.identity import IdentityStore
from lockgate.storage import check_schema, open_engine
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
    check_schema(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"))


def test_init_again(initialised: Run, data_dir: Path) -> None:
    """A second run prints the same key and changes neither key nor log."""
    key = (data_dir / "log.key").read_bytes()

    first, second = (initialised("init", "--origin", _ORIGIN) for _ in range(2))

    assert (first.code, first.out) == (second.code, second.out) == (0, first.out)
    assert (data_dir / "log.key").read_bytes() == key


def test_init_under_another_name(initialised: Run) -> None:
    """A log keeps its name."""
    ended = initialised("init", "--origin", "other.test/audit")

    assert (ended.code, ended.out) == (2, "")
    assert _ORIGIN in ended.err


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
    principal = _store(data_dir).authenticate(secret)
    assert ended.code == 0
    assert ended.out == f"{secret}\n"
    assert secret not in ended.err
    assert principal is not None
    assert (principal.subject, principal.type) == ("alice@example.org", "user")
    assert (principal.roles, principal.identities) == (("approver:risk",), ("alice@sign.example",))


def test_token_renew(initialised: Run, data_dir: Path) -> None:
    """Without --type another token is made and the principal stays as it is."""
    initialised("token", "create", *_PERSON, "--expires-in", "30d")

    ended = initialised("token", "create", "--subject", "alice@example.org", "--expires-in", "12h")

    principal = _store(data_dir).authenticate(ended.out.strip())
    assert principal is not None
    assert principal.roles == ("approver:risk",)


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
        ((*_PERSON, "--role", "root", "--expires-in", "1d"), 2),
        (("--subject", "nobody", "--expires-in", "1d"), 3),
    ],
)
def test_token_refused(arguments: tuple[str, ...], code: int, initialised: Run) -> None:
    """A token without a clear owner, role or end is not made."""
    ended = initialised("token", "create", *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert initialised("token", "list").out == ""


def test_token_revoke_unknown(initialised: Run) -> None:
    """A token that is not there cannot be revoked."""
    ended = initialised("token", "revoke", "42")

    assert ended.code == 3
    assert "[identity.token_unknown]" in ended.err


def test_token_without_tables(local: Run, data_dir: Path) -> None:
    """A database without the tables is named as such, with the command that mends it."""
    data_dir.mkdir()

    ended = local("token", "list")

    assert ended.code == 3
    assert "lockgate db upgrade" in ended.err


@pytest.mark.parametrize("bind", ["8080", "127.0.0.1", "unix:/tmp/x", "fd://3", "127.0.0.1:8080 --config=x"])
def test_serve_refuses(bind: str, initialised: Run) -> None:
    """Gunicorn's other kinds of address are not passed on."""
    assert initialised("serve", "--bind", bind).code == 2


def _findings(out: str) -> dict[str, str]:
    lines = (line for line in out.splitlines() if not line.startswith(" "))
    return {line[8:22].strip(): line[:8].strip() for line in lines}


def test_doctor_well(initialised: Run) -> None:
    """A gate just initialised is well in every part."""
    ended = initialised("doctor")

    assert ended.code == 0, ended.out
    assert set(_findings(ended.out).values()) == {"ok"}
    assert len(_findings(ended.out)) == 9


def test_doctor_without_settings(local: Run) -> None:
    """Without settings the doctor says which one is missing, and does not guess the rest."""
    ended = local("doctor", environment={"LOCKGATE_DATA_DIR": None})

    assert ended.code == 3
    assert _findings(ended.out) == {"settings": "FAILED"}
    assert "LOCKGATE_DATA_DIR" in ended.out


def test_doctor_before_init(local: Run, data_dir: Path) -> None:
    """Before init the doctor names the folder, the database and the log, and makes nothing."""
    ended = local("doctor")

    failed = {name for name, state in _findings(ended.out).items() if state == "FAILED"}
    assert ended.code == 3
    assert failed == {"data folder", "database", "audit log", "clock", "decision"}
    assert "lockgate init" in ended.out
    assert not data_dir.exists()


def test_doctor_open_folder(initialised: Run, data_dir: Path) -> None:
    """A folder that others can enter is found."""
    data_dir.chmod(0o755)

    assert _findings(initialised("doctor").out)["data folder"] == "FAILED"


def test_doctor_unreadable_policy(initialised: Run, tmp_path: Path) -> None:
    """A policy folder without a policy is found."""
    (tmp_path / "policies").mkdir()

    found = _findings(initialised("doctor", environment={"LOCKGATE_POLICY_DIR": str(tmp_path / "policies")}).out)

    assert (found["policy"], found["decision"], found["database"]) == ("FAILED", "FAILED", "ok")


def test_doctor_without_trust(initialised: Run, tmp_path: Path) -> None:
    """A trust folder without a domain is found."""
    (tmp_path / "trust").mkdir()

    found = _findings(initialised("doctor", environment={"LOCKGATE_TRUST_DIR": str(tmp_path / "trust")}).out)

    assert (found["trust domains"], found["decision"]) == ("FAILED", "FAILED")
