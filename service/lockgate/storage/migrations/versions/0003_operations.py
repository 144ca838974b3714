"""Principals that an issuer vouches for, tokens with a scope, and which log a promotion's records are in."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

# What the way back cannot keep, and what refuses it: words -> rows.
KEPT_NOWHERE_ELSE: Final = {
    "principals who are disabled": "principal WHERE disabled_ns IS NOT NULL",
    "tokens in force with a scope narrower than their principal's roles": (
        "token WHERE scope IS NOT NULL AND revoked_ns IS NULL"
    ),
    "promotions whose records are in the log of an environment": "promotion WHERE log <> ''",
}
LOST_ON_THE_WAY_BACK: Final = {
    "principals' issuers": "principal WHERE issuer <> ''",
    "times at which a token was last used": "token WHERE used_ns IS NOT NULL",
}


def upgrade() -> None:
    """Go up to this revision."""
    op.add_column("principal", sa.Column("issuer", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("principal", sa.Column("issued_ns", sa.BigInteger(), nullable=True))
    op.add_column("principal", sa.Column("disabled_ns", sa.BigInteger(), nullable=True))
    op.add_column("token", sa.Column("scope", sa.Text(), nullable=True))
    op.add_column("token", sa.Column("used_ns", sa.BigInteger(), nullable=True))
    op.add_column("promotion", sa.Column("log", sa.String(length=255), nullable=False, server_default=""))


def downgrade() -> None:
    """Go down from this revision."""
    op.drop_column("promotion", "log")
    op.drop_column("token", "used_ns")
    op.drop_column("token", "scope")
    op.drop_column("principal", "disabled_ns")
    op.drop_column("principal", "issued_ns")
    op.drop_column("principal", "issuer")
