"""${message}."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = ${repr(up_revision)}
down_revision: Final = ${repr(down_revision)}

# What the way back cannot keep, and what refuses it: words -> rows.
KEPT_NOWHERE_ELSE: Final[dict[str, str]] = {}
LOST_ON_THE_WAY_BACK: Final[dict[str, str]] = {}


def upgrade() -> None:
    """Go up to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Go back from this revision."""
    ${downgrades if downgrades else "pass"}
