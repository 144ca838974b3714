"""What the role that serves may do on PostgreSQL: what the stores of the rooms need, and no more.

The owner of the tables migrates, prunes and erases. Whoever takes the service over still cannot change or delete an
audit record, even with the role's password.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine

from lockgate.storage.database import write_transaction
from lockgate.storage.errors import StorageError
from lockgate.storage.tables import metadata

_APPEND: Final = ("SELECT", "INSERT")
# Every table has its line: a test compares. No TRUNCATE anywhere, and DELETE only of what is forgotten after an hour.
SERVICE_PRIVILEGES: Final[Mapping[str, tuple[str, ...]]] = {
    "alembic_version": ("SELECT",),
    "audit_attachment": (*_APPEND, "UPDATE (seq)"),  # the newest record that names it
    "audit_checkpoint": _APPEND,
    "audit_cosigned": (*_APPEND, "UPDATE (note)"),  # a witness's line is added
    "audit_entry": _APPEND,
    "audit_erased": _APPEND,
    "audit_head": ("SELECT", "UPDATE (size, leaf)"),
    "audit_node": _APPEND,
    "principal": (*_APPEND, "UPDATE (type, roles, identities, issuer, issued_ns, disabled_ns)"),
    "token": (*_APPEND, "UPDATE (revoked_ns, used_ns)"),
    "promotion": (*_APPEND, "UPDATE (state, row_version, decision_id, allowed_ns)"),
    "approval": _APPEND,
    "idempotency": _APPEND,
    "model": (*_APPEND, "UPDATE (owner, tier, document, row_version, changed_ns, retired_ns)"),
    "model_version": (*_APPEND, "UPDATE (document, row_version, retired_ns)"),
    "model_pointer": (*_APPEND, "UPDATE (version)"),
    "lineage": _APPEND,
    "usage": (*_APPEND, "UPDATE (loads, predictions, last_ns)"),
    "rollout": (
        *_APPEND,
        "UPDATE (under_way, step, percent, permit_id, permit_used_ns, attempts, due_ns, code, row_version)",
    ),
    "live_interval": (*_APPEND, "UPDATE (to_ns, is_live)"),
    "hold": (*_APPEND, "UPDATE (promotion_id, placed_ns, lifted_ns)"),
    "finding": (*_APPEND, "UPDATE (document, is_open, closed_ns)"),
    "subscriber": (*_APPEND, "UPDATE (next_seq)"),
    "delivery": (*_APPEND, "UPDATE (state, attempts, due_ns, tried_ns, status, code)"),
    "seen_message": (*_APPEND, "DELETE"),
}
_WHO: Final = (
    "SELECT current_schema(), pg_get_userbyid(relowner), pg_has_role(current_user, relowner, 'USAGE') "
    "FROM pg_class WHERE oid = 'audit_head'::regclass"  # one migration made them all
)


def grant_service_role(engine: Engine, role: str) -> tuple[str, ...]:
    """Give a role the rights of a process that serves, and take every other right on the tables from it.

    Args:
        engine: Of the tables' owner.
        role: An existing role, as `CREATE ROLE` named it; not the owner.

    Returns:
        The statements that were run, in one transaction.

    Raises:
        StorageError: The database is not PostgreSQL, the role is unknown, is the owner or stands for everybody, or the
            connection is not the owner's.
    """
    if engine.dialect.name != "postgresql":
        raise StorageError("want a PostgreSQL database: SQLite has no roles, only the file's owner")
    if role == "public":
        raise StorageError("want a role of the service's own, got 'public', which is everybody")
    quote = engine.dialect.identifier_preparer.quote_identifier
    with write_transaction(engine) as connection:
        schema, owner, is_owner = connection.exec_driver_sql(_WHO).one()
        if not is_owner:  # the server would only warn
            raise StorageError("want the owner of the tables to grant rights on them, got another role")
        if role == owner:
            raise StorageError("want a role beside the owner of the tables, got the owner itself")
        statements = [
            f"GRANT CONNECT ON DATABASE {quote(engine.url.database or '')} TO {quote(role)}",
            f"GRANT USAGE ON SCHEMA {quote(schema)} TO {quote(role)}",
        ]
        for table, privileges in SERVICE_PRIVILEGES.items():
            statements.append(f"REVOKE ALL ON TABLE {quote(table)} FROM {quote(role)}")
            statements.append(f"GRANT {', '.join(privileges)} ON TABLE {quote(table)} TO {quote(role)}")
        statements += [f"GRANT USAGE ON SEQUENCE {quote(name)} TO {quote(role)}" for name in _sequences()]
        for statement in statements:
            connection.exec_driver_sql(statement)
    return tuple(statements)


def _sequences() -> list[str]:
    # What PostgreSQL calls the counter behind a column that numbers its rows.
    columns = (table.autoincrement_column for table in metadata.sorted_tables)
    return [f"{column.table.name}_{column.name}_seq" for column in columns if column is not None]
