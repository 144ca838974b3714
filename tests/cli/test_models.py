"""`lockgate model`: a team's whole day with a real gate behind it, and what is refused before anything is sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from lockgate.policy.wasm import WasmEngine
from lockgate.registration import MODEL, VERSION
from support.commands import Run
from support.gate_server import Call, GateServer, Reply
from support.gates import ARTIFACT, GateUnderTest, make_gate
from support.models import BOM, BOM_DIGEST, CARD, CARD_DIGEST, OTHER_CARD, register_model, register_version

DIGEST = str(ARTIFACT)
PASSED_ON = ("If-Match", "Idempotency-Key", "Content-Type")


@pytest.fixture
def real_gate(tmp_path: Path, engine: WasmEngine, gate: GateServer) -> Iterator[GateUnderTest]:
    """A whole gate behind the peer; whoever calls is otto."""
    folder = tmp_path / "gate"
    folder.mkdir()
    real = make_gate(folder, engine)

    def pass_on(call: Call) -> Reply:
        headers = {name: call.headers[name] for name in PASSED_ON if name in call.headers}
        headers["Authorization"] = f"Bearer {real.tokens['otto']}"
        data = None if call.body is None else orjson.dumps(call.body)
        response = real.client.open(call.path, method=call.method, headers=headers, data=data)
        return Reply(status=response.status_code, body=response.data, content_type=response.content_type)

    gate.answer = pass_on
    with capture_logs():  # the gate's log would come between what the command says
        yield real


def in_file(folder: Path, name: str, content: bytes) -> str:
    """Write a file and return its path."""
    (folder / name).write_bytes(content)
    return str(folder / name)


def read(run: Run, *arguments: str) -> Any:
    """Run a command that shows something, as JSON."""
    ended = run("model", *arguments, "-o", "json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)  # noqa: TID251 - our own output, whose types the test looks at


def test_a_model_from_its_registration_to_its_end(run: Run, real_gate: GateUnderTest, tmp_path: Path) -> None:
    """Every command, in the order of a model's life; each change is a record."""
    card, other = in_file(tmp_path, "card.json", CARD), in_file(tmp_path, "other.json", OTHER_CARD)
    bom = in_file(tmp_path, "bom.json", BOM)
    ml_run = in_file(tmp_path, "run.json", b'{"id": "run-17", "params": [{"name": "depth", "value": "6"}]}')
    said = ["--owner", "payments-ml", "--purpose", "Scores\nfraud.", "--tag", "a=1", "--tag", "b=c=d", "--card", card]

    created = run("model", "create", "fraud-detector", *said)
    assert (created.code, created.out) == (0, "REGISTERED builtin:fraud-detector as fraud-detector\n")
    changed = run("model", "update", "fraud-detector", "--owner", "fraud-ml", "--bom", bom)
    assert (changed.code, changed.out) == (0, "CHANGED fraud-detector, row version 2\n")
    model = read(run, "show", "fraud-detector")
    assert (model["owner"], model["purpose"]) == ("fraud-ml", "Scores\nfraud.")
    assert model["tags"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "c=d"}]
    assert (model["card"], model["bom"]) == (CARD_DIGEST, BOM_DIGEST)
    run("model", "update", "fraud-detector", "--card", other, "--tag", "only=this")
    assert read(run, "show", "fraud-detector")["tags"] == [{"name": "only", "value": "this"}]

    added = run("model", "add-version", "fraud-detector", "1.4.0", "--digest", DIGEST, "--run", ml_run)
    assert (added.code, added.out) == (0, f"REGISTERED builtin:fraud-detector/1.4.0 {DIGEST}\n")
    file = in_file(tmp_path, "model.bin", b"the model")
    again = run("model", "add-version", "fraud-detector", "1.4.1", "--artifact", file)
    assert again.out == f"REGISTERED builtin:fraud-detector/1.4.1 {DIGEST}\n"
    assert [item["version"] for item in read(run, "versions", "fraud-detector")["items"]] == ["1.4.1", "1.4.0"]
    assert read(run, "show", "fraud-detector", "1.4.0")["version"]["run"]["id"] == "run-17"
    retired = run("model", "retire-version", "fraud-detector", "1.4.0", "--reason", "leaks")
    assert (retired.code, retired.out) == (0, "RETIRED builtin:fraud-detector/1.4.0\n")
    assert "1.4.0" in run("model", "versions", "fraud-detector").out.splitlines()[1]
    assert run("model", "versions", "fraud-detector").out.splitlines()[1].endswith("  retired")
    assert run("model", "retire", "fraud-detector").out == "RETIRED fraud-detector\n"
    assert run("model", "list", "--retired").out == "fraud-detector  builtin:fraud-detector  fraud-ml    retired\n"
    assert run("model", "list", "--active").out == ""
    assert [record["body"]["change"] for record in real_gate.records(MODEL)] == [
        *("created", "updated", "updated", "retired")
    ]
    assert len(real_gate.records(VERSION)) == 3


def test_a_version_is_shown_with_its_promotions(run: Run, real_gate: GateUnderTest) -> None:
    """As lines that people read; whatever a registry or team wrote cannot write lines of its own."""
    register_model(real_gate, purpose="One.\nTWO \u001b[31m")
    register_version(real_gate)
    promotion = real_gate.request()["promotion"]["id"]
    shown = run("model", "show", "fraud-detector", "1.4.0").out
    model = run("model", "show", "fraud-detector").out

    assert shown.splitlines()[-1].endswith(f"promote staging to production  pending  {promotion}")
    assert "\u001b" not in model
    assert not any(line.startswith("TWO") for line in model.splitlines())


def test_a_list_is_read_to_its_end(run: Run, real_gate: GateUnderTest) -> None:
    """Over all its pages."""
    for number in range(23):
        register_model(real_gate, f"m{number:02}", owner="b" if number else "a")

    assert len(run("model", "list").out.splitlines()) == 23
    assert run("model", "list", "--owner", "a").out == "m00  builtin:m00  a  high\n"
    assert read(run, "list", "--owner", "nobody") == {"items": []}


def test_a_change_that_came_too_late_changes_nothing(run: Run, real_gate: GateUnderTest, gate: GateServer) -> None:
    """Somebody else's change between reading and writing is not undone; the code is told."""
    register_model(real_gate)
    before = gate.answer
    meddled: list[Call] = []

    def meddle(call: Call) -> Reply:
        if call.method == "PUT" and not meddled:
            meddled.append(call)
            document = {"schema_version": 1, "owner": "quick"}
            real_gate.call("PUT", "/v1/models/fraud-detector", "rita", document, If_Match='"1"')
        return before(call)

    gate.answer = meddle
    ended = run("model", "update", "fraud-detector", "--owner", "slow")

    assert ended.code == 3
    assert "registry.model_moved" in ended.err
    assert real_gate.call("GET", "/v1/models/fraud-detector", "rita").json["owner"] == "quick"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "m"], "Missing option '--owner'"),
        (["create", "m", "--owner", "a", "--tag", "x"], "want NAME=VALUE"),
        (["create", "m", "--owner", "a", "--tag", "=x"], "want NAME=VALUE"),
        (["create", "m", "--owner", "a", "--card", "none.json"], "does not exist"),
        (["add-version", "m", "1"], "want exactly one of --digest, --artifact and --model-dir"),
        (["add-version", "m", "1", "--digest", "sha256:x"], "want 64 lower-case hex digits"),
        (["add-version", "m", "1", "--digest", DIGEST, "--run", "{broken}"], "want a JSON file that can be read"),
        (["create", "m", "--owner", "a", "--bom", "{huge}"], "want at most 4194304 bytes"),
        (["show", "m", "1", "--pointers"], "want --pointers for a model"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(
    run: Run, gate: GateServer, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Usage errors never reach the gate."""
    files = {"{broken}": in_file(tmp_path, "broken", b"{"), "{huge}": in_file(tmp_path, "huge", b" " * 4194305)}
    ended = run("model", *(files.get(argument, argument) for argument in arguments))

    assert ended.code == 2
    assert words in ended.err
    assert gate.calls == []


def test_a_call_keeps_its_key(run: Run, real_gate: GateUnderTest, gate: GateServer) -> None:
    """A call that is sent again under its key is done once; without one, each has a fresh one."""
    register_model(real_gate)
    arguments = ["model", "add-version", "fraud-detector", "1.4.0", "--digest", DIGEST]
    first = run(*arguments, "--idempotency-key", "k", "-o", "json")
    again = run(*arguments, "--idempotency-key", "k", "-o", "json")
    fresh = run(*arguments)

    assert first.out == again.out
    assert (fresh.code, "registry.version_taken" in fresh.err) == (3, True)
    assert len(real_gate.records(VERSION)) == 1
    assert gate.calls[-1].headers["Idempotency-Key"] not in {"k", ""}


@pytest.mark.usefixtures("real_gate")
def test_names_are_put_into_paths_safely(run: Run, gate: GateServer) -> None:
    """A name cannot lead to another resource."""
    ended = run("model", "show", "../promotions?x=1#y")

    assert ended.code == 3
    assert gate.calls[0].path == "/v1/models/..%2Fpromotions%3Fx%3D1%23y"
    assert "http.not_found" in ended.err
