"""The settings of a login: found wrong at the start, on a reload, and by `lockgate config check`."""

from pathlib import Path

import pytest

from lockgate.config import SettingsError, load
from lockgate.settings_tables import read_issuers

ISSUER = """
[[issuer]]
name = "people"
kind = "other"
url = "https://login.example.org"
audience = "lockgate"
[[issuer.rule]]
claims = { email_verified = true }
principal = "{email}"
type = "user"
roles = ["requester"]
"""


@pytest.mark.parametrize(
    ("login", "wrong"),
    [
        ({"login_issuer": "people", "login_client_id": "lockgate"}, None),
        ({}, None),
        ({"login_issuer": "others", "login_client_id": "lockgate"}, "login_issuer: want the name of an [[issuer]]"),
        (
            {"login_issuer": "people", "login_client_id": "another"},
            "login_client_id: want the audience of the issuer people: its tokens are for its client",
        ),
    ],
    ids=["right", "none", "no such issuer", "another audience"],
)
def test_the_issuer_of_logins_is_one_of_ours(tmp_path: Path, login: dict[str, str], wrong: str | None) -> None:
    """By its name; and its tokens are made for the client that people log in through."""
    file = tmp_path / "lockgate.toml"
    lines = [f'{name} = "{value}"' for name, value in login.items()]
    file.write_text("\n".join(['data_dir = "data"', 'public_url = "https://gate.example.org"', *lines, ISSUER]))
    settings = load({}, config=file).settings
    if wrong is None:
        assert [issuer.name for issuer in read_issuers(settings, settings.tables["issuer"])] == ["people"]
        return

    with pytest.raises(SettingsError) as caught:
        read_issuers(settings, settings.tables["issuer"])

    number = 3 if wrong.startswith("login_issuer") else 4
    assert str(caught.value) == f"{file}:{number}: {wrong}"
