"""Protected aliases on a guarded server: they move with a permit, once, and the ordinary client reads why not."""

import json
import shutil
import sqlite3
from http import HTTPStatus
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lockgate.permits import create_permit_key
from lockgate.registry.errors import RegistryRefusedError
from lockgate.registry.mlflow import MLflowRegistry
from support.guarded_mlflow import ALIAS, CONTENT, Answer, GuardedMLflow, make_version
from support.registries import registry_settings

_PROMOTION = "0199c0de-0000-7000-8000-000000000001"
_TRY_EVERYTHING = """
import json, sys
from mlflow import MlflowClient
wanted = json.load(sys.stdin)
client, model, version = MlflowClient(), wanted["model"], "1"
told = {}

def attempt(name, *arguments):
    try:
        getattr(client, name)(*arguments)
    except Exception as exc:
        told[name] = str(exc)

attempt("set_registered_model_alias", model, "champion", version)
attempt("delete_registered_model_alias", model, "champion")
attempt("transition_model_version_stage", model, version, "Production")
attempt("delete_model_version", model, version)
attempt("delete_registered_model", model)
attempt("rename_registered_model", model, "another")
attempt("set_model_version_tag", model, version, "lockgate.decision", "allow")
attempt("delete_registered_model_tag", model, "lockgate.decision")
attempt("delete_logged_model", wanted["logged_model"])
open("MLmodel", "wb").write(bytes(4 * 1024 * 1024))
attempt("log_model_artifact", wanted["logged_model"], "MLmodel")
client.set_registered_model_alias(model, "challenger", version)
client.set_model_version_tag(model, version, "owner", "team")
print(json.dumps(told))
"""


def _alias(mlflow: GuardedMLflow, model: str, alias: str = ALIAS) -> str | None:
    """Return where an alias leads."""
    aliases = mlflow.read(f"registered-models/get?name={model}")["registered_model"].get("aliases", [])
    return {each["alias"]: str(each["version"]) for each in aliases}.get(alias)


def _code(answer: Answer) -> str:
    """Return the code at the end of a refusal."""
    return answer.message.rpartition("[")[2].rstrip("]")


def test_ordinary_client(guarded: GuardedMLflow) -> None:
    """The ordinary client says what was refused and what to do, of a large upload, too; the rest is free."""
    live = make_version(guarded, "of-the-client", live=True)
    told = guarded.server.run_client(_TRY_EVERYTHING, {"model": live.model, "logged_model": live.logged_model})

    assert told.count("PERMISSION_DENIED") == 10
    assert "it moves only with a permit, and the call brought none. Ask the gate: lockgate request" in told
    assert "stages are not set here" in told
    assert _alias(guarded, live.model, "challenger") == "1"


def test_permit_moves_once(guarded: GuardedMLflow) -> None:
    """A permit moves the alias; shown again it does not count, and the log tells of both."""
    make_version(guarded, "once", live=False)
    permit = guarded.sign("once", "1")
    first = guarded.set_alias("once", "1", permit=permit)
    second = guarded.set_alias("once", "1", permit=permit)

    assert first.status == HTTPStatus.OK
    assert _alias(guarded, "once") == "1"
    assert (second.status, _code(second)) == (HTTPStatus.FORBIDDEN, "permit.used")
    accepted = guarded.lines("guard_accepted")[-1]
    assert accepted.keys() == {"event", "act", "actor", "model", "alias", "version", "permit", "promotion", "digest"}
    assert (accepted["act"], accepted["model"], accepted["version"]) == ("set_alias", "once", "1")
    refused = guarded.lines("guard_refused")[-1]
    assert (refused["code"], refused["model"], refused["actor"]) == ("permit.used", "once", "")
    assert permit not in (guarded.server.folder / "server.log").read_text()


def test_older_permits_end_with_a_newer_move(guarded: GuardedMLflow) -> None:
    """Once a rollback moved the alias back, no other permit of the version that was taken back moves it again."""
    make_version(guarded, "ordered", live=False)
    rest = [guarded.sign("ordered", "1", age_s=20, promotion=_PROMOTION) for _ in range(2)]
    moved = guarded.set_alias("ordered", "1", permit=guarded.sign("ordered", "1", age_s=15, promotion=_PROMOTION))
    document = {"name": "ordered", "alias": ALIAS}
    back = guarded.call("DELETE", "registered-models/alias", document, permit=guarded.sign("ordered", "", age_s=10))
    again = [guarded.set_alias("ordered", "1", permit=permit) for permit in rest]

    assert (moved.status, back.status) == (HTTPStatus.OK, HTTPStatus.OK)
    assert [_code(answer) for answer in again] == ["permit.superseded"] * 2
    assert _alias(guarded, "ordered") is None


def test_permit_takes_away(guarded: GuardedMLflow) -> None:
    """A permit to no version takes the alias away, and one to a version does not."""
    make_version(guarded, "away", live=True)
    document = {"name": "away", "alias": ALIAS}
    wrong = guarded.call("DELETE", "registered-models/alias", document, permit=guarded.sign("away", "1"))
    right = guarded.call("DELETE", "registered-models/alias", document, permit=guarded.sign("away", ""))

    assert _code(wrong) == "permit.mismatch"
    assert right.status == HTTPStatus.OK
    assert _alias(guarded, "away") is None


def test_permit_is_spent_before_the_move(guarded: GuardedMLflow) -> None:
    """A move that MLflow then fails at has used its permit up."""
    make_version(guarded, "spent", live=False)
    permit = guarded.sign("spent", "99")
    first = guarded.set_alias("spent", "99", permit=permit)

    assert first.status == HTTPStatus.NOT_FOUND
    assert _code(guarded.set_alias("spent", "99", permit=permit)) == "permit.used"


def test_the_gates_own_registry(guarded: GuardedMLflow) -> None:
    """Lockgate moves the alias by the permit that it signed, and without one reads why it may not."""
    make_version(guarded, "of-the-gate", live=False)
    registry = MLflowRegistry(registry_settings(guarded.server.url))
    with capture_logs() as lines, pytest.raises(RegistryRefusedError):
        registry.move_pointer("of-the-gate", ALIAS, "1", expected=None, permit="")
    registry.move_pointer("of-the-gate", ALIAS, "1", expected=None, permit=guarded.sign("of-the-gate", "1", age_s=2))
    there = _alias(guarded, "of-the-gate")
    (said,) = [line["said"] for line in lines if line["event"] == "registry_said"]
    registry.move_pointer("of-the-gate", ALIAS, None, expected="1", permit=guarded.sign("of-the-gate", ""))

    assert "it moves only with a permit" in said
    assert there == "1"
    assert _alias(guarded, "of-the-gate") is None


@pytest.mark.parametrize("alias", ["Champion", "CHAMPION", "champion-eu", "Champion-EU"])
def test_every_case_is_protected(guarded: GuardedMLflow, alias: str) -> None:
    """An alias in other case is protected like the one that it looks like, and a permit is for one spelling."""
    model = f"case-{alias}"
    make_version(guarded, model, live=False)

    assert _code(guarded.set_alias(model, "1", alias=alias)) == "permit.missing"
    assert _code(guarded.set_alias(model, "1", alias=alias, permit=guarded.sign(model, "1"))) == "permit.mismatch"
    assert _alias(guarded, model, alias) is None


def test_wrong_permits(guarded: GuardedMLflow, tmp_path: Path) -> None:
    """A permit for something else, too old, or of another gate moves nothing, and is not used up by trying."""
    make_version(guarded, "wrong", live=False)
    good = guarded.sign("wrong", "1")
    stranger = create_permit_key(tmp_path / "permit.key")
    forged = GuardedMLflow(server=guarded.server, key=stranger, keys_file=tmp_path, state_file=tmp_path)
    tried = {
        "permit.malformed": f"{good}x",
        "permit.unknown_key": forged.sign("wrong", "1"),
        "permit.audience": guarded.sign("wrong", "1", registry="elsewhere"),
        "permit.expired": guarded.sign("wrong", "1", age_s=70),
        "permit.not_yet_valid": guarded.sign("wrong", "1", age_s=-60),
        "permit.mismatch": guarded.sign("other", "1"),
    }
    codes = {wanted: _code(guarded.set_alias("wrong", "1", permit=permit)) for wanted, permit in tried.items()}

    assert codes == {wanted: wanted for wanted in tried}
    assert _alias(guarded, "wrong") is None
    assert _code(guarded.set_alias("wrong", "2", permit=good)) == "permit.mismatch"
    assert guarded.set_alias("wrong", "1", permit=good).status == HTTPStatus.OK


def test_new_key_counts_at_once(guarded: GuardedMLflow, tmp_path: Path) -> None:
    """A key that is put beside the old one counts without a restart; a file that is no set of keys stops every move."""
    make_version(guarded, "rotated", live=False)
    before = guarded.keys_file.read_bytes()
    new = create_permit_key(tmp_path / "permit.key")
    rotated = GuardedMLflow(server=guarded.server, key=new, keys_file=guarded.keys_file, state_file=tmp_path)
    try:
        guarded.keys_file.write_text("{}")
        broken = guarded.set_alias("rotated", "1", permit=guarded.sign("rotated", "1"))
        both = [*guarded.key.jwks()["keys"], *new.jwks()["keys"]]
        guarded.keys_file.write_text(json.dumps({"keys": both}))
        moved = guarded.set_alias("rotated", "1", permit=rotated.sign("rotated", "1", age_s=2))
        old = guarded.set_alias("rotated", "1", permit=guarded.sign("rotated", "1"))
    finally:
        guarded.keys_file.write_bytes(before)

    assert (broken.status, _code(broken)) == (HTTPStatus.SERVICE_UNAVAILABLE, "guard.unavailable")
    assert (moved.status, old.status) == (HTTPStatus.OK, HTTPStatus.OK)


def test_lost_state(guarded: GuardedMLflow) -> None:
    """While the file of used permits is away no alias moves."""
    make_version(guarded, "stateless", live=False)
    held = guarded.state_file.with_name("held")
    shutil.move(guarded.state_file, held)
    try:
        without = guarded.set_alias("stateless", "1", permit=guarded.sign("stateless", "1"))
    finally:
        shutil.move(held, guarded.state_file)

    assert (without.status, _code(without)) == (HTTPStatus.SERVICE_UNAVAILABLE, "guard.unavailable")
    assert _alias(guarded, "stateless") is None


def test_lost_table(guarded: GuardedMLflow) -> None:
    """While MLflow's own table of aliases does not answer, nothing is written or deleted that might be protected."""
    live = make_version(guarded, "lost", live=True)
    path = f"/api/2.0/mlflow-artifacts/artifacts/{live.path}"
    _rename_table(guarded, "registered_model_aliases", "hidden")
    try:
        answers = [
            guarded.send("PUT", path, body=b"x"),
            guarded.send("DELETE", path),
            guarded.call("DELETE", "model-versions/delete", {"name": "lost", "version": "1"}),
            guarded.call("POST", "registered-models/rename", {"name": "lost", "new_name": "found"}),
        ]
    finally:
        _rename_table(guarded, "hidden", "registered_model_aliases")

    assert {(answer.status, _code(answer)) for answer in answers} == {(503, "guard.unavailable")}
    assert guarded.send("GET", path).body == CONTENT


def _rename_table(mlflow: GuardedMLflow, old: str, new: str) -> None:
    connection = sqlite3.connect(mlflow.server.folder / "mlflow.db")
    connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
    connection.close()
