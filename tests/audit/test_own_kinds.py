"""Records in the log's own name: only what keeps the log makes them, beside the act; on both databases."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from lockgate.audit import Actor, AuditError, Event, KindCatalogue, KindReservedError, KindUnknownError, Outcome
from lockgate.audit.formats.kind_names import ANCHOR, APP_EVENT, ERASE, GENESIS, KEY_COMPROMISE, KIND, SEAL
from lockgate.audit.kinds import OWN_KINDS
from lockgate.audit.own_events import OwnEvent
from support.audit_logs import LogStand, make_stand, verify_export

ZEROS: Final = "sha256:" + "0" * 64
# Bodies that their schemas take: the first four are those that would change the verdict.
BODIES: Final[dict[str, dict[str, Any]]] = {
    SEAL: {"reason": "no more"},
    ANCHOR: {"type": "rfc3161", "size": 1, "root": ZEROS, "checkpoint": ZEROS, "evidence": ZEROS},
    KEY_COMPROMISE: {"key": "k", "trusted_size": 0, "reason": "none"},
    ERASE: {"attachments": [ZEROS], "reason": "none"},
}
RESERVED: Final = sorted(kind for kind in OWN_KINDS if kind not in (APP_EVENT, KIND))


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test that asks for it runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _event(kind: str) -> Event:
    return Event(
        id=str(uuid.uuid4()), kind=kind, actor=Actor(type="user", id="mallory"), body=BODIES.get(kind, {"reason": "x"})
    )


@pytest.mark.parametrize("kind", RESERVED)
def test_caller_cannot_speak_in_the_logs_name(stand: LogStand, kind: str) -> None:
    """Whatever a caller hands in under one of the log's own kinds is refused, by itself and beside a change."""

    def work(_connection: Connection) -> Outcome[None]:
        return Outcome(value=None, events=(_event(kind),))

    codes = []
    for attempt in (lambda: stand.log.append(_event(kind)), lambda: stand.log.transact(work)):
        with pytest.raises(AuditError) as caught:
            attempt()
        codes.append(caught.value.code)

    assert codes == ["audit.kind_reserved"] * 2
    assert [record.seq for record in stand.log.records()] == [0]


def test_log_goes_on_after_refusals(stand: LogStand) -> None:
    """No refused event sealed the log, took its key's word away or left a record: it takes the next, and is valid."""
    for kind in BODIES:
        with pytest.raises(KindReservedError):
            stand.log.append(_event(kind))
    stand.fill(1)
    verification = verify_export(stand.export(), stand.signer)

    assert (verification.verdict, verification.size, verification.problems) == ("valid", 2, ())


def test_keepers_own_events_are_taken(stand: LogStand) -> None:
    """What the keeping modules make is written; a second genesis is none even of theirs."""
    own = OwnEvent(id=str(uuid.uuid4()), kind=ERASE, actor=Actor(type="system", id="keeper"), body=BODIES[ERASE])
    begun = OwnEvent(id=str(uuid.uuid4()), kind=GENESIS, actor=own.actor, body={"key": str(stand.signer.verifier_key)})

    assert stand.log.append(own).seq == 1
    with pytest.raises(AuditError) as caught:
        stand.log.append(begun)
    assert caught.value.code == "audit.record_invalid"


def test_catalogue_ships_no_kind_in_the_logs_name() -> None:
    """A module cannot ship a kind that the log might need some day, either."""
    with pytest.raises(KindUnknownError, match=r"log\.closed"):
        KindCatalogue({"log.closed": "v1/audit/app_event"})


def test_the_door_is_not_public() -> None:
    """`lockgate.audit` exports no way to make such an event."""
    import lockgate.audit  # noqa: PLC0415 - the module itself, by its name

    assert "OwnEvent" not in lockgate.audit.__all__
    assert not hasattr(lockgate.audit, "OwnEvent")
