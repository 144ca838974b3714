"""Models, versions, lineage, usage; rollouts, what was live, holds and findings; events on their way to others."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

# What the way back cannot keep, and what refuses it: words -> rows.
KEPT_NOWHERE_ELSE: Final = {
    "holds in force": "hold WHERE lifted_ns IS NULL",
    "promotions that got a permit": (
        "promotion WHERE state IN ('permitted', 'executing', 'confirmed', 'failed', 'superseded')"
    ),
}
LOST_ON_THE_WAY_BACK: Final = {
    "models": "model",
    "model versions": "model_version",
    "lineage snapshots": "lineage",
    "days of usage": "usage",
    "intervals in which something was live": "live_interval",
    "findings": "finding",
    "deliveries": "delivery",
}


def upgrade() -> None:
    """Go up to this revision."""
    op.add_column("promotion", sa.Column("allowed_ns", sa.BigInteger(), nullable=True))
    op.execute("UPDATE promotion SET allowed_ns = created_ns WHERE state = 'allowed'")  # the best that is known
    op.create_table(
        "delivery",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subscriber", sa.String(length=64), nullable=False),
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("tried_ns", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_delivery")),
        sa.UniqueConstraint("id", name=op.f("uq_delivery_id")),
        sa.UniqueConstraint("subscriber", "log", "seq", name=op.f("uq_delivery_subscriber_log_seq")),
    )
    op.create_index(op.f("ix_delivery_state_due_ns"), "delivery", ["state", "due_ns"], unique=False)
    op.create_table(
        "finding",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("is_open", sa.Integer(), nullable=True),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_finding")),
        sa.UniqueConstraint("id", name=op.f("uq_finding_id")),
        sa.UniqueConstraint(
            "kind", "model", "environment", "is_open", name=op.f("uq_finding_kind_model_environment_is_open")
        ),
    )
    op.create_table(
        "hold",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("promotion_id", sa.String(length=36), nullable=False),
        sa.Column("placed_ns", sa.BigInteger(), nullable=False),
        sa.Column("lifted_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("model", "environment", name=op.f("pk_hold")),
    )
    op.create_table(
        "lineage",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("collected_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_lineage")),
    )
    op.create_index(op.f("ix_lineage_model_version_number"), "lineage", ["model", "version", "number"], unique=False)
    op.create_table(
        "live_interval",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=True),
        sa.Column("is_live", sa.Integer(), nullable=True),
        sa.Column("promotion_id", sa.String(length=36), nullable=False),
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_live_interval")),
        sa.UniqueConstraint("model", "environment", "is_live", name=op.f("uq_live_interval_model_environment_is_live")),
    )
    op.create_index(
        op.f("ix_live_interval_model_environment_from_ns"),
        "live_interval",
        ["model", "environment", "from_ns"],
        unique=False,
    )
    op.create_table(
        "model",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("registry", sa.String(length=64), nullable=False),
        sa.Column("registry_model", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("tier", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("retired_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_model")),
        sa.UniqueConstraint("registry", "registry_model", name=op.f("uq_model_registry_registry_model")),
    )
    op.create_table(
        "model_pointer",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name=op.f("pk_model_pointer")),
    )
    op.create_table(
        "seen_message",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "id", name=op.f("pk_seen_message")),
    )
    op.create_table(
        "subscriber",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "log", name=op.f("pk_subscriber")),
    )
    op.create_table(
        "usage",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("loads", sa.BigInteger(), nullable=False),
        sa.Column("predictions", sa.BigInteger(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "environment", "day", "source", name=op.f("pk_usage")),
    )
    op.create_table(
        "model_version",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=135), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("retired_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["model"], ["model.name"], name=op.f("fk_model_version_model")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_model_version")),
        sa.UniqueConstraint("model", "version", name=op.f("uq_model_version_model_version")),
    )
    op.create_index(op.f("ix_model_version_digest"), "model_version", ["digest"], unique=False)
    op.create_table(
        "rollout",
        sa.Column("promotion_id", sa.String(length=36), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("under_way", sa.Integer(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("permit_id", sa.String(length=36), nullable=False),
        sa.Column("permit_used_ns", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotion.id"], name=op.f("fk_rollout_promotion_id")),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_rollout")),
        sa.UniqueConstraint("model", "environment", "under_way", name=op.f("uq_rollout_model_environment_under_way")),
    )


def downgrade() -> None:
    """Go down from this revision."""
    for table in (
        "rollout",
        "model_version",
        "usage",
        "subscriber",
        "seen_message",
        "model_pointer",
        "model",
        "live_interval",
        "lineage",
        "hold",
        "finding",
        "delivery",
    ):
        op.drop_table(table)
    op.drop_column("promotion", "allowed_ns")
