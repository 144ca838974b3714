"""`lockgate config`: what an operator sees of the settings before anything is started."""

from pathlib import Path
from typing import Any, Final

import pytest

from lockgate.canonical_json import parse_json
from lockgate.schemas import check_schema
from support.commands import Run

_BYTES_MAX: Final = 1024 * 1024
_ISSUER: Final = """
[[issuer]]
name = "github"
kind = "github"
url = "https://token.actions.githubusercontent.com"
audience = "https://gate.example.org"

[[issuer.rule]]
claims = { repository_id = "4711" }
principal = "ci"
type = "machine"
roles = ["requester"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings' file; nothing is wrong with it. No variable says otherwise."""
    for name in ("DATA_DIR", "DATABASE_URL", "CONFIG", "TRUST_DIR", "POLICY_DIR", "POLICY_ENGINE", "OPA_URL"):
        monkeypatch.delenv(f"LOCKGATE_{name}", raising=False)
    path = tmp_path / "lockgate.toml"
    path.write_text(f'data_dir = "data"\n{_ISSUER}')
    return path


def _document(text: str, schema: str) -> Any:
    document = parse_json(text.encode(), bytes_max=_BYTES_MAX)
    check_schema(schema, document)
    return document


def test_check_of_settings_that_can_be_used(run: Run, file: Path) -> None:
    """One word, and nothing was made: neither the data folder nor a database."""
    by_option = run("config", "check", "--config", str(file))
    by_variable = run("config", "check", environment={"LOCKGATE_CONFIG": str(file)})

    assert (by_option.code, by_option.out, by_option.err) == (0, "ok\n", "")
    assert (by_variable.code, by_variable.out, by_variable.err) == (0, "ok\n", "")
    assert not (file.parent / "data").exists()


def test_check_tells_everything_that_is_wrong(run: Run, file: Path) -> None:
    """By file and line, each on a line of its own; the exit code is that of wrong usage."""
    file.write_text('data_dir = "data"\n\npolicy_timeout_s = 9\nreqests_at_once = 3\n')

    ended = run("config", "check", "--config", str(file), environment={"LOCKGATE_WORKERS": "x"})

    assert ended.code == 2
    assert ended.out.splitlines() == [
        "wrong: LOCKGATE_WORKERS: want a whole number from 1 to 64, got 'x'",
        f"wrong: {file}:3: policy_timeout_s: want more than 0 and at most 4 seconds, got 9",
        f"wrong: {file}:4: reqests_at_once: unknown setting; did you mean requests_at_once?",
    ]


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ('database_url = "mysql://u:s3cret@h/db"', "want a database URL, "),
        ('trust_dir = "none"', "there is not a folder {folder}/none"),
        ('trust_dir = "empty"', ""),
        ('default_trust_domain = "ours"', "want one of ['public-good']"),
        ('policy_dir = "lockgate.toml"', "there is not a folder {folder}/lockgate.toml"),
        ('policy_config_dir = "none"', "there is not a folder {folder}/none"),
        ('audit_policy = "none"', "there is not a file {folder}/none"),
        ('audit_policy = "empty"', "there is not a file {folder}/empty"),
        ('audit_policy = "binary"', "cannot read it: "),
        ('audit_policy = "lockgate.toml"', ""),
        ('tsa_roots = "lockgate.toml"', ""),
        ('log_former_key_file = "lockgate.toml"', ""),
        ('policy_engine = "opa"\nopa_url = "https://opa"\nopa_ca_file = "lockgate.toml"', "want certificates in PEM"),
        ('login_issuer = "x"\nlogin_client_id = "x"\npublic_url = "https://x"', "want the name of an [[issuer]]"),
    ],
)
def test_check_tries_what_settings_name(setting: str, text: str, run: Run, file: Path) -> None:
    """A file or folder that is not there, or is not what it must be, is told at the line that names it."""
    (file.parent / "empty").mkdir()
    (file.parent / "binary").write_bytes(b"\xff")
    lines = setting.split("\n")
    name = "login_issuer" if "login" in setting else lines[-1].split(" ")[0]
    line = 2 if "login" in setting else 1 + len(lines)
    file.write_text(f'data_dir = "data"\n{setting}\n{_ISSUER}')
    file.chmod(0o600)

    ended = run("config", "check", "--config", str(file))

    assert ended.code == 2, ended.out
    (said,) = ended.out.splitlines()
    assert said.startswith(f"wrong: {file}:{line}: {name}: {text.format(folder=file.parent)}")
    assert "s3cret" not in said


def test_check_says_once_that_the_trust_folder_is_missing(run: Run, file: Path) -> None:
    """What rests on a folder that is missing is not told as well."""
    file.write_text('data_dir = "data"\ntrust_dir = "none"\ndefault_trust_domain = "ours"\n')

    assert len(run("config", "check", "--config", str(file)).out.splitlines()) == 1


def test_check_finds_the_line_in_an_issuer(run: Run, file: Path) -> None:
    """A rule that names nothing immutable is told by the line of its claims."""
    file.write_text(file.read_text().replace("repository_id", "repository"))

    ended = run("config", "check", "--config", str(file))

    assert ended.code == 2
    assert ended.out.startswith(f"wrong: {file}:10: issuer[0].rule[0].claims: ")


def test_check_warns_of_secrets_that_everybody_may_read(run: Run, file: Path) -> None:
    """It is no error, for Docker mounts secrets so; a secret in a file of the owner's is not warned of."""
    secret = file.parent / "secret"
    secret.write_text("token")
    secret.chmod(0o444)
    file.write_text('data_dir = "data"\nopa_token_file = "secret"\nlogin_client_secret = "s3cret"\n')
    file.chmod(0o644)

    open_to_all = run("config", "check", "--config", str(file))
    file.chmod(0o600)
    secret.chmod(0o400)
    closed = run("config", "check", "--config", str(file))

    assert open_to_all.code == 0
    assert open_to_all.out.splitlines() == [
        f"warning: {file}:2: opa_token_file: every user may read the secret in {secret}",
        f"warning: {file}:3: login_client_secret: every user may read this file and the secret in it",
        "ok",
    ]
    assert (closed.code, closed.out) == (0, "ok\n")


def test_check_for_programs(run: Run, file: Path) -> None:
    """The same as a document that its schema describes."""
    fine = run("config", "check", "--output", "json", "--config", str(file))
    file.write_text("workers = 0\nbind 8080\n")
    broken = run("config", "check", "--output", "json", "--config", str(file))

    assert fine.code == 0
    assert _document(fine.out, "v1/config/check") == {
        "schema_version": 1,
        "usable": True,
        "problems": [],
        "warnings": [],
    }
    assert broken.code == 2
    (problem,) = _document(broken.out, "v1/config/check")["problems"]
    assert problem == {
        "file": str(file),
        "line": 2,
        "column": 6,
        "name": None,
        "text": "want TOML: Expected '=' after a key in a key/value pair",
    }


def test_show(run: Run, file: Path) -> None:
    """Every setting in force with its origin; what the command line says wins; secrets are masked."""
    environment = {"LOCKGATE_DATABASE_URL": "postgresql://u:s3cret@h/db", "LOCKGATE_CONFIG": str(file)}

    text = run("config", "show", "--data-dir", "/elsewhere", environment=environment)
    toml = run("config", "show", "--output", "toml", environment=environment)
    json = run("config", "show", "--output", "json", environment=environment)

    assert (text.code, toml.code, json.code) == (0, 0, 0)
    lines = [line.split(maxsplit=2) for line in text.out.splitlines()]
    assert ["data_dir", "--data-dir", "/elsewhere"] in lines
    assert ["database_url", "LOCKGATE_DATABASE_URL", "postgresql://u:***@h/db"] in lines
    assert f'data_dir = "{file.parent}/data"  # {file}:1\n' in toml.out
    assert _document(json.out, "v1/config/settings")["config_file"] == str(file)
    assert "s3cret" not in text.out + toml.out + json.out


def test_show_of_settings_that_cannot_be_used(run: Run, file: Path) -> None:
    """There is nothing in force to show; what is wrong goes where errors go, controls spelt out."""
    file.write_text('data_dir = "data"\nbind = "\\u202e"\n"\\u001b[2J" = 1\n')

    ended = run("config", "show", "--config", str(file))

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"lockgate: {file}:2: bind: want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080, got '\\\\u202e'\n"
        f"{file}:3: \\u{{1b}}[2J: unknown setting; docs/configuration.md lists all [config.invalid]\n"
    )


def test_example(run: Run, file: Path) -> None:
    """What is printed is a file that can be used as it stands."""
    ended = run("config", "example")
    file.write_text(ended.out)

    assert ended.code == 0
    assert run("config", "check", "--config", str(file)).out == "ok\n"


def test_local_commands_take_the_file(run: Run, file: Path) -> None:
    """A gate is made and its log is read, all by one file and no variable."""
    config = ("--config", str(file))

    made = run("init", "--origin", "gate.test/audit", *config)
    key = run("audit", "key", *config)
    shown = run("audit", "show", "--last", "1", *config)
    kinds = run("audit", "kind", "list", *config)

    assert [ended.code for ended in (made, key, shown, kinds)] == [0] * 4
    assert key.out == made.out
    assert (file.parent / "data" / "lockgate.db").is_file()


def test_doctor_tells_every_wrong_setting(run: Run, file: Path) -> None:
    """One finding each, and none of the checks that need settings."""
    file.write_text("workers = 0\ninstance = 1\n")

    ended = run("doctor", "--config", str(file))

    assert ended.code == 3
    findings = [line for line in ended.out.splitlines() if line.startswith("FAILED")]
    assert [line.split(maxsplit=2)[2].split(": ")[0] for line in findings] == [
        "LOCKGATE_DATA_DIR",
        f"{file}:1",
        f"{file}:2",
    ]


@pytest.mark.parametrize("where", ["option", "file"])
def test_serve_listens_where_it_is_told(where: str, run: Run, file: Path) -> None:
    """By the option, or else by the setting: an address that is not this machine's shows which was taken."""
    bind = "192.0.2.1:8080"  # RFC 5737: for documentation, nobody's
    run("init", "--origin", "gate.test/audit", "--config", str(file))
    if where == "file":
        file.write_text(f'bind = "{bind}"\n{file.read_text()}')

    ended = run("serve", "--config", str(file), *(("--bind", bind) if where == "option" else ()))

    assert ended.code == 3
    assert ended.err == f"lockgate: cannot listen on {bind}: Cannot assign requested address [serve.address]\n"


def test_serve_names_the_line_in_an_issuer(run: Run, file: Path) -> None:
    """An issuer that cannot be used stops the start, as any other setting does."""
    run("init", "--origin", "gate.test/audit", "--config", str(file))
    file.write_text(file.read_text().replace("repository_id", "repository"))

    ended = run("serve", "--bind", "127.0.0.1:0", "--config", str(file))

    assert ended.code == 2
    assert ended.err.startswith(f"lockgate: {file}:10: issuer[0].rule[0].claims: ")
