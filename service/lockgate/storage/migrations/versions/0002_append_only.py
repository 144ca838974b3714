"""Subjects, pruning, erasing and cosignatures; and triggers that keep records append-only.

The triggers stop mistakes and careless tools. Whoever may change the schema can drop them: what finds that is
`lockgate audit verify`.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

_FIRST_SEQ: Final = "COALESCE((SELECT first_seq FROM audit_head WHERE log = OLD.log), 0)"
_ERASED: Final = "EXISTS (SELECT 1 FROM audit_erased WHERE log = OLD.log AND sha256 = OLD.sha256)"

# trigger -> (table, what it guards against, when; None: always)
_GUARDS: Final[dict[str, tuple[str, str, str | None]]] = {
    "audit_entry_update": ("audit_entry", "UPDATE", None),
    "audit_entry_delete": ("audit_entry", "DELETE", f"OLD.seq >= {_FIRST_SEQ}"),
    "audit_checkpoint_update": ("audit_checkpoint", "UPDATE", None),
    "audit_checkpoint_delete": ("audit_checkpoint", "DELETE", None),
    "audit_node_update": ("audit_node", "UPDATE", None),
    "audit_node_delete": (
        "audit_node",
        "DELETE",
        f"OLD.level >= 8 OR ((OLD.idx + 1) << OLD.level) > {_FIRST_SEQ}",
    ),
    "audit_attachment_update": ("audit_attachment", "UPDATE OF log, sha256, body", None),
    "audit_attachment_delete": ("audit_attachment", "DELETE", f"OLD.seq >= {_FIRST_SEQ} AND NOT {_ERASED}"),
    "audit_erased_update": ("audit_erased", "UPDATE", None),
    "audit_erased_delete": ("audit_erased", "DELETE", None),
    "audit_head_update": (
        "audit_head",
        "UPDATE",
        "NEW.log <> OLD.log OR NEW.size < OLD.size OR NEW.first_seq < OLD.first_seq OR NEW.first_seq > NEW.size",
    ),
    "audit_head_delete": ("audit_head", "DELETE", None),
}
_FUNCTION: Final = "lockgate_append_only"

# What the way back cannot keep, and what refuses it: words -> rows.
KEPT_NOWHERE_ELSE: Final = {"logs that were pruned": "audit_head WHERE first_seq > 0"}
LOST_ON_THE_WAY_BACK: Final = {
    "marks of erased attachments": "audit_erased",
    "checkpoints with the lines of witnesses": "audit_cosigned",
}


def upgrade() -> None:
    """Go up to this revision."""
    op.add_column("audit_head", sa.Column("first_seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("audit_entry", sa.Column("subject", sa.String(length=255), nullable=True))
    # Verifiers compare the column with the record's bytes.
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE audit_entry SET subject = json_extract(CAST(body AS TEXT), '$.subject')")
    else:
        op.execute("UPDATE audit_entry SET subject = CAST(convert_from(body, 'UTF8') AS json) ->> 'subject'")
    # Each place holds one record by the primary key, so that the log cannot fork; an index over hashes beside it costs
    # a page written for each record.
    with op.batch_alter_table("audit_entry") as entries:
        entries.drop_constraint(op.f("uq_audit_entry_log_prev"), type_="unique")
    op.create_index(op.f("ix_audit_entry_log_subject_seq"), "audit_entry", ["log", "subject", "seq"], unique=False)
    op.add_column("audit_attachment", sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"))
    # Who names an older attachment is not known here, so it is kept as long as the newest record.
    op.execute(
        "UPDATE audit_attachment SET seq = "
        "(SELECT size - 1 FROM audit_head WHERE audit_head.log = audit_attachment.log)"
    )
    op.create_table(
        "audit_cosigned",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "size", name=op.f("pk_audit_cosigned")),
    )
    op.create_table(
        "audit_erased",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("log", "sha256", name=op.f("pk_audit_erased")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_nodes(with_rowid=False)
        for name, (table, event, condition) in _GUARDS.items():
            when = f"WHEN {condition} " if condition else ""
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} {when}"
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for name, (table, event, condition) in _GUARDS.items():
        # PostgreSQL allows no subquery in WHEN, so a conditional guard has a function of its own.
        function = _FUNCTION
        if condition:
            function = f"lockgate_{name}"
            done = "OLD" if event == "DELETE" else "NEW"
            op.execute(
                f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF {condition} THEN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END IF; "
                f"RETURN {done}; END $$"
            )
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")
    for table in sorted({table for table, _, _ in _GUARDS.values()}):
        op.execute(
            f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
        )


def _rebuild_nodes(*, with_rowid: bool) -> None:
    op.rename_table("audit_node", "audit_node_before")
    op.create_table(
        "audit_node",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("idx", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "idx", name=op.f("pk_audit_node")),
        sqlite_with_rowid=with_rowid,
    )
    op.execute("INSERT INTO audit_node SELECT log, level, idx, hash FROM audit_node_before")
    op.drop_table("audit_node_before")


def downgrade() -> None:
    """Go back to the revision before; erasures and cosignatures are lost, and a pruned log cannot go back."""
    postgresql = op.get_bind().dialect.name != "sqlite"
    for name, (table, _, condition) in _GUARDS.items():
        op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if postgresql else ""))
        if postgresql and condition:
            op.execute(f"DROP FUNCTION lockgate_{name}()")
    if postgresql:
        for table in sorted({table for table, _, _ in _GUARDS.values()}):
            op.execute(f"DROP TRIGGER {table}_truncate ON {table}")
        op.execute(f"DROP FUNCTION {_FUNCTION}()")
    op.drop_table("audit_erased")
    op.drop_table("audit_cosigned")
    op.drop_index(op.f("ix_audit_entry_log_subject_seq"), table_name="audit_entry")
    with op.batch_alter_table("audit_entry") as entries:
        entries.create_unique_constraint(op.f("uq_audit_entry_log_prev"), ["log", "prev"])
    if not postgresql:
        _rebuild_nodes(with_rowid=True)
    op.drop_column("audit_attachment", "seq")
    op.drop_column("audit_entry", "subject")
    op.drop_column("audit_head", "first_seq")
