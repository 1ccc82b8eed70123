# SPDX-License-Identifier: BSD-3-Clause
"""The tables, in SQL that SQLite and PostgreSQL both run.

``event`` is the truth. The columns of ``run``, ``task``, ``submission`` and ``artifact`` that
:mod:`slidegate.domain.events` names are a view of it; the other columns (marked *beside* below) are work in
progress and may be lost without loss of history. Times are seconds since 1970, UTC.
"""

from sqlalchemy import (
    JSON,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("identity", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("person", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("release", String(64), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("out", Text, nullable=False),
    # beside: the number of the last fact, and when the first was written
    Column("seq", Integer, nullable=False),
    Column("at", Double, nullable=False),
    UniqueConstraint("identity", "generation", name="run_identity"),
)

task = Table(
    "task",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run", String(64), ForeignKey("run.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("content", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempt_key", String(64), nullable=False),
    Column("submission", String(64)),
    Column("input", String(64)),
    Column("output", String(64)),
    Column("usage", JSON(none_as_null=True)),
    Column("published", Text),
    Column("error_code", String(64)),
    Column("error", Text),
    # beside: the queue; a new lease gets a new token, and only the holder of the last one may write
    Column("not_before", Double, nullable=False, server_default="0"),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("lease_token", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("trouble", Text),
    # beside: progress within the state, and when it was last confirmed
    Column("step", Text),
    Column("done", Integer),
    Column("total", Integer),
    Column("confirmed_at", Double),
    UniqueConstraint("run", "number", name="task_number"),
    UniqueConstraint("attempt_key", name="task_attempt_key"),
)
Index("task_queue", task.c.state, task.c.not_before)
Index("task_submission", task.c.submission)

submission = Table(
    "submission",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run", String(64), ForeignKey("run.id"), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("round", Integer, nullable=False),
    # beside: what the site last said of its newest crews
    Column("crews", JSON(none_as_null=True)),
    # beside: how far its Attempts have come, by the end of which round, and how many rounds brought nothing
    Column("effort", JSON(none_as_null=True)),
)

event = Table(
    "event",
    metadata,
    Column("run", String(64), ForeignKey("run.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", JSON, nullable=False),
    PrimaryKeyConstraint("run", "seq", name="event_seq"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task", String(64), ForeignKey("task.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("tree", String(64), nullable=False),
)
Index("artifact_task", artifact.c.task)

release = Table(
    "release",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("schema", JSON, nullable=False),
    Column("runtime", Text, nullable=False),
)

staged = Table(
    "staged",
    metadata,
    Column("source", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("converter", Text, nullable=False),
    Column("tree", String(64), nullable=False),
    Column("entries", JSON, nullable=False),
    PrimaryKeyConstraint("source", "image", "fingerprint", "converter", name="staged_image"),
)

content = Table(
    "content",
    metadata,
    Column("source", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    PrimaryKeyConstraint("source", "image", "fingerprint", name="content_image"),
)

site = Table(
    "site",
    metadata,
    Column("name", Text, primary_key=True),
    Column("head", String(64), nullable=False),
    Column("head_seq", Integer, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("heard_at", Double),
    Column("trouble", Text),
    Column("poll_at", Double, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("lease_token", Integer, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
)

heard = Table(
    "heard",
    metadata,
    Column("site", Text, nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("said", JSON, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("site", "attempt", name="heard_attempt"),
)

# Attempts that this store has sent to a site and has not let go of; it may let go of no others, which may
# be another server's.
own_attempt = Table(
    "own_attempt",
    metadata,
    Column("attempt", String(64), primary_key=True),
)

person = Table(
    "person",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

person_link = Table(
    "person_link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    Column("site", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("key", String(40), nullable=False),
    # the first and the last day, UTC; no last day means until it is removed
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date),
)
Index("person_link_site", person_link.c.person, person_link.c.site)
