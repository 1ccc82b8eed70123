# SPDX-License-Identifier: BSD-3-Clause
"""People who sign in, wishes, webhooks, an audit, turns; what pages and the queue look things up by."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_STEPS = (
    ("state IN ('waiting', 'staging')", 1),
    ("state IN ('submitting', 'collecting', 'publishing')", 2),
    ("wanted = 'cancel' AND claimable > 0", 3),
)
_GOES_ON = sa.text("ended_at IS NULL")
_HELD = sa.text("owner IS NOT NULL")
_ENDS = ("failed", "cancelled", "succeeded")


def upgrade() -> None:
    """Add tables, columns and indexes; the new columns of what is there are filled from its rows."""
    _columns()
    _fill_tasks()
    _fill_runs()
    _indexes()
    _turns_and_wishes()
    _accounts()
    _sites_and_audit()
    _webhooks()


def _columns() -> None:
    op.add_column("run", sa.Column("state", sa.String(length=16), server_default="waiting", nullable=False))
    op.add_column("run", sa.Column("counts", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("run", sa.Column("changed_at", sa.Double(), server_default="0", nullable=False))
    op.add_column("run", sa.Column("ended_at", sa.Double(), nullable=True))
    op.add_column("run", sa.Column("request", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("group", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("task", sa.Column("since", sa.Double(), server_default="0", nullable=False))
    op.add_column("task", sa.Column("person", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("task", sa.Column("claimable", sa.Integer(), server_default="0", nullable=False))


def _fill_tasks() -> None:
    op.execute("UPDATE task SET person = (SELECT run.person FROM run WHERE run.id = task.run)")
    op.execute(
        "UPDATE task SET since = coalesce((SELECT max(event.at) FROM event WHERE event.run = task.run), 0)"
    )
    for which, step in _STEPS:
        op.execute(f"UPDATE task SET claimable = {step} WHERE {which}")  # noqa: S608


def _fill_runs() -> None:
    connection = op.get_bind()
    counts: dict[str, dict[str, int]] = {}
    counted = sa.text("SELECT run, state, count(*) AS tasks FROM task GROUP BY run, state ORDER BY run")
    for row in connection.execute(counted):
        counts.setdefault(row.run, {})[row.state] = row.tasks
    op.execute(
        "UPDATE run SET changed_at = coalesce((SELECT max(event.at) FROM event WHERE event.run = run.id), at)"
    )
    update = sa.text("UPDATE run SET state = :state, counts = :counts WHERE id = :id").bindparams(
        sa.bindparam("counts", type_=sa.JSON)
    )
    for run, found in counts.items():
        connection.execute(update, {"id": run, "state": _run_state(set(found)), "counts": found})
    op.execute("UPDATE run SET ended_at = changed_at WHERE state IN ('succeeded', 'failed', 'cancelled')")


def _run_state(states: set[str]) -> str:
    if states <= {"waiting"}:
        return "waiting"
    if not states <= set(_ENDS):
        return "active"
    return next(end for end in _ENDS if end in states)


def _indexes() -> None:
    op.create_index("run_recent", "run", ["at", "id"])
    op.create_index("run_person", "run", ["person", "at", "id"])
    op.create_index("run_group", "run", ["group", "at", "id"])
    op.create_index("run_state", "run", ["state", "at", "id"])
    op.create_index("run_workflow", "run", ["workflow", "at", "id"])
    op.create_index("run_used", "run", ["person", "workflow", "at"])
    op.create_index("run_open", "run", ["site", "id"], sqlite_where=_GOES_ON, postgresql_where=_GOES_ON)
    op.create_index("task_claim", "task", ["claimable", "person", "not_before", "run", "number"])
    op.create_index("task_state", "task", ["run", "state", "number"])
    op.create_index("task_name", "task", ["name", "run"], postgresql_ops={"name": "text_pattern_ops"})
    op.create_index("task_owner", "task", ["owner"], sqlite_where=_HELD, postgresql_where=_HELD)


def _turns_and_wishes() -> None:
    op.create_table(
        "turn",
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("served", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "person", name="turn_person"),
    )
    op.create_index("turn_served", "turn", ["queue", "served", "person"])
    for queue in ("task", "stage", "move"):
        whose = f"SELECT DISTINCT '{queue}', person, 0 FROM run"  # noqa: S608
        op.execute(f"INSERT INTO turn (queue, person, served) {whose}")
    op.create_table(
        "wish",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("nth", sa.Integer(), nullable=False),
        sa.Column("named", sa.Integer(), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("answer", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "person", "key", "nth", name="wish_key"),
    )
    op.create_index("wish_open", "wish", ["state", "kind", "asked_at"])
    op.create_index("wish_person", "wish", ["person", "state", "kind"])
    op.create_index("wish_ended", "wish", ["ended_at"])
    op.create_index("wish_owner", "wish", ["owner"], sqlite_where=_HELD, postgresql_where=_HELD)


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_index("account_group", "account", ["group"])
    op.create_table(
        "session",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("session_person", "session", ["person"])
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=True),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest", name="token_digest"),
    )
    op.create_index("token_person", "token", ["person"])
    op.create_table(
        "login_link",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("digest"),
    )


def _sites_and_audit() -> None:
    op.create_table(
        "offer",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("heard_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["release.digest"]),
        sa.PrimaryKeyConstraint("site", "release", name="offer_release"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_person", "audit", ["person", "id"])
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "reconcile",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
    )


def _webhooks() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.name"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_person", "webhook", ["person"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("webhook", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["webhook"], ["webhook.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("webhook", "run", "seq", name="delivery_once"),
    )
    op.create_index("delivery_due", "delivery", ["state", "not_before"])
