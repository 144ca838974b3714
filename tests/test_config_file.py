"""One TOML file; whatever is wrong with it is told with the line that it stands on."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.config import SETTINGS, SettingsError, load_settings, load_tables, settings_error_at
from lockgate.config.kinds import Count, Seconds, Words
from lockgate.config.table import Setting
from lockgate.config.toml_file import (
    FILE_BYTES_MAX,
    FILE_LINES_MAX,
    STATEMENT_LINES_MAX,
    TomlFile,
    format_key_path,
    parse_key_path,
)
from support.settings import DATA, GIVEN, problems

_NOISE: Final = st.lists(st.sampled_from(["", "   ", "# workers = 0", "# [[issuer]]", '# """', "#", "# ]"]), max_size=3)
_ALONE: Final = [
    setting
    for setting in SETTINGS
    if setting.name not in {"data_dir", "policy_engine", "opa_url", "login_issuer", "login_client_id"}
]


def _write(folder: Path, text: str) -> Path:
    path = folder / "lockgate.toml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("policy_timeout_s = 9", "policy_timeout_s: want more than 0 and at most 4 seconds, got 9"),
        ("policy_timeout_s = nan", "policy_timeout_s: want more than 0 and at most 4 seconds, got nan"),
        ("policy_timeout_s = -inf", "policy_timeout_s: want more than 0 and at most 4 seconds, got -inf"),
        ('policy_timeout_s = "2"', "policy_timeout_s: want a number of seconds, got text"),
        ('policy_timeout_s = ""', "policy_timeout_s: want a number of seconds, got text"),
        ("policy_timeout_s = true", "policy_timeout_s: want a number of seconds, got a boolean"),
        ("policy_timeout_s = 12:00:00", "policy_timeout_s: want a number of seconds, got a date or a time"),
        (
            f"policy_timeout_s = 0x{'f' * 4000}",
            "policy_timeout_s: want more than 0 and at most 4 seconds, got a number of 16000 bits",
        ),
        ("workers = 2.0", "workers: want a whole number from 1 to 64, got a number"),
        ("workers = true", "workers: want a whole number from 1 to 64, got a boolean"),
        ("workers = 99", "workers: want a whole number from 1 to 64, got 99"),
        ("bind = 8080", "bind: want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080, got a number"),
        ("trust_dir = []", "trust_dir: want the path of a folder, got an array"),
        ("trust_dir = {a = 1}", "trust_dir: want the path of a folder, got a table"),
        ('trust_dir = "a\\u0000"', "trust_dir: want UTF-8 text without control characters"),
        ('tsa_urls = "https://a https://b"', "tsa_urls: want an array of strings, got text"),
        ('tsa_urls = ["https://a", 1]', "tsa_urls: want a URL, got a number"),
        ('log_signer_command = ["a", ""]', "log_signer_command: want no empty word"),
        ("reqests_at_once = 3", "reqests_at_once: unknown setting; did you mean requests_at_once?"),
        ("WORKERS = 3", "WORKERS: unknown setting; did you mean workers?"),
        ("issuers = []", "issuers: unknown setting; did you mean issuer?"),
        ("issuer = [1]", "issuer: want [[issuer]] tables"),
        ("server.bind = 1", "server: unknown setting; docs/configuration.md lists all"),
        ('"a\\u001b\\nb" = 1', "a\x1b\nb: unknown setting; docs/configuration.md lists all"),
        ("[qqqq]\nworkers = 1", "qqqq: unknown setting; docs/configuration.md lists all"),
    ],
)
def test_a_wrong_line_is_named(line: str, text: str, tmp_path: Path) -> None:
    """The message begins with the file and the line, as an editor and CI understand it."""
    file = _write(tmp_path, f"# Ours.\n\ninstance = 'x'\n{line}\n")

    assert "\n".join(problems(DATA, file)) == f"{file}:4: {text}"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("workers = 1\nbind 8080\n", ":2:6: want TOML: Expected '=' after a key in a key/value pair"),
        ("workers = \n", ":1:11: want TOML: Invalid value"),
        ("workers = 1\nworkers = 2\n", ":2:12: want TOML: Cannot overwrite a value"),
        ("tsa_urls = [\n", ":2: want TOML: Invalid value"),
        ("\n[a]\n[a]\n", ":3:3: want TOML: Cannot declare ('a',) twice"),
        ("a" * 300 + ".b = 1\n[" + "a" * 300 + "]", ":2:302: want TOML: Cannot declare ('" + "a" * 183),
        ("workers = " + "1" * 5000, ": want TOML: a number is too long, or arrays are nested too deeply"),
        ("workers = " + "[" * 5000, ": want TOML: a number is too long, or arrays are nested too deeply"),
        ("\n" * FILE_LINES_MAX, f": want at most {FILE_LINES_MAX} lines, got {FILE_LINES_MAX + 1}"),
        ("#" * (FILE_BYTES_MAX + 1), f": want at most {FILE_BYTES_MAX} bytes"),
    ],
)
def test_what_is_no_toml(text: str, where: str, tmp_path: Path) -> None:
    """The message names the line and the column where the parser knows them."""
    file = _write(tmp_path, text)

    assert problems(DATA, file) == [f"{file}{where}"]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """The line of the first byte that is no UTF-8 is named; none of it is shown."""
    file = tmp_path / "lockgate.toml"
    file.write_bytes(b"workers = 1\n# \xff\n")

    assert problems(DATA, file) == [f"{file}:2: want UTF-8 text"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that was named must be there: its absence is no empty file."""
    assert problems(DATA, tmp_path / "none.toml") == [
        f"{tmp_path}/none.toml: cannot read it: No such file or directory"
    ]
    assert problems({**DATA, "LOCKGATE_CONFIG": str(tmp_path)}) == [f"{tmp_path}: cannot read it: Is a directory"]


def test_an_empty_value_in_the_file_is_as_good_as_none(tmp_path: Path) -> None:
    """The default stands: a template that fills nothing in leaves a gate that works."""
    file = _write(tmp_path, 'database_url = ""\ntsa_urls = []\npolicy_dir = ""\nopa_token_file = ""\n')

    assert replace(load_settings(DATA, config=file), config_file=None) == load_settings(DATA)


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    """A line is a line, however it ends."""
    file = _write(tmp_path, "workers = 3\r\n\r\ninstance = 1\r\n")

    assert problems(DATA, file) == [f"{file}:3: instance: want text, got a number"]


def _toml_string(draw: st.DrawFn, text: str) -> str:
    return draw(
        st.sampled_from([f'"{text}"', f"'{text}'", f'"""\n{text}"""', f"'''\n{text}'''", f'"""\\\n\n   {text}"""'])
    )


def _array(draw: st.DrawFn, items: list[str]) -> str:
    between = st.sampled_from([", ", ",\n  ", ", # ]\n\n  "])
    inside = "".join(f"{item}{draw(between)}" for item in items)
    return draw(st.sampled_from([f"[{inside}]", f"[ # tsa = 1\n  {inside}\n]"]))


@st.composite
def _right(draw: st.DrawFn, setting: Setting) -> str:
    """Write a setting with a value that can be used, in one of TOML's ways."""
    value: Any = GIVEN[setting.name][0]
    if isinstance(value, str):
        written = _toml_string(draw, value)
    elif isinstance(value, list):
        written = _array(draw, [_toml_string(draw, word) for word in value])
    else:
        written = str(value)
    key = draw(st.sampled_from([setting.name, f'"{setting.name}"', f"  {setting.name}"]))
    return f"{key} = {written}{draw(st.sampled_from(['', ' # = 1', '   ']))}"


@st.composite
def _wrong(draw: st.DrawFn, setting: Setting) -> str:
    """Write a setting with a value that cannot be used."""
    values = ["true", "2026-01-01", "{}", '{ a = [1, 2], b = "x" }']
    if isinstance(setting.kind, Words):
        values += ['"a b"', _array(draw, ['"a"', "1"]), _array(draw, ["[]"])]
    else:
        values += [_array(draw, ["1"]), "[\n\n]"]
    if isinstance(setting.kind, Seconds | Count):
        values += ['"1"', '"""\n1\n"""', "0", "99999999999"]
    elif not isinstance(setting.kind, Words):
        values += ["1", "0.5", '"""a\n\nb"""', '"\\u0000"']
    return f"{setting.name} = {draw(st.sampled_from(values))}"


@st.composite
def _files(draw: st.DrawFn, *, wrong_one_in: int) -> tuple[str, list[tuple[int, str]]]:
    """Draw a file with some wrong statements, if any are wanted; and the lines and names of these."""
    lines: list[str] = []
    expected: list[tuple[int, str]] = []
    for setting in draw(st.permutations(_ALONE))[: draw(st.integers(1, 12))]:
        lines += draw(_NOISE)
        wrong = wrong_one_in > 0 and draw(st.integers(1, wrong_one_in)) == 1
        if wrong:
            expected.append((len(lines) + 1, setting.name))
        lines += draw(_wrong(setting) if wrong else _right(setting)).split("\n")
    for _ in range(draw(st.integers(0, 2))):
        lines += [*draw(_NOISE), "[[issuer]]", *draw(_NOISE), 'name = "x"']
    if wrong_one_in and (not expected or draw(st.booleans())):
        lines += [*draw(_NOISE), "[nonsense.table]"]
        expected.append((len(lines), "nonsense"))
    end = draw(st.sampled_from(["", "\n", "\n\n# The end."]))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + end, expected


@given(drawn=_files(wrong_one_in=4))
@settings(deadline=None, max_examples=150)
def test_every_wrong_line_is_found(
    drawn: tuple[str, list[tuple[int, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In any file, each wrong statement is told by the line on which it begins, and no other is."""
    text, expected = drawn
    file = _write(tmp_path_factory.mktemp("file"), text)

    with pytest.raises(SettingsError) as caught:
        load_settings(DATA, config=file)

    assert [(found.place.line, found.place.name) for found in caught.value.problems] == expected
    assert {found.place.file for found in caught.value.problems} == {str(file)}


@given(drawn=_files(wrong_one_in=0))
@settings(deadline=None, max_examples=50)
def test_a_file_without_a_wrong_line_is_read(
    drawn: tuple[str, list[tuple[int, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the test above writes as right is right: such a file loads."""
    text, _nothing_wrong = drawn
    file = _write(tmp_path_factory.mktemp("file"), text)

    loaded = load_settings(DATA, config=file)

    assert len(loaded.tables["issuer"]) == len(tomllib.loads(text).get("issuer", []))


_ISSUERS: Final = """\
data_dir = "/x"
[[issuer]] # 2
name = "a"

rule = [ # 5
  { claims = { sub = "x" } },
]
[[issuer]]
name = "b"
[[issuer.rule]] # 10

claims.sub = "x"
[[issuer.rule]] # 13
roles = [
  "requester",
]
[issuer.rule.claims] # 17
# The next is not a date.
nested = { deep = [ { er = 1 } ] }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("issuer", 2),
        ("issuer[0]", 2),
        ("issuer[0].name", 3),
        ("issuer[0].rule[0].claims.sub", 5),
        ("issuer[0].rule[0].claims.missing", 5),
        ("issuer[0].audience", 2),
        ("issuer[1]", 8),
        ("issuer[1].rule", 10),
        ("issuer[1].rule[0].roles", 10),
        ("issuer[1].rule[0].claims", 12),
        ("issuer[1].rule[1]", 13),
        ("issuer[1].rule[1].roles[0]", 14),
        ("issuer[1].rule[1].claims", 17),
        ("issuer[1].rule[1].claims.nested.deep[0].er", 19),
        ("issuer[2]", 2),
        ("nothing[3].of[4].this", 1),
        ("", 1),
    ],
)
def test_the_line_of_any_key(path: str, line: int, tmp_path: Path) -> None:
    """Also keys of tables, of arrays of tables and in inline tables; what is missing is at the table that lacks it."""
    file = _write(tmp_path, _ISSUERS)

    error = settings_error_at(file, path, "want more")

    assert str(error) == f"{file}:{line}: {path}: want more".replace(": : ", ": ")


def test_without_a_file_the_key_alone_is_named() -> None:
    """Issuers that came from nowhere else still have their path in the message."""
    assert str(settings_error_at(None, "issuer[0].url", "want https")) == "issuer[0].url: want https"


@given(keys=st.lists(st.from_regex(r"[a-z_]{1,5}", fullmatch=True) | st.integers(0, 99), max_size=5))
@settings(deadline=None, max_examples=100)
def test_a_path_is_read_as_it_is_written(keys: list[str | int]) -> None:
    """The two spellings of a path are one."""
    assert list(parse_key_path(format_key_path(keys))) == keys


def test_a_very_long_statement_costs_little(tmp_path: Path) -> None:
    """Past some hundred lines of one array nothing is looked for; what follows it is told by where it begins."""
    rows = "".join(f'  "word {number}",\n' for number in range(STATEMENT_LINES_MAX))
    file = _write(tmp_path, f"workers = 0\nlog_signer_command = [\n{rows}]\nbind = 1\n")

    assert [line.split(" ")[0] for line in problems(DATA, file)] == [f"{file}:1:", f"{file}:2:", f"{file}:2:"]


def test_issuers_are_read_anew(tmp_path: Path) -> None:
    """The tables are handed on as they stand, and can be read again while the rest stays."""
    file = _write(tmp_path, _ISSUERS)

    settings_before = load_settings({}, config=file)
    file.write_text("data_dir = 3\n" + _ISSUERS.split("\n", 1)[1].replace('"a"', '"c"'))

    assert [issuer["name"] for issuer in settings_before.tables["issuer"]] == ["a", "b"]
    assert settings_before.tables["issuer"][1]["rule"][0] == {"claims": {"sub": "x"}}
    assert [issuer["name"] for issuer in load_tables(file, "issuer")] == ["c", "b"]

    file.write_text("issuer = 1\n")
    with pytest.raises(SettingsError, match=r"lockgate.toml:1: issuer: want \[\[issuer\]\] tables"):
        load_tables(file, "issuer")


def test_a_place_costs_nothing_where_nothing_is_wrong(tmp_path: Path) -> None:
    """A long file is read in a moment: lines are looked for only when somebody asks."""
    rules = "".join(f'[[issuer.rule]]\nprincipal = "ci-{number}"\n' for number in range(2000))
    file = TomlFile(_write(tmp_path, f'[[issuer]]\nname = "a"\n{rules}'))

    assert "_statement_ends" not in vars(file)
    assert file.place(("issuer", 0, "rule", 1900)).line == 2 * 1900 + 3
