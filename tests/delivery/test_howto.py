"""What `docs/howto/receive-events.md` shows works as it stands: the settings are taken, the receiver receives."""

import re
import threading
import tomllib
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from lockgate.audit import Actor
from lockgate.clock import EpochNs
from lockgate.delivery.webhooks import parse_webhooks
from lockgate.system_clock import SystemClock
from support.receivers import SECRET_TEXT, DeliveryStand, make_delivery_stand

OTTO = Actor(type="user", id="otto")
PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "receive-events.md").read_text()


def snippet(language: str) -> str:
    """Return the page's code in a language."""
    (found,) = re.findall(rf"^   ```{language}\n(.*?)^   ```", PAGE, re.MULTILINE | re.DOTALL)
    return re.sub(r"^   ", "", found, flags=re.MULTILINE)


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[DeliveryStand]:
    """A log with a subscriber, at the machine's own time: the receiver looks at its clock."""
    made = make_delivery_stand(tmp_path, database_url)
    made.clock.now = EpochNs(SystemClock().now_ns())
    yield made
    made.database.dispose()


def test_the_settings_are_taken(tmp_path: Path) -> None:
    """Both tables, with the secrets where they say."""
    tables = tomllib.loads(snippet("toml"))["webhook"]
    for table in tables:
        (tmp_path / Path(table["secret_file"]).name).write_text(SECRET_TEXT)
        table["secret_file"] = Path(table["secret_file"]).name

    assert [webhook.name for webhook in parse_webhooks(tables, tmp_path)] == ["deploy-bot", "chat"]


def test_the_receiver_takes_what_is_genuine_once(
    stand: DeliveryStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty lines are enough: an event is printed once however often it comes, and a forged one is not."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    code = snippet("python")
    exec(code, names)  # noqa: S102 - our own documentation
    receiver = names["Receiver"]
    receiver.log_message = lambda *_: None
    with HTTPServer(("127.0.0.1", 0), receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        job = stand.job(url)
        stand.withdraw()
        job.run()
        (delivery,) = stand.listed()
        stand.deliveries.redeliver(OTTO, delivery.id, trace="t")
        job.run()
        headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        forged = requests.post(url, data=b"{}", headers=headers, timeout=10)
        server.shutdown()
        thread.join()

    (again,) = stand.listed()
    assert (again.state, again.attempts, forged.status_code) == ("delivered", 2, 401)
    assert capsys.readouterr().out.count("dev.lockgate.promotion.withdrawn.v1") == 1
    assert len([line for line in code.splitlines() if line.strip()]) <= 24
