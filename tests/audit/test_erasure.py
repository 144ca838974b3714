"""Erasing attachments: bytes go, a record says so, nothing else changes; on both databases."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event, select

from lockgate.audit import (
    ErasedError,
    RecordInvalidError,
    RecordUnknownError,
    RetentionRefusedError,
    verify_receipt,
)
from lockgate.audit.formats.disclosures import commit
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.attachment_search import attachments_containing, attachments_of_record
from lockgate.audit.keeping.erasing import ERASED_AT_ONCE_MAX
from lockgate.audit.writing.log import _Job
from lockgate.storage import StorageError, grant_service_role, open_engine, read_transaction
from lockgate.storage.tables import audit_erased
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.databases import OWNER, PostgreSQLServer
from support.retention import OPERATOR, erase_documents, fill_quickly, keep, name_of, verify

SECRET = b"ann@example.com lives here"


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test that asks for it runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _records(stand: LogStand, kind: str) -> list[dict[str, object]]:
    return [parse_record(record.body)["body"] for record in stand.log.records(kind=kind)]


def test_erased_bytes_are_gone_and_the_record_stays(stand: LogStand) -> None:
    """The document is gone, who asks is told why; its record and receipt are what they were, and say its digest."""
    receipt = keep(stand, SECRET, b"another")
    done = erase_documents(stand, SECRET)

    with pytest.raises(ErasedError) as caught:
        stand.log.attachment(name_of(SECRET))
    assert caught.value.code == "audit.erased"
    assert stand.log.attachment(name_of(b"another")) == b"another"
    assert stand.log.receipt(receipt.seq) == receipt
    assert (done.erased, done.erased_before) == ((name_of(SECRET),), ())
    assert _records(stand, "log.erase") == [{"attachments": [f"sha256:{name_of(SECRET)}"], "reason": "asked to"}]
    assert done.receipt is not None
    assert verify_receipt(done.receipt, [stand.signer.verifier_key])["actor"]["id"] == "operator"


def test_the_log_is_still_valid(stand: LogStand) -> None:
    """An export after an erasure verifies; the verdict tells of what was erased."""
    keep(stand, SECRET, b"another")
    keep(stand, SECRET)
    erase_documents(stand, SECRET)
    stand.fill(3)
    verification = verify(stand, stand.export())

    assert (verification.verdict, verification.problems) == ("valid", ())
    assert "1 documents are gone, as later records say" in {note.detail for note in verification.notes}


def test_bytes_that_are_missing_without_an_erasure_are_found(stand: LogStand) -> None:
    """An attachment that somebody deleted, not erased, is tampering; and erasing it afterwards makes nothing good."""
    keep(stand, SECRET)
    keep(stand, b"another")
    erase_documents(stand, b"another")
    stand.edit("DELETE FROM audit_attachment WHERE sha256 = ?", name_of(SECRET))
    with pytest.raises(RetentionRefusedError, match="which it does not"):
        erase_documents(stand, SECRET)
    verification = verify(stand, stand.export())

    assert [problem.code for problem in verification.problems] == ["attachment_missing"]
    assert (verification.verdict, verification.first_bad_seq) == ("tampered", 1)


def test_erasing_again_changes_nothing(stand: LogStand) -> None:
    """The second time the same is answered, and nothing is recorded; what is new among it is erased."""
    keep(stand, SECRET, b"another")
    erase_documents(stand, SECRET)
    again = erase_documents(stand, SECRET)
    more = erase_documents(stand, SECRET, b"another")

    assert (again.erased, again.erased_before, again.receipt) == ((), (name_of(SECRET),), None)
    assert (more.erased, more.erased_before) == ((name_of(b"another"),), (name_of(SECRET),))
    assert [body["attachments"] for body in _records(stand, "log.erase")] == [
        [f"sha256:{name_of(SECRET)}"],
        [f"sha256:{name_of(b'another')}"],
    ]


def test_what_the_log_does_not_keep_cannot_be_erased(stand: LogStand) -> None:
    """One unknown digest, and nothing is erased."""
    keep(stand, SECRET)
    with pytest.raises(RetentionRefusedError) as caught:
        erase_documents(stand, SECRET, b"never seen")

    assert caught.value.code == "audit.retention_refused"
    assert stand.log.attachment(name_of(SECRET)) == SECRET
    assert _records(stand, "log.erase") == []
    with pytest.raises(RecordUnknownError):
        stand.log.attachment(name_of(b"never seen"))


@pytest.mark.parametrize("count", [0, ERASED_AT_ONCE_MAX + 1])
def test_one_record_names_a_bounded_number(stand: LogStand, count: int) -> None:
    """None at all, or more than one record can name, is refused."""
    with pytest.raises(RetentionRefusedError, match="want 1 to 64"):
        erase_documents(stand, *(f"{number}".encode() for number in range(count)))


@pytest.mark.parametrize("reason", ["", "x" * 1001])
def test_what_cannot_be_recorded_is_not_erased(stand: LogStand, reason: str) -> None:
    """Without the record there is no erasure."""
    keep(stand, SECRET)
    with pytest.raises(RecordInvalidError):
        erase_documents(stand, SECRET, reason=reason)

    assert stand.log.attachment(name_of(SECRET)) == SECRET
    with read_transaction(stand.engine) as connection:
        assert connection.execute(select(audit_erased)).all() == []


def test_the_schema_of_a_kind_is_not_erased(stand: LogStand) -> None:
    """A kind's schema is not personal, and without it nothing of the kind could be written any more."""
    schema = b'{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "maxProperties": 3}'
    stand.log.register_kind("access.review", schema, OPERATOR)
    with pytest.raises(RetentionRefusedError, match=r"belongs to a log\.kind record"):
        erase_documents(stand, schema)

    assert stand.log.attachment(name_of(schema)) == schema


def test_what_the_log_needs_is_not_erased_for_another_record_of_the_same_bytes(stand: LogStand) -> None:
    """Who has the bytes of a schema attached to an event of their own cannot have them erased either."""
    schema = b'{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "maxProperties": 3}'
    stand.log.register_kind("access.review", schema, OPERATOR)
    keep(stand, schema)
    with pytest.raises(RetentionRefusedError, match=r"belongs to a log\.kind record"):
        erase_documents(stand, schema)

    assert stand.log.attachment(name_of(schema)) == schema


def test_what_is_being_written_is_not_erased(stand: LogStand) -> None:
    """An attachment of a record of the same transaction, whose kind cannot be told yet, is left to the next one."""
    keep(stand, SECRET)
    naming: _Job[None] = _Job(None, (make_event(attachments=(SECRET,)),))
    write = stand.log._write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand.log._writers, "_write", lambda take: write(lambda: [naming, *take()]))
        with pytest.raises(RetentionRefusedError, match="try again"):
            erase_documents(stand, SECRET)
    assert stand.log.attachment(name_of(SECRET)) == SECRET

    assert erase_documents(stand, SECRET).erased == (name_of(SECRET),)


def test_what_comes_back_can_be_erased_again(stand: LogStand) -> None:
    """A document that a later record brings again is kept again; it verifies, and a second erasure is recorded."""
    keep(stand, SECRET)
    erase_documents(stand, SECRET)
    keep(stand, SECRET)

    assert stand.log.attachment(name_of(SECRET)) == SECRET
    assert verify(stand, stand.export("back")).verdict == "valid"
    assert erase_documents(stand, SECRET).erased == (name_of(SECRET),)
    assert len(_records(stand, "log.erase")) == 2
    with read_transaction(stand.engine) as connection:
        assert connection.execute(select(audit_erased)).all() == [(ORIGIN, name_of(SECRET))]
    assert verify(stand, stand.export("gone")).verdict == "valid"


def test_an_earlier_erasure_does_not_cover_a_later_record(stand: LogStand) -> None:
    """What came back after its erasure and then vanished without another one is missing."""
    keep(stand, SECRET)
    erase_documents(stand, SECRET)
    keep(stand, SECRET)
    stand.edit("DELETE FROM audit_attachment WHERE sha256 = ?", name_of(SECRET))
    verification = verify(stand, stand.export())

    assert ([problem.code for problem in verification.problems], verification.first_bad_seq) == (
        ["attachment_missing"],
        3,
    )


def test_erasing_beside_writers(stand: LogStand) -> None:
    """While others write, each erasure finds its document and the log stays whole."""
    documents = [f"document {number}".encode() for number in range(12)]
    for document in documents:
        keep(stand, document)
    failures: list[BaseException] = []

    def run(each: range, erases: bool) -> None:  # noqa: FBT001 - the kind of thread
        try:
            for number in each:
                if erases:
                    erase_documents(stand, documents[number])
                else:
                    keep(stand, f"more {number}".encode())
        except BaseException as exc:  # noqa: BLE001 - told by the test's own thread
            failures.append(exc)

    parts = [(range(6), True), (range(6, 12), True), (range(20), False), (range(20, 40), False)]
    threads = [threading.Thread(target=run, args=part) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert verify(stand, stand.export()).verdict == "valid"
    for document in documents:
        with pytest.raises(ErasedError):
            stand.log.attachment(name_of(document))


def test_attachments_are_found_by_what_they_hold(stand: LogStand) -> None:
    """A text is found in clear and in a disclosure; a record's attachments are listed, whatever became of them."""
    disclosure = commit("identity", "ann@example.com", secrets.token_bytes)
    receipt = keep(stand, SECRET, disclosure.document, b"nothing of hers")
    with read_transaction(stand.engine) as connection:
        found = {one.sha256 for one in attachments_containing(connection, ORIGIN, "ann@example.com")}
    erase_documents(stand, SECRET)
    with read_transaction(stand.engine) as connection:
        named = attachments_of_record(connection, ORIGIN, receipt.seq)
        assert list(attachments_containing(connection, ORIGIN, "lives here")) == []
        assert attachments_of_record(connection, ORIGIN, 99) is None

    assert found == {name_of(SECRET), name_of(disclosure.document)}
    assert {(one.sha256, one.size is None, one.erased) for one in named or ()} == {
        (name_of(SECRET), True, True),
        (name_of(disclosure.document), False, False),
        (name_of(b"nothing of hers"), False, False),
    }
    assert [one.disclosure.value for one in named or () if one.disclosure] == ["ann@example.com"]


# --- what the database's files hold ---------------------------------------------------------------------------------


def _files_hold(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_no_file_of_sqlite_holds_an_erased_value(tmp_path: Path) -> None:
    """Of documents small and large, some named again much later, nothing is left: not in free pages, not in the WAL."""
    stand = make_stand(tmp_path)
    documents = [f"personal-{number:03}-".encode() * 9 ** (number % 5) for number in range(60)]
    for document in documents:
        keep(stand, document)
    fill_quickly(stand, 200)
    for document in documents[::3]:  # the row is written again, with a longer number
        keep(stand, document)
    assert _files_hold(tmp_path, b"personal-003-")
    done = erase_documents(stand, *documents[::2])
    left = [number for number in range(60) if _files_hold(tmp_path, f"personal-{number:03}-".encode())]

    assert done.cleared
    assert left == list(range(1, 60, 2))
    stand.engine.dispose()


def test_a_reader_delays_the_clearing_and_is_told(tmp_path: Path) -> None:
    """While somebody reads an old snapshot, its copy stays; the erasure says so, and asking again clears it."""
    stand = make_stand(tmp_path)
    keep(stand, SECRET)
    keep(stand, b"something for the reader to see")
    reader = open_engine(f"sqlite:///{stand.database}")
    with read_transaction(reader) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM audit_entry").scalar_one()
        first = erase_documents(stand, SECRET)
    again = erase_documents(stand, SECRET)

    assert (first.cleared, first.erased) == (False, (name_of(SECRET),))
    assert (again.cleared, again.erased) == (True, ())
    assert not _files_hold(tmp_path, SECRET)
    stand.engine.dispose()


def test_postgresql_keeps_a_copy_and_the_erasure_says_so(tmp_path: Path, postgresql_url: str) -> None:
    """On PostgreSQL only the server's keeper can clear the files."""
    stand = make_stand(tmp_path, postgresql_url)
    keep(stand, SECRET)

    assert not erase_documents(stand, SECRET).cleared


def test_the_service_role_cannot_erase(
    tmp_path: Path, postgresql_url: str, postgresql_server: PostgreSQLServer
) -> None:
    """The role that serves may not delete; nothing is erased or recorded, and it goes on writing."""
    stand = make_stand(tmp_path, postgresql_url)
    keep(stand, SECRET)
    role = sql.Identifier(f"service_{secrets.token_hex(4)}")
    for statement in ("CREATE ROLE {role}", "GRANT {role} TO {owner}"):
        postgresql_server.execute(sql.SQL(statement).format(role=role, owner=sql.Identifier(OWNER)))
    grant_service_role(stand.engine, role.as_string(None).strip('"'))

    def step_into(connection: psycopg.Connection, _record: object) -> None:
        connection.execute(sql.SQL("SET ROLE {}").format(role))

    event.listen(stand.engine, "connect", step_into)
    stand.engine.dispose()
    with pytest.raises(StorageError, match="permission denied"):
        erase_documents(stand, SECRET)

    assert stand.log.attachment(name_of(SECRET)) == SECRET
    assert _records(stand, "log.erase") == []
    keep(stand, b"another")
