"""The `[[webhook]]` tables: what cannot be used is said by its place, and no secret is shown."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockgate.config import SettingsError, load_settings
from lockgate.delivery.errors import WebhookInvalidError
from lockgate.delivery.webhooks import WEBHOOKS_MAX, parse_webhooks
from lockgate.settings_tables import read_webhooks

SECRET_TEXT = "whsec_" + base64.b64encode(b"k" * 32).decode()
LEAST = {"name": "bot", "url": "https://bot.example.org/hook", "secret_file": "bot.secret"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder with a secret."""
    (tmp_path / "bot.secret").write_text(f"{SECRET_TEXT}\n")
    (tmp_path / "wrong.secret").write_text("hunter2hunter2\n")
    return tmp_path


def test_what_is_usual(folder: Path) -> None:
    """A name, a URL and a secret are enough: all events, as CloudEvents, to a public address."""
    (webhook,) = parse_webhooks([LEAST], folder)

    assert webhook.read_secrets() == (b"k" * 32,)
    assert (webhook.format, webhook.public_only, webhook.disabled) == ("cloudevents", True, False)
    assert webhook.events == frozenset()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "ftp://bot.example.org"}, "webhook[0].url"),
        ({"url": "http://bot.example.org/hook"}, "webhook[0].url"),
        ({"url": "https://bot:pw@bot.example.org/hook"}, "webhook[0].url"),
        ({"url": "https://bot.example.org/hook?token=x"}, "webhook[0].url"),
        ({"url": "http://127.0.0.1:8000/hook"}, "webhook[0].public_only"),
        ({"secret_file": "missing"}, "webhook[0].secret_file"),
        ({"secret_file": "wrong.secret"}, "webhook[0].secret_file"),
        ({"former_secret_file": "wrong.secret"}, "webhook[0].secret_file"),
        ({"events": ["dev.lockgate.promotion.confirmed.v1", "dev.lockgate.promotion.sung.v1"]}, "webhook[0].events[1]"),
        ({"name": "Bot"}, "webhook[0].name"),
        ({"secret": SECRET_TEXT}, "webhook[0]"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used(folder: Path, change: Mapping[str, Any], path: str) -> None:
    """Each mistake is told with the place where it stands."""
    with pytest.raises(WebhookInvalidError) as caught:
        parse_webhooks([{**LEAST, **change}], folder)

    assert (caught.value.path, caught.value.code) == (path, "delivery.webhook_invalid")
    assert "hunter2" not in str(caught.value)
    assert SECRET_TEXT not in str(caught.value)


def test_this_machine(folder: Path) -> None:
    """A receiver on this machine is possible where the settings say that it need not be public."""
    (webhook,) = parse_webhooks([{**LEAST, "url": "http://127.0.0.1:8000/hook", "public_only": False}], folder)

    assert not webhook.public_only


def test_names_are_apart(folder: Path) -> None:
    """Two webhooks of one name would be one subscriber."""
    with pytest.raises(WebhookInvalidError) as caught:
        parse_webhooks([LEAST, LEAST], folder)

    assert caught.value.path == "webhook[1].name"


def test_too_many(folder: Path) -> None:
    """Each has a thread, so there is a limit."""
    with pytest.raises(WebhookInvalidError) as caught:
        parse_webhooks([LEAST] * (WEBHOOKS_MAX + 1), folder)

    assert caught.value.path == "webhook"


def test_settings_name_the_line(folder: Path) -> None:
    """What is wrong with a webhook is told by the line of the settings' file."""
    file = folder / "lockgate.toml"
    table = '[[webhook]]\nname = "bot"\nurl = "http://bot.example.org/x"\nsecret_file = "bot.secret"\n'
    file.write_text(f'data_dir = "{folder}"\n\n{table}')
    with pytest.raises(SettingsError) as caught:
        read_webhooks(load_settings({}, config=file))

    assert (caught.value.problems[0].place.line, caught.value.problems[0].place.name) == (5, "webhook[0].url")
