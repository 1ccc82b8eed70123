# SPDX-License-Identifier: BSD-3-Clause
"""People of OMERO, the OMERO.webs that vouch for them, sessions that they granted; Tasks by their image."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add tables, columns and an index; what is there stays as it is."""
    op.create_index("task_image", "task", ["source", "image"], postgresql_ops={"image": "text_pattern_ops"})
    for table in ("session", "token"):
        op.add_column(table, sa.Column("web", sa.String(length=40), nullable=True))
    op.create_table(
        "omero_person",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("user_id"),
        sa.UniqueConstraint("person", name="omero_person_person"),
    )
    op.create_table(
        "omero_web",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "omero_statement",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("omero_statement_end", "omero_statement", ["ends_at"])
    op.create_table(
        "omero_grant",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_table(
        "sealing",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
