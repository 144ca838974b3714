"""The tables: made, migrated up and down, and refused when they are another version's."""

import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, insert, inspect, select

from lockgate.audit import store, verify_log
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import (
    StorageDowngradeError,
    StorageError,
    StorageSchemaError,
    check_schema,
    count_rows,
    downgrade_schema,
    migrate,
    open_engine,
    plan_downgrade,
    read_revisions,
    read_transaction,
    upgrade_schema,
    write_transaction,
)
from lockgate.storage.database import migration_transaction
from lockgate.storage.tables import (
    NEVER_NS,
    audit_cosigned,
    audit_erased,
    audit_head,
    delivery,
    hold,
    metadata,
    principal,
    promotion,
    rollout,
    token,
)
from support.gates import ORIGIN, make_gate
from support.things import run_threads


def test_a_migrated_database_is_the_codes(database_url: str) -> None:
    """What the fixtures hand out has this version's tables."""
    check_schema(open_engine(database_url))


def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    """`db upgrade` is safe to repeat."""
    engine = open_engine(empty_database_url)
    upgrade_schema(engine)
    upgrade_schema(engine)

    check_schema(engine)


def test_instances_that_start_together_migrate_once(empty_database_url: str) -> None:
    """Of four that migrate at the same time, one does it and the others wait; none fails."""
    together = threading.Barrier(4)
    errors: list[BaseException] = []

    def migrate_one(_: int) -> None:
        engine = open_engine(empty_database_url)
        together.wait()
        try:
            upgrade_schema(engine)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(exc)
        engine.dispose()

    run_threads(migrate_one, 4)

    assert errors == []
    check_schema(open_engine(empty_database_url))


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty_database_url: str) -> None:
    """All of a migration is one transaction, tables included."""
    engine = open_engine(empty_database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE token (mine INTEGER)")  # in the way of the first migration
    with pytest.raises(StorageError) as caught:
        upgrade_schema(engine)
    with read_transaction(engine) as connection:
        left = inspect(connection).get_table_names()

    assert caught.value.code == "storage.unavailable"
    assert left == ["token"]


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_database_url: str) -> None:
    """No table, column or index differs between the migrations and `tables.py`."""
    engine = open_engine(empty_database_url)
    upgrade_schema(engine)
    with read_transaction(engine) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_every_migration_can_be_undone_and_done_again(database_url: str) -> None:
    """Down to nothing, step by step, and up again: the tables are this version's, and nothing else stays behind."""
    engine = open_engine(database_url)
    with migration_transaction(engine) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with read_transaction(engine) as connection:
        left = inspect(connection).get_table_names()
    upgrade_schema(engine)

    assert left == ["alembic_version"]
    check_schema(engine)


def test_data_survives_the_way_down_and_up_again(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """One step back at a time and up again, with a promotion under way: the log verifies and the promotion goes on."""
    gate = make_gate(tmp_path, engine, database_url=database_url)
    asked = gate.request()
    before = count_rows(gate.database)
    for revision in ("0002", "0001"):
        lost = plan_downgrade(gate.database, revision)
        downgrade_schema(gate.database, revision)
        upgrade_schema(gate.database)

        assert all(told.endswith("at which a token was last used") for told in lost)
        assert count_rows(gate.database) == before
        gate.services.log.check_head()
    gate.approve("leo", "ml-lead", asked)
    allowed = gate.approve("maya", "risk", asked).json
    with read_transaction(gate.database) as connection:
        verification = verify_log(
            records=((entry.body, entry.columns) for entry in store.stream_entries(connection, ORIGIN)),
            checkpoints=store.stream_checkpoints(connection, ORIGIN),
            keys=[gate.key],
            attachments=lambda sha256: store.read_attachment(connection, ORIGIN, sha256),
        )

    assert allowed["promotion"]["state"] == "allowed"
    assert verification.integrity == "valid", verification.problems


def test_rollouts_that_are_over_leave_the_list(database_url: str) -> None:
    """Of those of before, what failed or was denied with a share of traffic is still due; what is under way, too."""
    engine = open_engine(database_url)
    downgrade_schema(engine, "0004")
    cases = (
        ("confirmed", None, 100),
        ("confirmed", None, 10),
        ("failed", None, 100),
        ("denied", None, 0),
        ("failed", None, 10),
        ("denied", None, 90),
        ("executing", 1, 10),
    )
    with write_transaction(engine) as connection:
        for number, (state, under_way, percent) in enumerate(cases):
            asked = _made(promotion, id=str(number), number=number + 1, state=state)
            begun = _made(rollout, promotion_id=str(number), model=str(number), under_way=under_way, percent=percent)
            connection.execute(insert(promotion), asked)
            connection.execute(insert(rollout), begun)
    upgrade_schema(engine)
    with read_transaction(engine) as connection:
        due = select(rollout.c.promotion_id, rollout.c.due_ns).order_by(rollout.c.promotion_id)
        kept = {row.promotion_id: row.due_ns for row in connection.execute(due)}

    assert [kept[str(number)] for number in range(len(cases))] == [NEVER_NS] * 4 + [1] * 3


def _made(table: Table, **columns: object) -> dict[str, object]:
    plain: dict[type, object] = {str: "", int: 1, bytes: b"{}"}
    return {column.name: plain[column.type.python_type] for column in table.columns} | columns


def test_what_the_way_back_loses_is_told(database_url: str) -> None:
    """By number and name; afterwards it is gone, and nothing else."""
    engine = open_engine(database_url)
    with write_transaction(engine) as connection:
        connection.execute(insert(principal), made_principal("rita", issuer="github"))
        connection.execute(insert(principal), made_principal("leo"))
        connection.execute(insert(audit_erased), {"log": "l", "sha256": "0"})
        connection.execute(insert(audit_cosigned), [{"log": "l", "size": size, "note": b""} for size in (1, 2)])
    told = plan_downgrade(engine, "0002"), plan_downgrade(engine, "0001")
    downgrade_schema(engine, "0001")
    upgrade_schema(engine)
    left = {name: count for name, count in count_rows(engine).items() if count}

    assert told == (
        ("1 principals' issuers",),
        ("1 principals' issuers", "1 marks of erased attachments", "2 checkpoints with the lines of witnesses"),
    )
    assert left == {"principal": 2}


def made_principal(subject: str, **columns: object) -> dict[str, object]:
    """Make a row."""
    return {"subject": subject, "type": "user", "roles": "[]", "identities": "[]", "created_ns": 1, **columns}


_WAITING = {
    "id": "d",
    "subscriber": "bot",
    "log": "",
    "seq": 0,
    "event_type": "e",
    "state": "waiting",
    "attempts": 0,
    "created_ns": 1,
    "due_ns": 1,
    "code": "",
}


@pytest.mark.parametrize(
    ("table", "row", "revision", "want"),
    [
        (
            hold,
            {"model": "m", "environment": "production", "promotion_id": "p", "placed_ns": 1},
            "0003",
            "1 holds in force",
        ),
        (delivery, _WAITING, "0004", "1 deliveries that wait"),
        (principal, made_principal("rita", disabled_ns=1), "0002", "1 principals who are disabled"),
        (audit_head, {"log": "l", "size": 256, "leaf": b"", "first_seq": 256}, "0001", "1 logs that were pruned"),
        (audit_head, {"log": "l", "size": 256, "leaf": b"", "first_seq": 256}, "base", "1 logs that were pruned"),
    ],
)
def test_what_must_not_be_lost_refuses_the_way_back(
    database_url: str, table: Table, row: dict[str, object], revision: str, want: str
) -> None:
    """What would let somebody in again, or break a log; the tables stay as they are."""
    engine = open_engine(database_url)
    with write_transaction(engine) as connection:
        connection.execute(insert(table), row)
    for refused in (plan_downgrade, downgrade_schema):
        with pytest.raises(StorageDowngradeError, match=f"cannot hold {want}") as caught:
            refused(engine, revision)

        assert caught.value.code == "storage.downgrade_refused"
    check_schema(engine)


def test_a_scoped_token_in_force_refuses_the_way_back(database_url: str) -> None:
    """Without its scope it would carry every role; once revoked it may lose it."""
    engine = open_engine(database_url)
    made = {"id": "t", "secret_sha256": "0", "subject": "rita", "created_ns": 1, "expires_ns": 2, "scope": "[]"}
    with write_transaction(engine) as connection:
        connection.execute(insert(principal), made_principal("rita"))
        connection.execute(insert(token), made)
    with pytest.raises(StorageDowngradeError, match="1 tokens in force with a scope") as caught:
        downgrade_schema(engine, "0002")
    with write_transaction(engine) as connection:
        connection.execute(token.update().values(revoked_ns=3))
    downgrade_schema(engine, "0002")

    assert caught.value.code == "storage.downgrade_refused"
    assert read_revisions(engine) == ("0002", read_revisions(engine)[1])


@pytest.mark.parametrize("revision", ["", "9999", "head", "-1", "0006", "000", "0002;"])
def test_a_revision_that_is_no_older_one_is_refused(database_url: str, revision: str) -> None:
    """Only a number of an older revision, or `base`; nothing relative, nothing else that Alembic would understand."""
    engine = open_engine(database_url)
    for refused in (plan_downgrade, downgrade_schema):
        with pytest.raises(
            StorageDowngradeError, match=r"want one of \['0005', '0004', '0003', '0002', '0001', 'base'\]"
        ) as caught:
            refused(engine, revision)

        assert caught.value.code == "storage.downgrade_refused"
    check_schema(engine)


def test_tables_of_a_newer_version_are_left_alone(database_url: str) -> None:
    """This version neither migrates them further nor back."""
    engine = open_engine(database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for refused in (upgrade_schema, downgrade_schema):
        with pytest.raises(StorageSchemaError, match="a newer version migrated it") as caught:
            refused(engine, "0001")

        assert caught.value.code == "storage.schema"
    assert read_revisions(engine)[0] == "9999"


def test_tables_of_another_version_are_refused(empty_database_url: str) -> None:
    """A database that was never migrated is named as such, with the command that mends it."""
    engine = open_engine(empty_database_url)
    with read_transaction(engine):
        pass  # SQLite makes an empty file
    with pytest.raises(StorageSchemaError, match="lockgate db upgrade") as caught:
        check_schema(engine)

    assert caught.value.code == "storage.schema"
