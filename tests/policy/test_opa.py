"""OPA over HTTP, and everything that can go wrong there."""

import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from lockgate.policy import (
    PolicyCatalogue,
    PolicyEvaluationError,
    PolicyFailureError,
    PolicyInput,
    PolicyInvalidError,
    PolicyResult,
    PolicyRevision,
    PolicyUnavailableError,
    PolicyUndefinedError,
    input_bytes,
)
from lockgate.policy.compiled import COMPILED
from lockgate.policy.opa import ANSWER_BYTES_MAX, HardenedOPAClient, OPAEngine, OPAServer
from lockgate.policy.types import PROMOTION_DECISION
from lockgate.policy.wasm import WasmModule
from lockgate.shipped import shipped_folder
from support.misbehaving_server import Behaviour, answer, misbehaving_server
from support.opa_server import running_opa
from support.policies import allowed_input, shipped_policy

TIMEOUT_S = 10.0
SHORT_S = 0.5


def ask(server: OPAServer, *, timeout_s: float = TIMEOUT_S) -> PolicyResult:
    """Evaluate the allowed input by a server."""
    engine = OPAEngine(shipped_policy(), server)
    try:
        return engine.evaluate(PolicyInput(allowed_input()), timeout_s=timeout_s)
    finally:
        engine.close()


def good_answer(**changes: Any) -> bytes:
    """Return what a sound OPA would answer, with some members changed; None leaves one out."""
    module = WasmModule(shipped_policy())
    result = module.evaluate(input_bytes(PolicyInput(allowed_input())), PROMOTION_DECISION)
    module.close()
    bundles = {"bundle.tar.gz": {"revision": shipped_policy().catalogue.revision}}
    whole = {"result": result, "provenance": {"version": "1.22.2", "bundles": bundles}, **changes}
    return orjson.dumps({name: value for name, value in whole.items() if value is not None})


def hang(connection: socket.socket) -> None:
    """Say nothing for longer than anyone waits."""
    connection.recv(1 << 20)
    time.sleep(2 * SHORT_S)


def drip_head(connection: socket.socket) -> None:
    """Send a status line, then a header a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(20):
        connection.sendall(b"a")
        time.sleep(SHORT_S / 5)


def drip_body(connection: socket.socket) -> None:
    """Send a good answer a byte at a time."""
    body = good_answer()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    for byte in body[:20]:
        connection.sendall(bytes([byte]))
        time.sleep(SHORT_S / 5)


def reset(connection: socket.socket) -> None:
    """Break the connection off without an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_off(connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + good_answer()[:500])


def endless(connection: socket.socket) -> None:
    """Send blanks without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def not_http(connection: socket.socket) -> None:
    """Speak another protocol."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


def builtin_failed(code: str) -> bytes:
    """Return OPA's own shape of an error."""
    return orjson.dumps({"code": "internal_error", "message": "m", "errors": [{"code": code, "message": "m"}]})


def test_a_sound_answer_passes() -> None:
    """The stand-in's good answer is good, so that the failing cases fail for their own reason."""
    with misbehaving_server(answer(200, good_answer())) as server:
        result = ask(server.address)

    assert result.allow
    assert (result.engine, result.engine_version) == ("opa-http", "1.22.2")


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(answer(503, b"busy"), PolicyUnavailableError, id="503"),
        pytest.param(answer(500, b"oops"), PolicyUnavailableError, id="500 by somebody else"),
        pytest.param(answer(500, builtin_failed("internal")), PolicyUnavailableError, id="500 by OPA's own fault"),
        pytest.param(answer(401, b"{}"), PolicyUnavailableError, id="401"),
        pytest.param(answer(404, b"{}"), PolicyUnavailableError, id="404"),
        pytest.param(answer(500, builtin_failed("eval_builtin_error")), PolicyEvaluationError, id="built-in error"),
        pytest.param(answer(500, builtin_failed("eval_conflict_error")), PolicyEvaluationError, id="conflict"),
        pytest.param(reset, PolicyUnavailableError, id="reset"),
        pytest.param(cut_off, PolicyUnavailableError, id="cut off"),
        pytest.param(not_http, PolicyUnavailableError, id="not HTTP"),
        pytest.param(answer(200, b""), PolicyInvalidError, id="empty"),
        pytest.param(answer(200, b"<html>login</html>"), PolicyInvalidError, id="HTML"),
        pytest.param(answer(200, b"[]"), PolicyInvalidError, id="an array"),
        pytest.param(answer(200, b'{"result":true,"result":false}'), PolicyInvalidError, id="duplicate key"),
        pytest.param(answer(200, b"{" + b" " * ANSWER_BYTES_MAX + b"}"), PolicyInvalidError, id="huge"),
        pytest.param(endless, PolicyInvalidError, id="endless"),
        pytest.param(answer(200, b"{}"), PolicyUndefinedError, id="undefined"),
        pytest.param(answer(200, good_answer(result=None)), PolicyUndefinedError, id="undefined by our revision"),
        pytest.param(answer(200, good_answer(result=True)), PolicyInvalidError, id="a bare truth"),
        pytest.param(answer(200, good_answer(result={"allow": True})), PolicyInvalidError, id="a bare allow"),
        pytest.param(answer(200, good_answer(provenance=None)), PolicyUnavailableError, id="no provenance"),
        pytest.param(answer(200, good_answer(provenance=[])), PolicyUnavailableError, id="provenance of another shape"),
        pytest.param(
            answer(200, good_answer(provenance={"version": "1.22.2", "bundles": {"b": {"revision": "sha256:0"}}})),
            PolicyUnavailableError,
            id="another revision",
        ),
        pytest.param(
            answer(200, good_answer(result=None, provenance={"bundles": {"b": {"revision": "sha256:0"}}})),
            PolicyUnavailableError,
            id="undefined by another revision",
        ),
    ],
)
def test_a_bad_answer_has_its_own_error(behaviour: Behaviour, error: type[PolicyFailureError]) -> None:
    """Each way to fail has its own stable error, and none is an answer."""
    with misbehaving_server(behaviour) as server, pytest.raises(PolicyFailureError) as caught:
        ask(server.address)

    assert type(caught.value) is error


@pytest.mark.parametrize("behaviour", [hang, drip_head, drip_body])
def test_the_deadline_is_for_the_whole_call(behaviour: Callable[[socket.socket], None]) -> None:
    """A server that is slow, or drips, is given up in time, whatever it has sent until then."""
    started = time.monotonic()
    with misbehaving_server(behaviour) as server:
        with pytest.raises(PolicyUnavailableError):
            ask(server.address, timeout_s=SHORT_S)
        elapsed = time.monotonic() - started

    assert elapsed < 2 * SHORT_S


def test_nobody_listens() -> None:
    """Where nobody listens there is no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(PolicyUnavailableError):
        ask(OPAServer(host="127.0.0.1", port=port))


def test_redirects_are_not_followed() -> None:
    """A decision from another address than the configured one is none."""
    with misbehaving_server(answer(200, good_answer())) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.address.port}/v1/data"
        with misbehaving_server(answer(307, b"", location)) as server, pytest.raises(PolicyUnavailableError):
            ask(server.address)

    assert not elsewhere.requests


def test_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the surroundings never sees a decision."""
    with misbehaving_server(answer(200, good_answer())) as proxy, misbehaving_server(answer(503, b"")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setitem(os.environ, name, f"http://127.0.0.1:{proxy.address.port}")  # noqa: TID251 - the trap
        with pytest.raises(PolicyUnavailableError):
            ask(server.address)

    assert not proxy.requests
    assert server.requests


def test_the_question_is_strict_and_authenticated() -> None:
    """Every question asks for strict built-ins and provenance, and carries the token."""
    with misbehaving_server(answer(200, good_answer())) as server:
        ask(replace(server.address, token="secret-of-a-test"))

    (head,) = server.requests
    assert head.startswith(b"POST /v1/data/lockgate/promotion/decision?")
    assert b"strict-builtin-errors=true" in head
    assert b"provenance=true" in head
    assert b"Authorization: Bearer secret-of-a-test" in head
    assert b"Accept-Encoding: identity" in head


def test_a_broken_connection_is_tried_once_more() -> None:
    """A decision is pure, so a question that got no answer is asked again, once."""
    with misbehaving_server(reset) as server, pytest.raises(PolicyUnavailableError):
        ask(server.address)

    assert len(server.requests) == 2


def test_the_hardening_reaches_the_library() -> None:
    """The library still takes its session from where it is hardened."""
    client = HardenedOPAClient(OPAServer(host="127.0.0.1", port=1, tls=True, ca_file=Path("/ca.pem")))

    session = client._session
    adapter = session.get_adapter("https://127.0.0.1/")
    assert not session.trust_env
    assert session.max_redirects == 0
    assert session.verify == "/ca.pem"
    assert list(session.adapters) == ["https://"]
    assert adapter.max_retries.status == 0
    client.close_connection()


@pytest.mark.opa
def test_a_real_opa_without_the_policy(opa_binary: Path) -> None:
    """An OPA that has no policy yet is undefined, not a deny."""
    with running_opa(opa_binary) as server, pytest.raises(PolicyUndefinedError):
        ask(server)


@pytest.mark.opa
def test_a_real_opa_with_an_unbuilt_policy(opa_binary: Path) -> None:
    """An OPA that loaded the sources states no revision, and is not believed."""
    with (
        running_opa(opa_binary, "--bundle", str(shipped_folder("policies"))) as server,
        pytest.raises(PolicyUnavailableError),
    ):
        ask(server)


@pytest.mark.opa
def test_a_real_opa_with_another_revision(opa_binary: Path) -> None:
    """An OPA that runs another revision than the gate's is not believed, though it would answer."""
    policy = shipped_policy()
    other = PolicyRevision("sha256:" + "0" * 64)
    newer = replace(policy, catalogue=PolicyCatalogue(revision=other, rules=policy.catalogue.rules))
    with running_opa(opa_binary, "--bundle", str(shipped_folder("policies") / COMPILED / "bundle.tar.gz")) as server:
        engine = OPAEngine(newer, server)
        with pytest.raises(PolicyUnavailableError):
            engine.evaluate(PolicyInput({**allowed_input(), "policy_revision": other}), timeout_s=TIMEOUT_S)
        engine.close()


@pytest.mark.opa
def test_a_real_opa_where_rules_conflict(opa_binary: Path, tmp_path: Path) -> None:
    """Rules that contradict each other are an error of the policy, not of the server."""
    package = tmp_path / "lockgate" / "promotion"
    package.mkdir(parents=True)
    (package / "promotion.rego").write_text("package lockgate.promotion\n\ndecision := 1\n\ndecision := input.now_ns\n")

    with running_opa(opa_binary, "--bundle", str(tmp_path)) as server, pytest.raises(PolicyEvaluationError):
        ask(server)
