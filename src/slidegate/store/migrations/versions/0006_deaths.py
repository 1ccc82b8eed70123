# SPDX-License-Identifier: BSD-3-Clause
"""How often a worker died with a Task, or with a wish, in its hands."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column to both; of those that died before nothing is known."""
    for table in ("task", "wish"):
        op.add_column(table, sa.Column("deaths", sa.Integer(), server_default="0", nullable=False))
