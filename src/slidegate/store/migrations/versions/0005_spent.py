# SPDX-License-Identifier: BSD-3-Clause
"""Names that Runs had which were deleted: no other Run gets them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table; of what was deleted until now nothing is known."""
    op.create_table(
        "spent",
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("generations", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("identity"),
    )
