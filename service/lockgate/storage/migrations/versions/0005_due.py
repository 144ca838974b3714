"""What is looked up each second and each minute by an index: rollouts that are due, what is live, open findings."""

from collections.abc import Mapping
from typing import Final

from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"

# What the way back cannot keep, and what refuses it: words -> rows.
KEPT_NOWHERE_ELSE: Final[Mapping[str, str]] = {}
LOST_ON_THE_WAY_BACK: Final[Mapping[str, str]] = {}

_NEVER_NS: Final = 2**63 - 1


def upgrade() -> None:
    """Go up to this revision."""
    op.create_index(op.f("ix_finding_is_open_number"), "finding", ["is_open", "number"], unique=False)
    op.create_index(
        op.f("ix_live_interval_is_live_model_environment"),
        "live_interval",
        ["is_live", "model", "environment"],
        unique=False,
    )
    op.create_index(
        op.f("ix_rollout_under_way_target_due_ns"), "rollout", ["under_way", "target", "due_ns"], unique=False
    )
    # What is over is due no more, but where a share of traffic is left to take back.
    op.execute(
        f"UPDATE rollout SET due_ns = {_NEVER_NS} WHERE under_way IS NULL AND NOT (percent > 0 AND percent < 100 "  # noqa: S608
        "AND promotion_id IN (SELECT id FROM promotion WHERE state IN ('denied', 'failed')))"
    )


def downgrade() -> None:
    """Go down from this revision."""
    op.drop_index(op.f("ix_rollout_under_way_target_due_ns"), table_name="rollout")
    op.drop_index(op.f("ix_live_interval_is_live_model_environment"), table_name="live_interval")
    op.drop_index(op.f("ix_finding_is_open_number"), table_name="finding")
