# SPDX-License-Identifier: BSD-3-Clause
"""The tables, in SQL that SQLite and PostgreSQL both run.

``event`` is the truth. The columns of ``run``, ``task``, ``submission`` and ``artifact`` that
:mod:`slidegate.domain.events` names are a view of it; the other columns (marked *beside* below) are work in
progress and may be lost without loss of history. Times are seconds since 1970, UTC.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    text,
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
    # beside: what its Tasks are, counted, and what that makes the Run; when the last fact was written, and
    # when the last Task ended, while all have
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("counts", JSON(none_as_null=True)),
    Column("changed_at", Double, nullable=False, server_default="0"),
    Column("ended_at", Double),
    # beside: what logs call the request that asked for it, and the group that its person is in now
    Column("request", Text),
    Column("group", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("identity", "generation", name="run_identity"),
)
Index("run_recent", run.c.at, run.c.id)
Index("run_person", run.c.person, run.c.at, run.c.id)
Index("run_group", run.c.group, run.c.at, run.c.id)
Index("run_state", run.c.state, run.c.at, run.c.id)
Index("run_workflow", run.c.workflow, run.c.at, run.c.id)
Index("run_used", run.c.person, run.c.workflow, run.c.at)
_GOES_ON = text("ended_at IS NULL")
Index("run_open", run.c.site, run.c.id, sqlite_where=_GOES_ON, postgresql_where=_GOES_ON)

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
    Column("regions", String(64)),
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
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("trouble", Text),
    # beside: progress within the state, and when it was last confirmed
    Column("step", Text),
    Column("done", Integer),
    Column("total", Integer),
    Column("confirmed_at", Double),
    # beside: when it came to its state; whose it is, and what kind of step a worker may take with it, which
    # slidegate.store.leases numbers
    Column("since", Double, nullable=False, server_default="0"),
    Column("person", Text, nullable=False, server_default=text("''")),
    Column("claimable", Integer, nullable=False, server_default="0"),
    UniqueConstraint("run", "number", name="task_number"),
    UniqueConstraint("attempt_key", name="task_attempt_key"),
)
Index("task_queue", task.c.state, task.c.not_before)
Index("task_claim", task.c.claimable, task.c.person, task.c.not_before, task.c.run, task.c.number)
Index("task_state", task.c.run, task.c.state, task.c.number)
Index("task_name", task.c.name, task.c.run, postgresql_ops={"name": "text_pattern_ops"})
Index("task_image", task.c.source, task.c.image, postgresql_ops={"image": "text_pattern_ops"})
_HELD = text("owner IS NOT NULL")
Index("task_owner", task.c.owner, sqlite_where=_HELD, postgresql_where=_HELD)
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

# How many generations of a request were used by Runs that are deleted. Sites remember their Attempts, and may
# have been told to start them no more: whoever asks for the same again gets a Run of another name.
spent = Table(
    "spent",
    metadata,
    Column("identity", String(64), primary_key=True),
    Column("generations", Integer, nullable=False),
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

# Who was served when, by each of the queues: the number is higher the later it was.
turn = Table(
    "turn",
    metadata,
    Column("queue", String(16), nullable=False),
    Column("person", Text, nullable=False),
    Column("served", BigInteger, nullable=False),
    PrimaryKeyConstraint("queue", "person", name="turn_person"),
)
Index("turn_served", turn.c.queue, turn.c.served, turn.c.person)

# What a person wants of a source or a site, asked by whoever cannot reach them; forgotten after a while.
wish = Table(
    "wish",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("person", Text, nullable=False),
    Column("key", String(64), nullable=False),
    Column("nth", Integer, nullable=False),
    Column("named", Integer, nullable=False),
    Column("body_digest", String(64), nullable=False),
    Column("body", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("step", Text),
    Column("done", BigInteger),
    Column("total", BigInteger),
    Column("trouble", Text),
    Column("answer", JSON(none_as_null=True)),
    Column("error_code", String(64)),
    Column("error", Text),
    Column("not_before", Double, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("lease_token", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("deaths", Integer, nullable=False, server_default="0"),
    UniqueConstraint("kind", "person", "key", "nth", name="wish_key"),
)
Index("wish_open", wish.c.state, wish.c.kind, wish.c.asked_at)
Index("wish_person", wish.c.person, wish.c.state, wish.c.kind)
Index("wish_ended", wish.c.ended_at)
Index("wish_owner", wish.c.owner, sqlite_where=_HELD, postgresql_where=_HELD)

account = Table(
    "account",
    metadata,
    Column("person", Text, ForeignKey("person.name"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("group", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("password", Text),
    Column("at", Double, nullable=False),
)
Index("account_group", account.c.group)

# Of what proves who somebody is, only the SHA-256 is kept.
session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    # the OMERO.web that vouched for the person, where one did: what it began ends with the trust in it
    Column("web", String(40)),
)
Index("session_person", session.c.person)

token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("ends_at", Double),
    Column("used_at", Double),
    # as for sessions: that of the session in which it was made
    Column("web", String(40)),
    UniqueConstraint("digest", name="token_digest"),
)
Index("token_person", token.c.person)

login_link = Table(
    "login_link",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    Column("ends_at", Double, nullable=False),
)

offer = Table(
    "offer",
    metadata,
    Column("site", Text, nullable=False),
    Column("release", String(64), ForeignKey("release.digest"), nullable=False),
    Column("heard_at", Double, nullable=False),
    PrimaryKeyConstraint("site", "release", name="offer_release"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("person", Text),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("outcome", Text, nullable=False),
    Column("request", Text),
    Column("address", Text),
)
Index("audit_person", audit.c.person, audit.c.id)
Index("audit_at", audit.c.at)

webhook = Table(
    "webhook",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("at", Double, nullable=False),
)
Index("webhook_person", webhook.c.person)

# What a webhook is to be told; the Run may be deleted meanwhile, so that what is told stands here.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("webhook", Integer, ForeignKey("webhook.id"), nullable=False),
    Column("run", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("ended_at", Double),
    Column("trouble", Text),
    Column("not_before", Double, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("lease_token", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    UniqueConstraint("webhook", "run", "seq", name="delivery_once"),
)
Index("delivery_due", delivery.c.state, delivery.c.not_before)

# Sites that were not read completely since a backup was restored; until then nothing new is begun.
reconcile = Table(
    "reconcile",
    metadata,
    Column("site", Text, primary_key=True),
    Column("since", Double, nullable=False),
)

# Who of OMERO is who here. OMERO gives a number to nobody a second time, but a login name it does.
omero_person = Table(
    "omero_person",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("person", Text, ForeignKey("person.name"), nullable=False),
    UniqueConstraint("person", name="omero_person_person"),
)

# OMERO.webs that are believed when they say who somebody is, and their public keys.
omero_web = Table(
    "omero_web",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("key", Text, nullable=False),
    Column("at", Double, nullable=False),
)

# What they have said, until it would not be believed any more for its age: nothing is believed twice.
omero_statement = Table(
    "omero_statement",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("ends_at", Double, nullable=False),
)
Index("omero_statement_end", omero_statement.c.ends_at)

# The sessions in OMERO that people have granted; their keys are the worker's alone, and not here.
omero_grant = Table(
    "omero_grant",
    metadata,
    Column("person", Text, ForeignKey("person.name"), primary_key=True),
    Column("granted_at", Double, nullable=False),
    Column("ends_at", Double),
)

# Public keys of the worker, by what is sealed for it with them.
sealing = Table(
    "sealing",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("at", Double, nullable=False),
)
