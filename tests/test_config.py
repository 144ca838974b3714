"""Settings are read once, strictly, without insecure defaults: from options, variables, one file and defaults."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import click
import pytest

from lockgate.cli.main import lockgate
from lockgate.config import CLIENT_VARIABLES, SETTINGS, Settings, load, load_settings
from lockgate.config.display import toml_value
from support.settings import DATA, GIVEN, problems

# What else a setting wants beside it.
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "policy_engine": ("opa_url",),
    "opa_url": ("policy_engine",),
    "login_issuer": ("login_client_id", "public_url"),
    "login_client_id": ("login_issuer", "public_url"),
}


def in_use(settings: Settings, name: str) -> Any:
    """Return a setting as TOML would hold it."""
    value = getattr(settings, name)
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    """What the table lists is what the program has, in the same order; and this file knows how each is given."""
    names = [setting.name for setting in SETTINGS]

    assert names == [field.name for field in fields(Settings)][2:]
    assert [field.name for field in fields(Settings)][:2] == ["config_file", "tables"]
    assert set(names) == set(GIVEN)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_each_setting_is_given_in_each_way(name: str, tmp_path: Path) -> None:
    """The same value comes out of an option, a variable and the file; each wins over those after it."""
    typed, text = GIVEN[name]
    others = {f"LOCKGATE_{other.upper()}": GIVEN[other][1] for other in NEEDS.get(name, ())}
    file = tmp_path / "lockgate.toml"
    file.write_text(f"{name} = {toml_value(typed)}\n")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f"{name} = 1979-05-27\n")
    variable = {f"LOCKGATE_{name.upper()}": text}
    broken = {f"LOCKGATE_{name.upper()}": "\x00"}

    by_file = load_settings({**({} if name == "data_dir" else DATA), **others}, config=file)
    by_variable = load_settings({**DATA, **others, **variable}, config=wrong)
    by_option = load_settings({**DATA, **others, **broken}, config=wrong, **{name: text})

    assert in_use(by_file, name) == typed
    assert in_use(by_variable, name) == typed
    assert in_use(by_option, name) == typed


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_an_empty_text_is_as_good_as_none(name: str) -> None:
    """A variable that a compose file leaves empty does not hide the default."""
    settings = load_settings({f"LOCKGATE_{name.upper()}": "", **DATA})

    assert settings == load_settings(DATA)


def test_the_data_folder_must_be_named() -> None:
    """Without it nothing starts; the message names the three ways to name it."""
    assert problems({}) == ["LOCKGATE_DATA_DIR: want it set, or --data-dir, or data_dir in the file"]


def test_what_holds_data_lies_in_the_data_folder_unless_named_apart() -> None:
    """The database, the log's key and the checkpoints follow the data folder, also one that is relative."""
    settings = load_settings({"LOCKGATE_DATA_DIR": "data {x}"})

    folder = Path("data {x}").absolute()
    assert settings.database_url == f"sqlite:///{folder}/lockgate.db"
    assert settings.log_key_file == folder / "log.key"
    assert settings.checkpoint_file == folder / "checkpoints.txt"


def test_the_shipped_trust_is_the_public_instance() -> None:
    """Out of the box the public-good Sigstore is trusted, and nothing else."""
    settings = load_settings(DATA)

    assert settings.default_trust_domain == "public-good"
    assert [path.name for path in settings.trust_dir.glob("*.toml")] == ["public-good.toml"]


def test_the_file_is_named_by_the_variable_or_the_option(tmp_path: Path) -> None:
    """The option wins over the variable, and is not looked for anywhere else."""
    ours, theirs = tmp_path / "ours.toml", tmp_path / "theirs.toml"
    ours.write_text("workers = 3\n")
    theirs.write_text("workers = 4\n")
    environ = {**DATA, "LOCKGATE_CONFIG": str(theirs)}

    assert load_settings(environ).workers == 4
    assert load_settings(environ, config=ours).workers == 3
    assert load_settings(environ).config_file == theirs
    assert load_settings(DATA).config_file is None


def test_paths_in_the_file_begin_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path of the file does not depend on where the process was started; one of a variable does."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "lockgate.toml").write_text('data_dir = "../data"\ntrust_dir = "trust"\n')
    monkeypatch.chdir(tmp_path)

    settings = load_settings({"LOCKGATE_POLICY_DIR": "policies"}, config=Path("etc/lockgate.toml"))

    assert settings.trust_dir == tmp_path / "etc" / "trust"
    assert settings.data_dir.resolve() == tmp_path / "data"
    assert settings.policy_dir == tmp_path / "policies"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("POLICY_ENGINE", "regopy", "want 'wasm' or 'opa', got 'regopy'"),
        ("POLICY_ENGINE", "x" * 99, f"want 'wasm' or 'opa', got '{'x' * 40}'"),
        ("POLICY_TIMEOUT_S", "0", "want more than 0 and at most 4 seconds, got 0"),
        ("POLICY_TIMEOUT_S", "-1", "want more than 0 and at most 4 seconds, got -1"),
        ("POLICY_TIMEOUT_S", "31", "want more than 0 and at most 4 seconds, got 31"),
        ("POLICY_TIMEOUT_S", "nan", "want a number of seconds, got 'nan'"),
        ("POLICY_TIMEOUT_S", "soon", "want a number of seconds, got 'soon'"),
        ("POLICY_TIMEOUT_S", "1e0", "want a number of seconds, got '1e0'"),
        ("POLICY_TIMEOUT_S", "١", "want a number of seconds, got '١'"),
        ("PROMOTION_TTL_S", "inf", "want a number of seconds, got 'inf'"),
        ("APPROVAL_TTL_S", "99999999999", "want more than 0 and at most 7776000 seconds, got 99999999999"),
        ("HEARTBEAT_INTERVAL_S", "1.9", "want at least 2 and at most 604800 seconds, got 1.9"),
        ("HEARTBEAT_INTERVAL_S", "604801", "want at least 2 and at most 604800 seconds, got 604801"),
        ("ANCHOR_INTERVAL_S", "2678401", "want more than 0 and at most 2678400 seconds, got 2678401"),
        ("WORKERS", "0", "want a whole number from 1 to 64, got 0"),
        ("WORKERS", "65", "want a whole number from 1 to 64, got 65"),
        ("WORKERS", "2.0", "want a whole number from 1 to 64, got '2.0'"),
        ("WORKERS", " 2", "want a whole number from 1 to 64, got ' 2'"),
        ("LOG_SIGNER_COMMAND", "'an open quote", "want words as a shell reads them: No closing quotation"),
        ("LOG_SIGNER_COMMAND", "sign ''", "want no empty word"),
        ("TSA_URLS", "u " * 65, "want at most 64 words, got 65"),
        ("ENVIRONMENT_LOGS", "production Staging", "want an environment's name, got 'Staging'"),
        ("INSTANCE", "a\x1b[2J", "want UTF-8 text without control characters"),
        ("INSTANCE", "a\udcff", "want UTF-8 text without control characters"),
        ("DATA_DIR", "d" * 4097, "want at most 4096 characters, got 4097"),
        ("BIND", "8080", "want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080, got '8080'"),
        ("BIND", "127.0.0.1:65536", "want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080, got '127.0.0.1:65536'"),
        ("OPA_TOKEN", "two words", "want a bearer token: ASCII without blanks"),
        ("TRACES", "on", "want 'off' or 'otlp', got 'on'"),
    ],
)
def test_an_unusable_value_stops_the_start(name: str, value: str, text: str) -> None:
    """The message names the variable, and what would do."""
    assert problems({**DATA, f"LOCKGATE_{name}": value}) == [f"LOCKGATE_{name}: {text}"]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8181",
        "ftp://127.0.0.1",
        "http://",
        "http://user:secret@127.0.0.1:8181",
        "http://127.0.0.1:8181/v1",
        "http://127.0.0.1:8181?x=1",
        "http://127.0.0.1:99999",
        "http://[::1",
        "unix:///run/opa.sock",
    ],
)
def test_an_unusable_opa_address_stops_the_start(url: str) -> None:
    """OPA's address is a scheme, a host and a port; credentials in it are refused and not repeated."""
    found = problems({**DATA, "LOCKGATE_POLICY_ENGINE": "opa", "LOCKGATE_OPA_URL": url})

    assert found == [
        "LOCKGATE_OPA_URL: want http:// or https://, as http://127.0.0.1:8181, without a path or credentials"
    ]


@pytest.mark.parametrize(
    "url", ["https://gate.example.org", "https://gate.example.org:8443/", "http://127.0.0.1:8080", "http://[::1]:8080"]
)
def test_the_public_address_is_https(url: str) -> None:
    """Only this machine may do without TLS."""
    assert load_settings({**DATA, "LOCKGATE_PUBLIC_URL": url}).public_url == url


@pytest.mark.parametrize(
    "url", ["http://gate.example.org", "http://127.0.0.1.example.org", "https://gate.example.org/audit", "gate"]
)
def test_another_public_address_stops_the_start(url: str) -> None:
    """People's tokens go there."""
    (found,) = problems({**DATA, "LOCKGATE_PUBLIC_URL": url})

    assert found == (
        "LOCKGATE_PUBLIC_URL: want https:// (http:// only of this machine), as https://gate.example.org, "
        "without a path or credentials"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"POLICY_ENGINE": "opa"}, ["LOCKGATE_OPA_URL: want it exactly when policy_engine is 'opa'"]),
        ({"OPA_URL": "http://127.0.0.1"}, ["LOCKGATE_OPA_URL: want it exactly when policy_engine is 'opa'"]),
        (
            {"LOGIN_ISSUER": "people"},
            [
                "LOCKGATE_LOGIN_CLIENT_ID: want it where login_issuer is set",
                "LOCKGATE_PUBLIC_URL: want it where login_issuer is set",
            ],
        ),
        ({"LOGIN_CLIENT_ID": "lockgate"}, ["LOCKGATE_LOGIN_CLIENT_ID: want it only where login_issuer is set"]),
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, str], expected: list[str]) -> None:
    """Each setting alone is well; the message is at the one that is missing or too much."""
    found = problems({**DATA, **{f"LOCKGATE_{name}": value for name, value in given.items()}})

    assert found == expected


def test_nothing_is_concluded_from_what_could_not_be_read() -> None:
    """An engine that is none has no opinion on whether there is an address of OPA."""
    found = problems({**DATA, "LOCKGATE_POLICY_ENGINE": "x", "LOCKGATE_OPA_URL": "http://127.0.0.1"})

    assert found == ["LOCKGATE_POLICY_ENGINE: want 'wasm' or 'opa', got 'x'"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Variables first, then the file by its lines."""
    file = tmp_path / "lockgate.toml"
    file.write_text('workers = 0\n\npolicy_engine = "opa"\nnonsense = 1\ninstance = 5\nissuer = 3\n')

    assert problems({"LOCKGATE_BIND": "x", "LOCKGATE_WORKER": "3"}, file) == [
        "LOCKGATE_DATA_DIR: want it set, or --data-dir, or data_dir in the file",
        "LOCKGATE_BIND: want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080, got 'x'",
        "LOCKGATE_OPA_URL: want it exactly when policy_engine is 'opa'",
        "LOCKGATE_WORKER: unknown setting; did you mean LOCKGATE_WORKERS?",
        f"{file}:1: workers: want a whole number from 1 to 64, got 0",
        f"{file}:4: nonsense: unknown setting; docs/configuration.md lists all",
        f"{file}:5: instance: want text, got a number",
        f"{file}:6: issuer: want [[issuer]] tables",
    ]


def test_many_problems_are_cut_short(tmp_path: Path) -> None:
    """A message stays a page long."""
    file = tmp_path / "lockgate.toml"
    file.write_text('data_dir = "/x"\n' + "".join(f"zzz{number} = 1\n" for number in range(60)))

    found = problems({}, file)

    assert len(found) == 51
    assert found[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LOCKGATE_REQUEST_PER_MINUTE", "unknown setting; did you mean LOCKGATE_REQUESTS_PER_MINUTE?"),
        ("LOCKGATE_OPA_TOKEN_FLIE", "unknown setting; did you mean LOCKGATE_OPA_TOKEN_FILE?"),
        ("LOCKGATE_data_dir", "unknown setting; did you mean LOCKGATE_DATA_DIR?"),
        ("LOCKGATE_", "unknown setting; docs/configuration.md lists all"),
        ("LOCKGATE_WORKERS_FILE", "unknown setting; did you mean LOCKGATE_WORKERS?"),
        (
            "LOCKGATE_ISSUERS",
            "want [[issuer]] tables in the file that LOCKGATE_CONFIG names; no variable can hold them",
        ),
        ("LOCKGATE_PORT", "unknown setting; docs/configuration.md lists all"),
        ("LOCKGATE_SERVICE_HOSTS", "unknown setting; docs/configuration.md lists all"),
        (f"LOCKGATE_{'X' * 200}", "unknown setting; docs/configuration.md lists all"),
    ],
)
def test_an_unknown_variable_stops_the_start(name: str, text: str) -> None:
    """A misspelt setting is no silent default. Its value is not shown: it may be a secret."""
    (found,) = problems({**DATA, name: "s3cret"})

    assert found.endswith(f": {text}")
    assert found.startswith(name[:80])
    assert len(found) < 200


def test_variables_of_others_are_left_alone() -> None:
    """Those of client commands, of tests, and of Kubernetes for services that are called lockgate."""
    environ = {
        **dict.fromkeys(CLIENT_VARIABLES, "x"),
        "LOCKGATE_TEST_KILLS": "3",
        "LOCKGATE_SERVICE_HOST": "10.0.0.1",
        "LOCKGATE_SERVICE_PORT": "80",
        "LOCKGATE_SERVICE_PORT_HTTP": "80",
        "LOCKGATE_PORT": "tcp://10.0.0.1:80",
        "LOCKGATE_PORT_80_TCP_ADDR": "10.0.0.1",
        "LOCKGATE_OPA_SERVICE_HOST": "10.0.0.2",
        "LOCKGATE_OPA_PORT": "tcp://10.0.0.2:8181",
        "LOCKGATE_OPA_PORT_8181_TCP": "tcp://10.0.0.2:8181",
        "LOCKGATES": "x",
        "PATH": "/bin",
    }

    assert load_settings({**DATA, **environ}) == load_settings(DATA)


def test_every_variable_of_a_command_is_known() -> None:
    """A variable that some command reads as an option's default is a setting, or listed with those of the clients."""
    known = {variable for setting in SETTINGS for variable in setting.variables} | CLIENT_VARIABLES
    read: set[str] = set()
    groups: list[click.Command] = [lockgate]
    while groups:
        command = groups.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            groups += [
                found for name in command.list_commands(context) if (found := command.get_command(context, name))
            ]
        variables = [parameter.envvar for parameter in command.params if parameter.envvar]
        read.update(name for variable in variables for name in ([variable] if isinstance(variable, str) else variable))

    assert read
    assert read <= known


def test_an_option_that_is_no_setting_is_a_defect() -> None:
    """Nobody but the program itself names options, so this is no message for people."""
    with pytest.raises(TypeError, match="data_folder"):
        load_settings(DATA, data_folder="/x")


def test_where_each_value_was_given(tmp_path: Path) -> None:
    """The origin of a value is an option, a variable, a line of the file, or nothing."""
    file = tmp_path / "lockgate.toml"
    file.write_text("\nworkers = 3\n")
    loaded = load({"LOCKGATE_INSTANCE": "x", "LOCKGATE_DATA_DIR": "/y"}, config=file, data_dir="/x")

    places = {value.setting.name: str(value.place) for value in loaded.values if value.place}

    assert places == {"data_dir": "--data-dir", "instance": "LOCKGATE_INSTANCE", "workers": f"{file}:2: workers"}


def test_names_are_such_as_every_shell_and_toml_can_write() -> None:
    """A setting's name is a bare key of TOML, and in capitals a variable of any shell."""
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", setting.name) for setting in SETTINGS)
    assert not any(setting.name.startswith("test_") for setting in SETTINGS)
