# SPDX-License-Identifier: BSD-3-Clause
"""Which Attempts at sites are this store's own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table; what Tasks were at until now is this store's own."""
    op.create_table(
        "own_attempt",
        sa.Column("attempt", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("attempt"),
    )
    op.execute("INSERT INTO own_attempt (attempt) SELECT DISTINCT attempt_key FROM task")
