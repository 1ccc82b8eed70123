# SPDX-License-Identifier: BSD-3-Clause
"""The regions that people drew on a Task's image, as a Tree."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add a column; of Tasks that there are, none has any."""
    op.add_column("task", sa.Column("regions", sa.String(length=64), nullable=True))
