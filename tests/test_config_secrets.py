"""Secrets may lie in files of their own, and are shown to nobody."""

import json
import os
import stat
import traceback
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.config import SETTINGS, SettingsError, load, load_settings
from lockgate.config.display import settings_document, settings_text, settings_toml, toml_value
from lockgate.config.masking import MASK, masked, shown
from lockgate.config.secret_files import SECRET_BYTES_MAX, is_open_to_all
from lockgate.schemas import check_schema
from support.settings import DATA, GIVEN, problems

_SECRETS: Final = [setting.name for setting in SETTINGS if setting.secret]
_CANARY: Final = "CANARY"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file for a secret; nothing is in it yet."""
    return tmp_path / "secret"


def test_what_is_secret() -> None:
    """These may lie in files; whoever adds one more adds it here."""
    assert _SECRETS == ["database_url", "opa_token", "login_client_secret"]


@pytest.mark.parametrize("name", _SECRETS)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_may_lie_in_a_file(name: str, ending: str, secret: Path, tmp_path: Path) -> None:
    """Named by a variable or in the settings' file, there relative to it; the line's end is not part of it."""
    value = GIVEN[name][1]
    secret.write_text(value + ending, newline="")
    file = tmp_path / "lockgate.toml"
    file.write_text(f'{name}_file = "secret"\n')

    by_variable = load_settings({**DATA, f"LOCKGATE_{name.upper()}_FILE": str(secret)})
    by_file = load_settings(DATA, config=file)

    assert getattr(by_variable, name) == getattr(by_file, name) == value


def test_the_stronger_place_wins_over_a_secrets_file(secret: Path, tmp_path: Path) -> None:
    """A variable hides what the file says of the secret, in either form; what is hidden is not read."""
    secret.write_text("of-the-variable")
    file = tmp_path / "lockgate.toml"
    file.write_text('opa_token = "inline"\nlogin_client_secret_file = "/nowhere"\n')
    environ = {
        **DATA,
        "LOCKGATE_OPA_TOKEN_FILE": str(secret),
        "LOCKGATE_LOGIN_CLIENT_SECRET": "of the variable",
    }

    found = load_settings(environ, config=file)

    assert (found.opa_token, found.login_client_secret) == ("of-the-variable", "of the variable")


def test_a_secret_in_two_forms_in_one_place(secret: Path, tmp_path: Path) -> None:
    """Nobody can say which of them was meant."""
    file = tmp_path / "lockgate.toml"
    file.write_text(f'opa_token = "x"\n\nopa_token_file = "{secret}"\n')

    assert problems(DATA, file) == [f"{file}:3: opa_token_file: want opa_token or opa_token_file, got both"]
    assert problems({**DATA, "LOCKGATE_OPA_TOKEN": "x", "LOCKGATE_OPA_TOKEN_FILE": str(secret)}) == [
        "LOCKGATE_OPA_TOKEN_FILE: want opa_token or opa_token_file, got both"
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "want one line in {}, got 0"),
        (b" \n\n", "want one line in {}, got 0"),
        (b"one\ntwo\n", "want one line in {}, got 2"),
        ("one\u2028two".encode(), "want one line in {}, got 2"),
        (b"\xff\xfe", "want UTF-8 text in {}"),
        (b"x" * (SECRET_BYTES_MAX + 1), f"want at most {SECRET_BYTES_MAX} bytes in {{}}"),
        (b"two words", "want a bearer token: ASCII without blanks"),
        (b"x" * 5000, "want at most 4096 characters, got 5000"),
        (b"a\x00b", "want UTF-8 text without control characters"),
    ],
)
def test_a_file_that_holds_no_secret(content: bytes, text: str, secret: Path) -> None:
    """It is named, and nothing of it is shown."""
    secret.write_bytes(content)

    assert problems({**DATA, "LOCKGATE_OPA_TOKEN_FILE": str(secret)}) == [
        f"LOCKGATE_OPA_TOKEN_FILE: {text.format(secret)}"
    ]


def test_a_secrets_file_must_be_a_regular_file(secret: Path, tmp_path: Path) -> None:
    """A pipe would stop the start, and a folder holds no line; a link to a file is what Kubernetes makes."""
    os.mkfifo(secret)
    target = tmp_path / "target"
    target.write_text("token")
    link = tmp_path / "link"
    link.symlink_to(target)

    def found(path: Path) -> list[str]:
        return problems({**DATA, "LOCKGATE_OPA_TOKEN_FILE": str(path)})

    assert found(secret) == [f"LOCKGATE_OPA_TOKEN_FILE: want a regular file at {secret}"]
    assert found(tmp_path) == [f"LOCKGATE_OPA_TOKEN_FILE: want a regular file at {tmp_path}"]
    assert found(tmp_path / "no") == [f"LOCKGATE_OPA_TOKEN_FILE: cannot read {tmp_path}/no: No such file or directory"]
    assert load_settings({**DATA, "LOCKGATE_OPA_TOKEN_FILE": str(link)}).opa_token == "token"


def test_who_may_read_a_file(secret: Path) -> None:
    """Every user, or not every user; what is not there is nobody's."""
    secret.write_text("x")
    for mode, expected in ((0o600, False), (0o640, False), (0o604, True), (0o444, True)):
        secret.chmod(mode)
        assert is_open_to_all(secret) is expected
    assert stat.S_IMODE(secret.stat().st_mode) == 0o444
    assert not is_open_to_all(secret / "missing")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:pw@h:5432/db?sslmode=verify-full", "postgresql://u:***@h:5432/db?sslmode=verify-full"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://:pw@h/db", "postgresql://:***@h/db"),
        ("postgresql://u:p/w@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p@w@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p?w#x@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u/p:w@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db?sslmode=require&password=pw&x=1", "postgresql://u@h/db?sslmode=require&password=***"),
        ("postgresql://h/db?user=u&SSLPassword=pw", "postgresql://h/db?user=u&SSLPassword=***"),
        ("postgresql://h/db?password=p@w", "postgresql://***"),
        ("postgresql://u:p?token=w@h/db", "postgresql://***"),
        ("postgresql://@/db?host=a:1&host=b:2", "postgresql://@/db?host=a:1&host=b:2"),
        ("sqlite:////var/l@b/lockgate.db", "sqlite:////var/l@b/lockgate.db"),
        ("https://token@tsa.example/x", "https://***@tsa.example/x"),
        ("HTTPS://u:pw@tsa.example/x", "HTTPS://***@tsa.example/x"),
        ("https://tsa.example/x?key=k", "https://tsa.example/x?***"),
        ("HTTP://tsa.example?a=b&sig=s&x=1", "HTTP://tsa.example?***"),
        ("https://tsa.example/x#key", "https://tsa.example/x#***"),
        ("https://tsa.example/x?sig=a@b", "https://***"),
        ("https://u:p?w@tsa.example/x", "https://***"),
        ("/a/path@x:y", "/a/path@x:y"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, expected: str) -> None:
    """What is not secret stays, so that people see which database it is."""
    assert masked(url) == expected
    assert masked({"a": [url, 1]}) == {"a": [expected, 1]}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("opa_token", "https://u:pw@h", MASK),
        ("opa_token", "x", MASK),
        ("login_client_secret", "postgresql://x", MASK),
        ("database_url", "password=pw host=h", MASK),
        ("database_url", "sqlite:////x", "sqlite:////x"),
        ("database_url", "pass://word", MASK),
        ("database_url", "postgresql+psycopg://u:pw@h/db", "postgresql+psycopg://u:***@h/db"),
        ("opa_token", "", None),
    ],
)
def test_what_is_shown_of_a_secret(name: str, value: str, expected: str | None) -> None:
    """Of a URL that is a secret all but the password; of any other nothing, not even how long it is."""
    loaded = load({**DATA, f"LOCKGATE_{name.upper()}": value})

    (found,) = [found for found in loaded.values if found.setting.name == name]
    assert shown(found) == expected


_PIECES: Final = st.sampled_from(
    [_CANARY, "@", ":", "/", "?", "#", "%", "&", "=", "'", " ", "é", ".", "password=", "://"]
)
_NOT_SHOWN: Final = st.lists(_PIECES, min_size=1, max_size=6).map(lambda pieces: _CANARY + "".join(pieces) + _CANARY)
_AROUND: Final = {
    "database_url": [
        "{}",
        "postgresql://user:{}@db.example/gate",
        "postgresql://db.example/gate?password={}",
        "postgresql://user@db.example/gate?sslmode=verify-full&sslpassword={}&x=1",
    ],
    "opa_token": ["{}", "https://{}", "x://{}@y"],
    "login_client_secret": ["{}", "postgresql://u:{}@h"],
}
_BROKEN: Final = ["", "workers = 0\n", "[[issuer]\n", "nonsense = 1\n", "x = 1\nx = 2\n", "issuer = 1\n"]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """Draw a secret's name, its value, the way it is given, and what is wrong in the file beside it."""
    name = draw(st.sampled_from(_SECRETS))
    value = draw(st.sampled_from(_AROUND[name])).format(draw(_NOT_SHOWN))
    value += draw(st.sampled_from(["", "\n", "\x00", "\x1b", " ", "\n\n"]))
    ways = ["variable", "variable's file", "file", "file's file", "file's wrong type", "both"]
    return name, value, draw(st.sampled_from(ways)), draw(st.sampled_from(_BROKEN))


@given(case=_cases())
@settings(deadline=None, max_examples=200)
def test_no_secret_is_ever_shown(case: tuple[str, str, str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither in what is shown nor in any message or traceback, wherever it stood and whatever is wrong with it."""
    name, value, way, broken = case
    folder = tmp_path_factory.mktemp("secrets")
    secret, file = folder / "secret", folder / "lockgate.toml"
    secret.write_text(value)
    lines = {
        "file": f"{name} = {toml_value(value)}\n",
        "file's file": f'{name}_file = "secret"\n',
        "file's wrong type": f"{name} = [{toml_value(value)}, {{ a = {toml_value(value)} }}]\n",
        "both": f'{name} = {toml_value(value)}\n{name}_file = "secret"\n',
    }
    file.write_text(lines.get(way, "") + broken)
    environ = dict(DATA)
    if way == "variable":
        environ[f"LOCKGATE_{name.upper()}"] = value
    if way == "variable's file":
        environ[f"LOCKGATE_{name.upper()}_FILE"] = str(secret)

    try:
        loaded = load(environ, config=file)
    except SettingsError as exc:
        said = "".join(traceback.format_exception(exc)) + repr(exc) + repr(exc.problems)
    else:
        document = settings_document(loaded)
        check_schema("v1/config/settings", document)
        said = settings_text(loaded) + settings_toml(loaded) + json.dumps(document)

    assert _CANARY not in said
