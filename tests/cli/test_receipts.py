"""An answer whose receipt does not prove it is never shown as a decision."""

import json
import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from lockgate.audit.formats.disclosures import commit
from lockgate.schemas import check_schema
from support.commands import Run
from support.decisions import DIGEST, DRY_RUN_PROMOTION_ID, PROMOTION_ID, make_decision
from support.gate_log import GateLog, make_promotion
from support.gate_server import Call, GateServer, Reply, json_reply

_USAGE: Final = 2
_UNDECIDED: Final = 3
_UNTRUSTED: Final = 5
_REQUEST: Final = ("request", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production", "--digest", DIGEST)
_STATUS: Final = ("status", PROMOTION_ID)
_APPROVE: Final = ("approve", PROMOTION_ID, "--role", "risk", "--yes")

Tamper = Callable[[dict[str, Any], GateLog, GateLog], None]


def _flip(text: str, index: int) -> str:
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]


def _record_byte(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    record = answer["receipt"]["record"]
    answer["receipt"]["record"] = record.replace('"ci@example.org"', '"cj@example.org"')


def _signature_byte(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["receipt"]["proof"] = _flip(answer["receipt"]["proof"], -10)


def _empty_proof(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["receipt"]["proof"] = ""


def _foreign_key(answer: dict[str, Any], _log: GateLog, foreign: GateLog) -> None:
    answer["receipt"] = foreign.receipt(answer["decision"])


def _another_seq(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["receipt"]["seq"] += 1


def _edited_decision(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["decision"]["expires_at"] = "2999-01-01T00:00:00.000000Z"


def _another_decision(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    other = log.promotion_answer(make_decision("deny"))
    answer["receipt"] = other["receipt"]


def _another_kind(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    answer["decision"]["id"] = str(uuid.uuid4())
    answer["receipt"] = log.receipt(answer["decision"], "test.forecast")


def _another_promotion(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    _replace(answer, log, promotion_id=str(uuid.uuid4()))


def _another_artifact(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    _replace(answer, log, subject=make_decision()["subject"] | {"digest": "sha256:" + "00" * 32})


def _another_target(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    _replace(answer, log, subject=make_decision()["subject"] | {"to": "dev"})


def _another_model(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    _replace(answer, log, subject=make_decision()["subject"] | {"model": "churn-scorer"})


def _recorded_dry_run(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    _replace(answer, log, dry_run=True)


def _replace(answer: dict[str, Any], log: GateLog, **changes: Any) -> None:
    answer.update(log.promotion_answer(answer["decision"] | changes))


def _approval_fields(decision: dict[str, Any]) -> dict[str, Any]:
    subject = decision["subject"]
    return {
        "schema_version": 1,
        "verdict": "approve",
        "role": "risk",
        "digest": subject["digest"],
        "kind": subject["kind"],
        "from": subject["from"],
        "to": subject["to"],
        "evidence_digest": decision["evidence"]["digest"],
        "policy_revision": decision["policy"]["revision"],
    }


_TAMPERED: Final[tuple[Tamper, ...]] = (
    _record_byte,
    _signature_byte,
    _empty_proof,
    _foreign_key,
    _another_seq,
    _edited_decision,
    _another_decision,
    _another_kind,
    _recorded_dry_run,
)
_ABOUT_ANOTHER: Final[tuple[Tamper, ...]] = (_another_artifact, _another_target, _another_model)


def _refused(run: Run, *arguments: str) -> str:
    ended = run(*arguments)

    assert (ended.code, ended.out) == (_UNTRUSTED, "")
    assert "[client.receipt_invalid]" in ended.err
    return ended.err


@pytest.mark.parametrize("tamper", [*_TAMPERED, *_ABOUT_ANOTHER])
def test_request_refuses(tamper: Tamper, run: Run, gate: GateServer, gate_log: GateLog, foreign_log: GateLog) -> None:
    """A tampered receipt, or a true one of something else, ends a request with 5."""

    def answer(_call: Call) -> Reply:
        document = gate_log.promotion_answer(make_decision("allow"))
        tamper(document, gate_log, foreign_log)
        return json_reply(document, status=201)

    gate.answer = answer

    _refused(run, *_REQUEST)


@pytest.mark.parametrize("tamper", [*_TAMPERED, _another_promotion])
def test_status_refuses(tamper: Tamper, run: Run, gate: GateServer, gate_log: GateLog, foreign_log: GateLog) -> None:
    """A tampered receipt, or a true one of another promotion, ends status with 5."""

    def answer(_call: Call) -> Reply:
        document = gate_log.promotion_answer(make_decision("allow"))
        tamper(document, gate_log, foreign_log)
        return json_reply(document)

    gate.answer = answer

    _refused(run, *_STATUS)


@pytest.mark.parametrize("expected", [("--digest", "sha256:" + "00" * 32), ("--to", "dev")])
def test_status_refuses_the_allow_of_something_else(
    expected: tuple[str, str], run: Run, gate: GateServer, gate_log: GateLog
) -> None:
    """A deploy that names what it deploys does not take the allow of another artifact or environment."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")))

    message = _refused(run, *_STATUS, *expected)
    name, asked = expected[0].removeprefix("--"), expected[1]
    got = make_decision("allow")["subject"][name]
    assert f"want a decision with {name} '{asked}', as asked, got '{got}'" in message


@pytest.mark.parametrize(
    ("digest", "said"), [(DIGEST.upper().replace("SHA", "sha"), "lower case"), ("latest", "sha256:<hex>")]
)
@pytest.mark.parametrize("command", [_STATUS, _REQUEST[:-2]])
def test_digest_in_another_form(digest: str, said: str, command: tuple[str, ...], run: Run, gate: GateServer) -> None:
    """A digest that no decision could carry is refused, with what is wrong, before anything is sent."""
    ended = run(*command, "--digest", digest)

    assert (ended.code, ended.out, gate.calls) == (2, "", [])
    assert said in ended.err


def test_status_of_what_is_deployed(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A deploy that names what was allowed may go on."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")))

    assert run(*_STATUS, "--digest", DIGEST, "--to", "production").code == 0


def test_approve_sends_nothing_for_a_tampered_promotion(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """An approver is not asked about, and does not approve, what no receipt proves."""
    document = gate_log.promotion_answer(make_decision("pending"))
    document["decision"]["subject"]["digest"] = "sha256:" + "00" * 32
    gate.answer = lambda _call: json_reply(document)

    message = _refused(run, *_APPROVE)

    assert "You are about to" not in message
    assert [call.method for call in gate.calls] == ["GET"]


@pytest.mark.parametrize("tamper", [*_TAMPERED, *_ABOUT_ANOTHER, _another_promotion])
def test_approve_refuses_the_decision_after(
    tamper: Tamper, run: Run, gate: GateServer, gate_log: GateLog, foreign_log: GateLog
) -> None:
    """A tampered receipt of the decision that follows an approval, or one of something else, ends it with 5."""

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        document = gate_log.approval_answer(make_decision("allow"), call.body)
        tamper(document, gate_log, foreign_log)
        return json_reply(document, status=201)

    gate.answer = answer

    _refused(run, *_APPROVE)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "sha256:" + "00" * 32},
        {"verdict": "reject"},
        {"role": "security"},
        {"to": "dev"},
        {"evidence_digest": "sha256:" + "00" * 32},
        {"policy_revision": "sha256:" + "00" * 32},
        {"comment": "sha256:" + "00" * 32},
        {"comment": ""},
        {"promotion_id": DRY_RUN_PROMOTION_ID},
    ],
)
def test_approve_refuses_another_approval(
    changes: dict[str, str], run: Run, gate: GateServer, gate_log: GateLog
) -> None:
    """An approval that was recorded otherwise than it was sent ends with 5."""

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        return json_reply(gate_log.approval_answer(make_decision("allow"), call.body, **changes), status=201)

    gate.answer = answer

    _refused(run, *_APPROVE, "--comment", "backtest reviewed")


@pytest.mark.parametrize(("name", "said"), [("comment", "looks fine"), ("reason", "backtest reviewed")])
def test_approve_refuses_another_comment(name: str, said: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A comment that was recorded otherwise than it was sent ends with 5, though its disclosure opens."""
    disclosure = commit(name, said, secrets.token_bytes)

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        document = gate_log.approval_answer(make_decision("allow"), call.body, comment=disclosure.commitment)
        return json_reply({**document, "comment_disclosure": disclosure.document.decode()}, status=201)

    gate.answer = answer

    _refused(run, *_APPROVE, "--comment", "backtest reviewed")


def test_approve_refuses_words_that_nobody_said(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A comment recorded for an approver who made none ends with 5."""
    disclosure = commit("comment", "looks fine", secrets.token_bytes)

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        document = gate_log.approval_answer(make_decision("allow"), call.body, comment=disclosure.commitment)
        return json_reply({**document, "comment_disclosure": disclosure.document.decode()}, status=201)

    gate.answer = answer

    _refused(run, *_APPROVE)


def test_approve_refuses_a_tampered_approval_receipt(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """The approval's own receipt must verify too."""

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        document = gate_log.approval_answer(make_decision("allow"), call.body)
        document["approval_receipt"]["proof"] = _flip(document["approval_receipt"]["proof"], -10)
        return json_reply(document, status=201)

    gate.answer = answer

    _refused(run, *_APPROVE)


def test_approve_shows_no_sheet_to_who_may_not_approve(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """Whoever does not hold the role is told which one it is, before they read what they would approve."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("pending")))
    gate.roles = ("requester", "approver:ml-lead")
    ended = run(*_APPROVE)

    assert (ended.code, ended.out) == (_UNDECIDED, "")
    assert "want the role approver:risk, got requester, approver:ml-lead of alice@example.org" in ended.err
    assert ended.err.count("\n") == 1
    assert [call.method for call in gate.calls] == ["GET"]


def _receipt_flipped(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["withdrawal_receipt"]["proof"] = _flip(answer["withdrawal_receipt"]["proof"], -10)


def _receipt_of_the_decision(answer: dict[str, Any], _log: GateLog, _foreign: GateLog) -> None:
    answer["withdrawal_receipt"] = answer["receipt"]


def _receipt_of_a_foreign_log(answer: dict[str, Any], _log: GateLog, foreign: GateLog) -> None:
    answer["withdrawal_receipt"] = foreign.receipt(answer["withdrawal"], "gate.withdrawal")


def _of_another_promotion(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    answer["withdrawal"] = {**answer["withdrawal"], "promotion_id": DRY_RUN_PROMOTION_ID}
    answer["withdrawal_receipt"] = log.receipt(answer["withdrawal"], "gate.withdrawal")


def _without_the_reason(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    answer["withdrawal"] = {**answer["withdrawal"], "reason": ""}
    answer["withdrawal_receipt"] = log.receipt(answer["withdrawal"], "gate.withdrawal")


def _another_reason(answer: dict[str, Any], log: GateLog, _foreign: GateLog) -> None:
    said = commit("reason", "no longer needed", secrets.token_bytes)
    answer["withdrawal"] = {**answer["withdrawal"], "reason": said.commitment}
    answer["reason_disclosure"] = said.document.decode()
    answer["withdrawal_receipt"] = log.receipt(answer["withdrawal"], "gate.withdrawal")


@pytest.mark.parametrize(
    "tamper",
    [
        _receipt_flipped,
        _receipt_of_the_decision,
        _receipt_of_a_foreign_log,
        _of_another_promotion,
        _without_the_reason,
        _another_reason,
    ],
)
def test_withdraw_refuses_what_was_not_recorded(
    tamper: Tamper, run: Run, gate: GateServer, gate_log: GateLog, foreign_log: GateLog
) -> None:
    """A gate that says withdrawn and cannot show the record of this withdrawal, as it was sent, is not believed."""
    document = gate_log.withdrawal_answer(make_decision("pending"), "wrong version")
    tamper(document, gate_log, foreign_log)
    gate.answer = lambda _call: json_reply(document)

    _refused(run, "withdraw", PROMOTION_ID, "--reason", "wrong version")


def test_withdraw_needs_the_logs_key(run: Run, gate: GateServer) -> None:
    """Without a key nothing could be believed, so nothing is sent."""
    assert run("withdraw", PROMOTION_ID, environment={"LOCKGATE_LOG_KEY": None}).code == _USAGE
    assert gate.calls == []


@pytest.mark.parametrize("name", ["model", "version", "digest", "from", "to", "kind", "evidence_digest", "id"])
def test_promotion_beside_the_decision_must_agree(name: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """What stands beside the decision and contradicts it makes the answer invalid."""
    other = {
        "kind": "rollback",
        "digest": "sha256:" + "00" * 32,
        "evidence_digest": "sha256:" + "00" * 32,
        "id": DRY_RUN_PROMOTION_ID,
    }
    document = gate_log.promotion_answer(make_decision("allow"), **{name: other.get(name, "other")})
    gate.answer = lambda _call: json_reply(document)

    ended = run(*_STATUS)

    assert (ended.code, ended.out) == (3, "")
    assert "[client.answer_invalid]" in ended.err


def test_one_of_several_keys_is_enough(run: Run, gate: GateServer, gate_log: GateLog, foreign_log: GateLog) -> None:
    """While a log changes its key, a receipt under either key is accepted."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")))

    ended = run(*_STATUS, environment={"LOCKGATE_LOG_KEY": f"{foreign_log.vkey} {gate_log.vkey}"})

    assert ended.code == 0


def test_receipt_is_kept(run: Run, gate: GateServer, gate_log: GateLog, tmp_path: Path) -> None:
    """The verified receipt is written where it was asked for, as the API's document."""
    document = gate_log.promotion_answer(make_decision("allow"))
    gate.answer = lambda _call: json_reply(document)

    ended = run(*_STATUS, "--receipt", "receipt.json")

    kept = json.loads((tmp_path / "receipt.json").read_text())  # noqa: TID251 - compared as it is
    check_schema("v1/api/receipt", kept)
    assert ended.code == 0
    assert kept == document["receipt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_receipt_that_cannot_be_kept(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """If the receipt cannot be written, the command does not say allow."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")))

    ended = run(*_STATUS, "--receipt", "/dev/full")

    assert (ended.code, ended.out) == (3, "")
    assert "[client.output]" in ended.err


# To the superuser no folder is locked.
_UNFIT_PLACES: Final = ["absent/receipt.json", "file/receipt.json", *(["locked/receipt.json"] if os.geteuid() else [])]


@pytest.mark.parametrize("command", [_REQUEST, _STATUS, _APPROVE])
@pytest.mark.parametrize("place", _UNFIT_PLACES)
def test_receipt_without_a_place(
    place: str, command: tuple[str, ...], run: Run, gate: GateServer, tmp_path: Path
) -> None:
    """A receipt that will have no place to go is refused before anything is sent."""
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir(mode=0o500)

    ended = run(*command, "--receipt", place)

    assert (ended.code, ended.out) == (2, "")
    assert "--receipt" in ended.err
    assert gate.calls == []


def test_check_refuses_a_decision(run: Run, gate: GateServer) -> None:
    """A dry run that is answered by something that is no dry run is refused."""
    gate.answer = lambda _call: json_reply({"decision": make_decision("allow")})

    assert run("check", *_REQUEST[1:]).code == 3


def test_check_refuses_a_forecast_of_something_else(run: Run, gate: GateServer) -> None:
    """A forecast must be about what was asked."""
    subject = make_decision()["subject"] | {"to": "dev"}
    gate.answer = lambda _call: json_reply({"decision": make_decision("allow", dry_run=True, subject=subject)})

    assert run("check", *_REQUEST[1:]).code == 3


def test_promotions_of_the_tests_are_valid(gate_log: GateLog) -> None:
    """The answers that these tests send are ones that a gate may send."""
    check_schema("v1/api/promotion", make_promotion(make_decision("pending")))
    check_schema("v1/api/promotion_answer", gate_log.promotion_answer(make_decision("pending")))
    sent = _approval_fields(make_decision("pending"))
    check_schema("v1/api/approval_answer", gate_log.approval_answer(make_decision("allow"), sent))
