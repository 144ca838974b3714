"""The `[[registry]]` tables of the settings: what is refused, and where."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.registry import RegistryInvalidError, RegistryUnavailableError, parse_registries
from lockgate.registry.settings import REGISTRIES_MAX, TIMEOUT_S


def registry_table(**changes: Any) -> dict[str, Any]:
    """Write a table; None takes a key away."""
    table = {"name": "mlflow", "type": "mlflow", "url": "https://mlflow.example.org", **changes}
    return {key: value for key, value in table.items() if value is not None}


def refused(*tables: dict[str, Any]) -> RegistryInvalidError:
    """Parse tables that are refused."""
    with pytest.raises(RegistryInvalidError) as caught:
        parse_registries(tables)
    assert caught.value.code == "registry.settings_invalid"
    assert str(caught.value) == f"{caught.value.path}: {caught.value.detail}"
    return caught.value


def test_what_is_not_said_has_a_safe_default() -> None:
    """No token, the usual authorities, ten seconds, no pointer that is the gate's."""
    (registry,) = parse_registries([registry_table()])

    assert (registry.token_file, registry.ca_file, registry.timeout_s) == (None, None, TIMEOUT_S)
    assert registry.aliases == {}
    assert registry.read_authorization() is None


def test_a_user_needs_a_password() -> None:
    """A user's name alone opens nothing, and with a colon in it nobody could tell where the password begins."""
    assert refused(registry_table(user="lockgate")).path == "registry[0]"
    assert refused(registry_table(user="a:b", token_file="password")).path == "registry[0].user"
    assert parse_registries([registry_table(user="lockgate", token_file="password")])[0].user == "lockgate"


def test_files_are_relative_to_the_settings(tmp_path: Path) -> None:
    """A relative path is one from the folder of the settings; an absolute one is itself."""
    (registry,) = parse_registries([registry_table(token_file="token", ca_file="/etc/ca.pem")], tmp_path)

    assert (registry.token_file, registry.ca_file) == (tmp_path / "token", Path("/etc/ca.pem"))


def test_the_token_is_read_anew_for_each_call(tmp_path: Path) -> None:
    """A token that is exchanged in its file counts at once; one that cannot be read is named, and shown nowhere."""
    (registry,) = parse_registries([registry_table(token_file="token")], tmp_path)
    (tmp_path / "token").write_text("first\n")
    first = registry.read_authorization()
    (tmp_path / "token").write_text("second\n")
    second = registry.read_authorization()
    (tmp_path / "token").write_text("s3cret\ns3cret\n")
    with pytest.raises(RegistryUnavailableError, match="want one line") as caught:
        registry.read_authorization()

    assert (first, second) == ("Bearer first", "Bearer second")
    assert "s3cret" not in str(caught.value)


def test_a_slash_at_the_end_of_a_url_is_not_part_of_it() -> None:
    """Paths are put behind the URL, so that it ends without a slash."""
    (registry,) = parse_registries([registry_table(url="https://example.org/mlflow/")])

    assert registry.url == "https://example.org/mlflow"


def test_the_built_in_registry_may_name_its_pointers() -> None:
    """It has a table for nothing else."""
    rows = [{"environment": "staging", "alias": "challenger"}, {"environment": "production", "alias": "champion"}]
    (registry,) = parse_registries([{"name": "builtin", "type": "builtin", "aliases": rows}])

    assert registry.aliases == {"staging": "challenger", "production": "champion"}


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"name": "My MLflow"}, "registry[0].name", "want text of the form"),
        ({"name": "builtin"}, "registry[0].name", "want not"),
        ({"type": "sagemaker"}, "registry[0].type", "want one of"),
        ({"url": None}, "registry[0]", "want the field 'url'"),
        ({"url": "http://mlflow.example.org"}, "registry[0].url", "want https"),
        ({"url": "https://u:p@mlflow.example.org"}, "registry[0].url", "without credentials"),
        ({"url": "https://mlflow.example.org?a=1"}, "registry[0].url", "without credentials, query"),
        ({"url": "https://mlflow.example.org/a b"}, "registry[0].url", "printable ASCII"),
        ({"url": "https://mlflow:99999"}, "registry[0].url", "want a URL"),
        ({"url": "file:///etc/passwd"}, "registry[0].url", "want a URL"),
        ({"timeout_s": 0}, "registry[0].timeout_s", "want at least 0.1"),
        ({"timeout_s": 61}, "registry[0].timeout_s", "want at most 60"),
        ({"token": "s3cret"}, "registry[0]", "want only known fields, got 'token'"),
        ({"aliases": [{"environment": "a", "alias": "b/c"}]}, "registry[0].aliases[0].alias", "want text of the form"),
        ({"aliases": [{"environment": "a", "alias": "Latest"}]}, "registry[0].aliases[0].alias", "not 'latest'"),
        ({"aliases": [{"environment": "a", "alias": "v12"}]}, "registry[0].aliases[0].alias", "not 'latest'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(change: dict[str, Any], path: str, words: str) -> None:
    """The error names the part and says what was wanted."""
    error = refused(registry_table(**change))

    assert error.path == path
    assert words in error.detail


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        (("production", "champion"), ("production", "other"), "environment"),
        (("production", "champion"), ("staging", "Champion"), "alias"),
        (("production", "champion"), ("staging", "champion-previous"), "alias"),
        (("production", "champion-previous"), ("staging", "CHAMPION"), "alias"),
    ],
)
def test_no_pointer_stands_for_two_things(first: tuple[str, str], second: tuple[str, str], path: str) -> None:
    """Neither for two environments, nor for what is live and what was live before, in whatever case of letters."""
    rows = [{"environment": environment, "alias": alias} for environment, alias in (first, second)]

    assert refused(registry_table(aliases=rows)).path == f"registry[0].aliases[1].{path}"


def test_two_registries_do_not_share_a_name() -> None:
    """Models are told apart by it."""
    assert refused(registry_table(), registry_table(url="https://other.example.org")).path == "registry[1].name"


def test_too_many_registries_are_refused() -> None:
    """The limit is told."""
    tables = [registry_table(name=f"r{number}") for number in range(REGISTRIES_MAX + 1)]

    assert refused(*tables).path == "registry"


@pytest.mark.parametrize("url", ["http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000"])
def test_plain_http_is_for_this_machine_alone(url: str) -> None:
    """Nothing crosses a network there."""
    (registry,) = parse_registries([registry_table(url=url)])

    assert registry.url == url
