# SPDX-License-Identifier: BSD-3-Clause
"""People and what they are at sites; how often a site was asked in vain, and what crews have achieved."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns; what is there stays as it is."""
    op.create_table(
        "person",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "person_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("person_link_site", "person_link", ["person", "site"], unique=False)
    op.add_column("site", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("submission", sa.Column("effort", sa.JSON(none_as_null=True), nullable=True))
