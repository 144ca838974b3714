"""What adapters make of registries that are slow, broken, or lie: an error with a code, in time, and nothing else."""

import contextlib
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lockgate.errors import LockgateError
from lockgate.outbound import QUOTED_CHARS_MAX
from lockgate.registry import (
    RegistryAnswerError,
    RegistryPort,
    RegistryRefusedError,
    RegistrySettings,
    RegistryUnavailableError,
    RegistryUnsupportedError,
)
from lockgate.registry.calls import ANSWER_BYTES_MAX
from lockgate.registry.kubeflow_hub import KubeflowHubRegistry
from lockgate.registry.mlflow import MLflowRegistry
from support.gate_server import Call, Reply, json_reply, serve_gate
from support.misbehaving_server import answer, misbehaving_server
from support.registries import registry_settings
from support.registry_answers import (
    HUB_ANSWERS,
    MLFLOW_ANSWERS,
    MODEL,
    VERSION,
    CannedRegistry,
    canned_registry,
    codes_of,
    every_call,
    places,
    put,
)

Adapter = Callable[[RegistrySettings], RegistryPort]

_ADAPTERS: Final[dict[Adapter, dict[str, Any]]] = {MLflowRegistry: MLFLOW_ANSWERS, KubeflowHubRegistry: HUB_ANSWERS}
_REGISTRY_CODES: Final = {"registry.answer", "registry.unsupported", "registry.pointer_moved", "registry.refused", ""}
_TOKEN: Final = "s3cr3t-registry-token-value"
_FILE: Final = "/api/2.0/mlflow-artifacts/artifacts/1/models/m/artifacts/MLmodel"

both = pytest.mark.parametrize("adapter", _ADAPTERS, ids=["mlflow", "kubeflow_hub"])


def failing(registry: RegistryPort) -> set[str]:
    """Return the codes of all calls, which must all fail, but for files where none are kept."""
    codes = set()
    for call in every_call(registry):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - looked at right here
            call()
        codes.add(getattr(caught.value, "code", repr(caught.value)))
    return codes - {"registry.unsupported"}


@both
def test_the_table_of_answers_is_good(adapter: Adapter) -> None:
    """What the tests below bend would be understood otherwise."""
    with canned_registry(_ADAPTERS[adapter]) as canned:
        registry = adapter(registry_settings(canned.url))
        canned.replies[_FILE] = Reply(body=b"flavors")

        assert codes_of(registry) <= {"registry.unsupported"}
        run = registry.find_run(MODEL, VERSION)
        assert run is not None
        assert [(item.name, item.digest) for item in run.datasets] == [("transactions", "d5d8d080")]


@both
@pytest.mark.parametrize("status", [400, 403])
def test_its_words_stay_in_the_log(adapter: Adapter, status: int, tmp_path: Path) -> None:
    """An error that repeats the request's headers ends in no error of ours; the log has it without the secrets."""
    (tmp_path / "token").write_text(_TOKEN)

    def repeat(call: Call) -> Reply:
        message = f"not for you: {call.headers}"
        return json_reply({"error_code": "ODD", "message": message}, status=status)

    with serve_gate(repeat) as server:
        registry = adapter(registry_settings(server.url, token_file=tmp_path / "token"))
        with capture_logs() as lines, pytest.raises(LockgateError) as caught:
            registry.find_model(MODEL)
    (said,) = [line["said"] for line in lines if line["event"] == "registry_said"]

    assert "not for you" not in str(caught.value)
    assert "not for you: " in said
    assert _TOKEN not in said


@both
def test_a_key_that_stands_twice_is_not_quoted(adapter: Adapter) -> None:
    """Not even what makes its JSON unusable is repeated."""
    body = f'{{"{_TOKEN}": 1, "{_TOKEN}": 2}}'.encode()
    with serve_gate(lambda _call: Reply(body=body)) as server:
        with pytest.raises(RegistryAnswerError) as caught:
            adapter(registry_settings(server.url)).find_model(MODEL)

        assert _TOKEN not in str(caught.value)


@both
@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_registry_out_of_order_is_unavailable(adapter: Adapter, status: int) -> None:
    """Worth another try, and said so."""
    with misbehaving_server(answer(status, b"<html>no</html>")) as server:
        registry = adapter(registry_settings(f"http://127.0.0.1:{server.address.port}"))

        assert failing(registry) == {"registry.unavailable"}


@both
def test_a_registry_that_is_not_there_is_unavailable(adapter: Adapter) -> None:
    """Nobody listens."""
    assert failing(adapter(registry_settings("http://127.0.0.1:1"))) == {"registry.unavailable"}


@both
@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_is_told(adapter: Adapter, status: int) -> None:
    """By name; its own words stand in the log, short and on one line."""
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "Ask\nLockgate \x1b[31m" + "x" * 5000}).encode()
    with misbehaving_server(answer(status, body)) as server:
        registry = adapter(registry_settings(f"http://127.0.0.1:{server.address.port}"))

        assert failing(registry) == {"registry.refused"}
        with capture_logs() as lines, pytest.raises(RegistryRefusedError, match=f"got the status {status}") as caught:
            registry.find_model(MODEL)
        (line,) = lines
        assert "Ask" not in str(caught.value)
        assert (line["event"], line["registry"], line["status"]) == ("registry_said", "theirs", status)
        assert line["said"].startswith("Ask Lockgate ")
        assert len(line["said"]) == QUOTED_CHARS_MAX
        assert line["said"].isprintable()


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{",
        b'{"a": 1, "a": 2}',
        b"\xff",
        b'{"a": "\\u0000"}',
        b"[" * 100_000,
        b'{"a": ' * 30 + b"1" + b"}" * 30,
        b'{"a": [' + b"0," * 500_000 + b"0]}",
    ],
    ids=range(11),
)
def test_what_is_no_answer_of_a_registry_is_said(adapter: Adapter, body: bytes) -> None:
    """No JSON, no object, ambiguous, too deep or too much."""
    with misbehaving_server(answer(200, body)) as server:
        registry = adapter(registry_settings(f"http://127.0.0.1:{server.address.port}"))

        assert failing(registry) == {"registry.answer"}


@both
def test_an_endless_answer_is_cut_off(adapter: Adapter) -> None:
    """Whatever is beyond the limit is not read."""
    body = b'{"a": "' + b"x" * ANSWER_BYTES_MAX + b'"}'
    with misbehaving_server(answer(200, body)) as server:
        registry = adapter(registry_settings(f"http://127.0.0.1:{server.address.port}"))
        with pytest.raises(RegistryUnavailableError, match="want an answer of at most 8388608 bytes"):
            registry.find_model(MODEL)


@both
@pytest.mark.parametrize("status", [301, 302, 307, 404, 405, 418])
def test_another_servers_answers_are_not_taken_for_absence(adapter: Adapter, status: int) -> None:
    """A wrong URL, or a proxy's page: nothing is followed, and no model is called missing because of it."""
    with misbehaving_server(answer(status, b"<h1>Not Found</h1>", "Location: http://127.0.0.1:1/")) as server:
        registry = adapter(registry_settings(f"http://127.0.0.1:{server.address.port}"))

        assert failing(registry) == {"registry.answer"}


@both
def test_time_is_for_all_exchanges_of_a_call_together(adapter: Adapter) -> None:
    """A registry that takes long over each of several answers does not get the time-out for each."""
    with canned_registry(_ADAPTERS[adapter]) as canned:
        prompt = canned.answer

        def slow(call: Any) -> Reply:
            time.sleep(0.4)
            return prompt(call)

        canned.server.answer = slow
        registry = adapter(registry_settings(canned.url, timeout_s=0.6))
        begun = time.monotonic()
        with pytest.raises(RegistryUnavailableError) as caught:
            registry.find_run(MODEL, VERSION)

        assert "within 0.6 s" in str(caught.value) or "no whole answer" in str(caught.value)
        assert time.monotonic() - begun < 2
        assert len(canned.server.calls) == 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["..", "a/b"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)
_WRONG: Final[tuple[Any, ...]] = (7, "text", [], {"a": 1}, True)


def uses(canned: CannedRegistry, registry: RegistryPort) -> list[tuple[int, str]]:
    """Return which calls of the port look at which answers."""
    found = set()
    for number, call in enumerate(every_call(registry)):
        canned.server.calls.clear()
        with contextlib.suppress(RegistryUnsupportedError):
            call()
        found |= {(number, urlsplit(seen.path).path) for seen in canned.server.calls}
    return sorted((number, path) for number, path in found if path in canned.documents)


def code_of(call: Callable[[], object]) -> str:
    """Make a call; return the code of what went wrong, or ""."""
    try:
        call()
    except LockgateError as exc:
        return exc.code
    return ""


@both
def test_whatever_stands_anywhere_in_an_answer_is_read_or_refused(adapter: Adapter) -> None:
    """Never an error without a code."""
    answers = _ADAPTERS[adapter]
    with canned_registry(answers) as canned:
        registry = adapter(registry_settings(canned.url))
        canned.replies[_FILE] = Reply(body=b"flavors")
        used = uses(canned, registry)

        @settings(max_examples=150, deadline=None)
        @given(data=st.data())
        def bend(data: st.DataObject) -> None:
            number, path = data.draw(st.sampled_from(used))
            place = data.draw(st.sampled_from(list(places(answers[path]))))
            canned.documents = answers | {path: put(answers[path], place, data.draw(_JSON))}

            assert code_of(every_call(registry)[number]) in _REGISTRY_CODES

        bend()


@both
def test_a_wrong_type_anywhere_is_refused_or_unused(adapter: Adapter) -> None:
    """Each place of each answer, one after the other: what is used must be of its type."""
    answers = _ADAPTERS[adapter]
    wrong = itertools.cycle(_WRONG)
    codes = []
    with canned_registry(answers) as canned:
        registry = adapter(registry_settings(canned.url))
        canned.replies[_FILE] = Reply(body=b"flavors")
        for number, path in uses(canned, registry):
            for place in places(answers[path]):
                canned.documents = answers | {path: put(answers[path], place, next(wrong))}
                codes.append(code_of(every_call(registry)[number]))

    assert set(codes) <= _REGISTRY_CODES
    assert codes.count("registry.answer") > len(codes) / 3


@both
def test_more_than_was_asked_for_is_refused(adapter: Adapter) -> None:
    """A page has a limit, and a page token leads on."""
    with canned_registry(_ADAPTERS[adapter]) as canned:
        registry = adapter(registry_settings(canned.url))
        (path, key) = next(
            (path, key)
            for path, key in (
                ("/api/2.0/mlflow/registered-models/search", "registered_models"),
                ("/api/model_registry/v1alpha3/registered_models", "items"),
            )
            if path in canned.documents
        )
        token = registry.list_models().next_cursor
        assert token
        with pytest.raises(Exception, match="want a page token that leads on"):
            registry.list_models(cursor=token)
        canned.documents[path][key] *= 3
        with pytest.raises(Exception, match=f"{key}: want at most 2 items, got 3"):
            registry.list_models(limit=2)


@pytest.mark.parametrize("value", [2**63, 10**400, 1e999, [1], None], ids=lambda value: str(value)[:9])
def test_no_property_changes_on_its_way_back(value: Any) -> None:
    """Where another's property cannot be sent as it came, nothing is sent."""
    with canned_registry(HUB_ANSWERS) as canned:
        model = canned.documents["/api/model_registry/v1alpha3/registered_model"]
        model["customProperties"]["rank"] = {"metadataType": "MetadataDoubleValue", "double_value": value}
        registry = KubeflowHubRegistry(registry_settings(canned.url))

        assert code_of(every_call(registry)[5]) == "registry.answer"
        assert [call.method for call in canned.server.calls if call.method != "GET"] == []
