"""`examples/access_reviews` does what its README says, without the gate's code."""

import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
import pytest

from lockgate.audit import Actor, Event, open_log
from lockgate.demo.stage import free_port
from support.decisions import make_decision
from support.gate_log import GateLog, receipt_document
from support.gate_server import Call, GateServer, Reply, json_reply, problem_reply, serve_gate

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "access_reviews"
ORIGIN: Final = "reviews.example.org/audit"
README_S_MAX: Final = 280  # a cold demonstration on a busy machine
Done: TypeAlias = subprocess.CompletedProcess[str]


@pytest.fixture
def gate_log(tmp_path: Path) -> GateLog:
    """The gate's log."""
    (tmp_path / "gate").mkdir()
    return GateLog(tmp_path / "gate")


def run(*arguments: object, **variables: str) -> Done:
    """Run the example."""
    command = [sys.executable, "-m", "access_reviews", *map(str, arguments)]
    return subprocess.run(command, cwd=EXAMPLE, env=variables, capture_output=True, text=True, check=False, timeout=60)


def review(folder: Path, receipt: dict[str, Any], gate_key: str) -> Done:
    """Record a review in the log that is in `folder`, because of a decision."""
    path = folder / "receipt.json"
    path.write_bytes(orjson.dumps(receipt))
    arguments = ["review", "ann", "--reviewer", "maya", "--verdict", "keep", "--receipt", path]
    return run(*arguments, "--log", folder / "reviews", LOCKGATE_LOG_KEY=gate_key)


def decide(log: GateLog, kind: str = "gate.decision", verdict: str = "allow", **changes: Any) -> dict[str, Any]:
    """Have a gate record a decision."""
    return log.receipt(make_decision(verdict, **changes), kind)


# --- believing a decision -----------------------------------------------------------------------------------------


def test_a_review_is_recorded_because_of_a_decision(tmp_path: Path, gate_log: GateLog) -> None:
    """The record is held to the module's schema, and says where the gate's decision is."""
    done = review(tmp_path, decide(gate_log), gate_log.vkey)
    log = open_log(tmp_path / "reviews", ORIGIN, {})
    (record,) = [orjson.loads(each.body) for each in log.records(kind="access.review")]

    assert (done.stdout, done.stderr) == ("record 2: keep ann, for fraud-detector 1.4.0\n", "")
    assert (record["actor"]["id"], record["subject"]) == ("maya", "account:ann")
    assert record["body"]["decision"] == {"log": "lockgate.test/gate", "seq": 1, "id": make_decision()["id"]}
    schema = (EXAMPLE / "access_reviews" / "access_review.schema.json").read_bytes()
    assert log.attachment(record["schema"].removeprefix("sha256:")) == schema


def changed(receipt: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    """Change a receipt after it was given."""
    assert before in receipt["record"]
    return {**receipt, "record": receipt["record"].replace(before, after)}


_STAGING: Final = {**make_decision()["subject"], "from": "dev", "to": "staging"}
REFUSED: dict[str, tuple[Callable[[GateLog], dict[str, Any]], str]] = {
    "a denial": (lambda log: decide(log, verdict="deny"), "want a decision that allows"),
    "a forecast": (lambda log: decide(log, dry_run=True), "want a decision that allows"),
    "another kind of record": (lambda log: decide(log, "test.forecast"), "want a decision that allows"),
    "another environment": (lambda log: decide(log, subject=_STAGING), "want a promotion to production"),
    "a denial made an allow": (lambda log: changed(decide(log, verdict="deny"), '"deny"', '"allow"'), "path"),
    "another model": (lambda log: changed(decide(log), "fraud-detector", "other-detector"), "path"),
    "another position": (lambda log: {**decide(log), "seq": 0}, "want a proof for record 0"),
    "no receipt": (lambda _: {"verdict": "allow"}, "want a receipt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_proves_no_allow_for_production_is_refused(tmp_path: Path, gate_log: GateLog, name: str) -> None:
    """It ends with 1 and says why; nothing is recorded."""
    make, why = REFUSED[name]
    done = review(tmp_path, make(gate_log), gate_log.vkey)

    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert not (tmp_path / "reviews").exists()


def test_a_receipt_of_another_log_is_refused(tmp_path: Path, gate_log: GateLog) -> None:
    """A gate of the same name under another key proves nothing."""
    (tmp_path / "foreign").mkdir()
    done = review(tmp_path, decide(GateLog(tmp_path / "foreign")), gate_log.vkey)

    assert (done.returncode, "no known key" in done.stderr) == (1, True)


def test_the_gate_is_not_imported() -> None:
    """The example loads none of the gate's rooms; believing a decision loads no database either."""
    gate = {"flask", "lockgate.bootstrap", "lockgate.promotion", "lockgate.policy", "lockgate.evidence", "lockgate.web"}
    for modules, absent in (
        ("access_reviews.__main__, lockgate.audit.writing.log", gate),
        ("access_reviews.decisions", {*gate, "sqlalchemy", "lockgate.storage"}),
    ):
        code = f"import sys, {modules}; print(*sorted({absent!r} & sys.modules.keys()))"
        done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLE, env={}, capture_output=True, check=True)

        assert done.stdout == b"\n"


# --- sending to the gate's log ------------------------------------------------------------------------------------


@pytest.fixture
def gate(gate_log: GateLog, tmp_path: Path) -> Iterator[GateServer]:
    """A gate that records whatever it is sent; in `tmp_path` lie a token and the module's log, a review in record 2."""
    schema = (EXAMPLE / "access_reviews" / "access_review.schema.json").read_bytes()
    gate_log._log.register_kind("access.review", schema, Actor(type="system", id="tests"))
    assert review(tmp_path, decide(gate_log), gate_log.vkey).returncode == 0
    (tmp_path / "token").write_text("lgt_secret\n")

    def record(call: Call) -> Reply:
        sent = {name: call.body[name] for name in ("id", "kind", "subject", "body")}
        receipt = gate_log._log.append(Event(**sent, actor=Actor(type="machine", id="access-reviews")))
        return json_reply(receipt_document(receipt), status=201)

    with serve_gate(record) as server:
        yield server


def send(folder: Path, gate: GateServer, gate_log: GateLog, patience: int = 20, seq: int = 2) -> Done:
    """Send a record to the gate."""
    arguments = ["send", seq, "--log", folder / "reviews", "--token-file", folder / "token", "--patience", patience]
    return run(*arguments, LOCKGATE_URL=gate.url, LOCKGATE_LOG_KEY=gate_log.vkey)


def test_a_record_is_sent_until_the_gate_has_it(tmp_path: Path, gate: GateServer, gate_log: GateLog) -> None:
    """A gate that is busy is asked again, with the same id, and the answer is believed by its receipt."""
    record, busy = gate.answer, iter([True, True])
    gate.answer = lambda call: problem_reply(503) if next(busy, False) else record(call)
    done = send(tmp_path, gate, gate_log)

    assert (done.stdout, done.stderr) == ("record 3 of lockgate.test/gate says the same\n", "")
    assert len(gate.calls) == 3
    assert len({orjson.dumps(call.body) for call in gate.calls}) == 1
    assert gate.calls[0].headers["Authorization"] == "Bearer lgt_secret"


def test_what_is_no_review_is_not_sent(tmp_path: Path, gate: GateServer, gate_log: GateLog) -> None:
    """The records that the log makes of itself stay where they are."""
    done = send(tmp_path, gate, gate_log, seq=0)

    assert (done.returncode, gate.calls) == (1, [])
    assert done.stderr == "access_reviews: want a record of kind access.review, got log.genesis\n"


_Record: TypeAlias = Callable[[Call], Reply]
BAD_ANSWERS: dict[str, tuple[Callable[[_Record], _Record], str]] = {
    "refused": (lambda _: lambda _: problem_reply(403), "the gate answered 403"),
    "elsewhere": (
        lambda _: lambda _: Reply(status=307, headers=(("Location", "/elsewhere"),)),
        "the gate answered 307",
    ),
    "recorded under another name": (
        lambda record: lambda call: record(Call(**{**_parts(call), "body": {**call.body, "id": str(uuid.uuid4())}})),
        "for another record",
    ),
    "no receipt": (lambda _: lambda _: json_reply({}, status=201), "want a receipt"),
    "cut off": (lambda _: lambda _: Reply(status=201, body=b'{"seq":', announced=100), "the gate answered 0"),
}


def _parts(call: Call) -> dict[str, Any]:
    return {"method": call.method, "path": call.path, "headers": call.headers, "body": call.body}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_an_answer_that_proves_nothing_is_refused(
    tmp_path: Path, gate: GateServer, gate_log: GateLog, name: str
) -> None:
    """It ends with 1 and says why; a refusal is not argued with."""
    spoil, why = BAD_ANSWERS[name]
    gate.answer = spoil(gate.answer)
    done = send(tmp_path, gate, gate_log, patience=0)

    assert (done.returncode, len(gate.calls)) == (1, 1)
    assert why in done.stderr
    assert "lgt_secret" not in done.stderr


# --- the README ---------------------------------------------------------------------------------------------------


def _script(readme: str, port: int) -> str:
    """Return the commands of the README; the gate gets a port of its own."""
    blocks = re.findall(r"^```console\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (.*(?:\\\n.*)*)$", "".join(blocks), flags=re.MULTILINE)
    script = "\n".join(commands).replace(". gate/env", f". gate/env; export LOCKGATE_URL=http://127.0.0.1:{port}")
    return script.replace("lockgate serve", f"lockgate serve --bind 127.0.0.1:{port}")


@pytest.mark.slow
def test_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    """Each command of the README, one after the other in one shell, with what it says that they print."""
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    readme = (folder / "README.md").read_text()
    script = f"set -eu\ntrap 'jobs -p | xargs -r kill' EXIT\n{_script(readme, free_port())}\nwait\n"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=README_S_MAX,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "record 2: keep ann, for fraud-detector 1.0.0\n" in done.stdout
    assert "VALID  reviews.example.org/audit: 3 records" in done.stdout
    assert len(set(re.findall(r"record [0-9]+ of demo\.lockgate\.example/audit says the same", done.stdout))) == 1
    assert '"kind": "access.review"' in done.stdout
