"""Webhooks of an MLflow: signed, fresh and new, or without effect."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from lockgate.clock import NS_PER_S
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling import reconciler
from lockgate.reconciling.hooks import sign
from lockgate.reconciling.reconciler import ReconcileJob
from support.reconcilers import WatchedGate, watched_gate

SECRET, FORMER = secrets.token_hex(16), secrets.token_hex(16)
BODY = b'{"entity": "model_version_alias", "data": {"name": "fraud-detector", "version": "666"}}'


@pytest.fixture
def watched(tmp_path: Path, engine: WasmEngine, database_url: str) -> WatchedGate:
    """A gate whose MLflow sends webhooks, and does not answer."""
    for name, secret in (("new", SECRET), ("former", FORMER)):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    files: dict[str, Any] = {"webhook_secret_file": "new", "webhook_former_secret_file": "former"}
    return watched_gate(tmp_path, engine, "http://127.0.0.1:9", database_url=database_url, timeout_s=1, **files)


def _send(watched: WatchedGate, *, secret: str = SECRET, delivery: str = "d-1", age_s: int = 0, **changes: Any) -> Any:
    timestamp = str(watched.gate.clock.now_ns() // NS_PER_S - age_s)
    sent = {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": sign(secret, delivery, timestamp, BODY),
        **{name: value for name, value in changes.items() if name.startswith("X-")},
    }
    path = f"/v1/hooks/mlflow/{changes.get('registry', 'theirs')}"
    return watched.gate.client.post(path, headers=sent, data=changes.get("body", BODY))


def test_a_signature_is_as_mlflow_makes_it() -> None:
    """HMAC-SHA256 over id, time and body, in base64, as MLflow 3.17.2 sends it."""
    assert sign("secret", "id", "1763884800", b"{}") == "v1,4S90X8gl12FjvJB7uguIlJuSEN1WBV/yu4pnzR2NmDU="


@pytest.mark.parametrize("secret", [SECRET, FORMER], ids=["new", "former"])
def test_a_webhook_makes_the_next_look_come_now(
    watched: WatchedGate, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed with either secret: it is answered at once, without content, and looked after once; so is no replay."""
    looks: list[str] = []
    monkeypatch.setattr(ReconcileJob, "look", lambda _, name: looks.append(name))
    monkeypatch.setattr(reconciler, "HINT_REST_S", 0)
    watched.looking.run()
    looks.clear()
    watched.looking.run()
    assert looks == []

    for _ in range(2):
        answer = _send(watched, secret=secret)
        assert (answer.status_code, answer.data) == (204, b"")
        watched.looking.run()
    assert looks == ["theirs"]
    watched.gate.clock.advance(1)
    assert _send(watched, secret=secret, delivery="d-2").status_code == 204
    watched.gate.clock.advance(-3600 * NS_PER_S)
    watched.looking.run()
    assert looks == ["theirs", "theirs"]


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "another"},
        {"body": BODY + b" "},
        {"registry": "other"},
        {"registry": "builtin"},
        {"X-MLflow-Delivery-Id": "d-2"},
        {"X-MLflow-Delivery-Id": ""},
        {"X-MLflow-Timestamp": "1"},
        {"X-MLflow-Signature": ""},
        {"X-MLflow-Signature": "v1,"},
    ],
)
def test_a_forged_webhook_is_refused(watched: WatchedGate, changes: dict[str, Any]) -> None:
    """Whoever does not know the secret is told nothing else, and leaves nothing behind."""
    answer = _send(watched, **changes)

    assert (answer.status_code, answer.json["code"]) == (401, "hook.unauthenticated")
    assert _send(watched).status_code == 204


@pytest.mark.parametrize("age_s", [301, -301])
def test_a_stale_webhook_is_refused(watched: WatchedGate, age_s: int) -> None:
    """Signed too long ago, or in the future, it may be a replay."""
    answer = _send(watched, age_s=age_s)

    assert (answer.status_code, answer.json["code"]) == (400, "hook.stale")


def test_a_secret_that_cannot_be_read_is_said(watched: WatchedGate) -> None:
    """Then it is the gate's fault, and MLflow may try again."""
    (watched.gate.folder / "new").unlink()

    answer = _send(watched)
    assert (answer.status_code, answer.json["code"]) == (503, "hook.unusable")
