# SPDX-License-Identifier: BSD-3-Clause
"""A history of any length, made in the database itself, and what pages and workers ask of it."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import text, update

from slidegate.domain import events
from slidegate.domain.run import run_id, task_id
from slidegate.domain.states import State
from slidegate.domain.values import Digest, RunId, SubmissionId, digest_of
from slidegate.store import Store, tables
from slidegate.store.wishes import KINDS

TASKS_PER_RUN = 10
PEOPLE, GROUPS, WORKFLOWS = 5, 2, 2
ACTIVE_RUNS, ACTIVE_TASKS = 5, 20
NOW = 2_000_000_000.0

_N = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {most})"
# Every tenth Run failed, every twentieth was cancelled.
_STATE = "CASE WHEN {r} % 20 = 7 THEN 'cancelled' WHEN {r} % 10 = 3 THEN 'failed' ELSE 'succeeded' END"
_RUN_OF_TASK = f"(i / {TASKS_PER_RUN})"
# In each statement {most} is how many rows it makes.
_RUNS = f"""
INSERT INTO run (id, identity, generation, person, site, workflow, version, release, parameters, out, seq,
                 at, state, changed_at, ended_at, "group") {_N}
SELECT 'a' || i, 'i' || i, 0, 'person-' || (i % {PEOPLE}), 'local', 'flow-' || (i % {WORKFLOWS}), '1', 'd',
       '{{nothing}}', '/out', {TASKS_PER_RUN}, 1000.0 + i, {_STATE.format(r="i")}, 1500.0 + i, 1500.0 + i,
       'group-' || (i % {PEOPLE} % {GROUPS}) FROM n
"""
_TASKS = f"""
INSERT INTO task (id, run, number, source, image, name, fingerprint, content, state, wanted, attempt,
                  attempt_key, input, usage, published, not_before, lease_token, tries, person, claimable,
                  since) {_N}
SELECT 'a' || {_RUN_OF_TASK} || '.' || (i % {TASKS_PER_RUN} + 1), 'a' || {_RUN_OF_TASK},
       i % {TASKS_PER_RUN} + 1, 'folder', '/images/' || i || '.tif', 'slide-' || (i % {{names}}) || '-he.tif',
       'f', 'c', {_STATE.format(r=_RUN_OF_TASK)}, 'run', 1, 'k' || i, 't' || i, '{{usage}}', '/out/' || i,
       0, 1, 0, 'person-' || ({_RUN_OF_TASK} % {PEOPLE}), 0, 1500.0 + i FROM n
"""
_EVENTS = f"""
INSERT INTO event (run, seq, at, kind, body) {_N}
SELECT 'a' || {_RUN_OF_TASK}, i % {TASKS_PER_RUN} + 1, 1500.0, 'out-chosen', '{{fact}}' FROM n
"""
_STAGED = f"""
INSERT INTO staged (source, image, fingerprint, converter, tree, entries) {_N}
SELECT 'folder', '/images/' || i || '.tif', 'f', '1', 't' || i, '{{entries}}' FROM n
"""
_OWN = f"INSERT INTO own_attempt (attempt) {_N} SELECT 'k' || i FROM n"
_AUDIT = f"""
INSERT INTO audit (at, person, action, outcome) {_N}
SELECT 1000.0 + i, 'person-' || (i % {PEOPLE}), 'launch', 'done' FROM n
"""
_WISHES = f"""
INSERT INTO wish (id, kind, person, key, nth, named, body_digest, body, state, asked_at, ended_at, not_before,
                  lease_token, tries) {_N}
SELECT 'w' || i, 'thumbnail', 'person-' || (i % {PEOPLE}), 'k' || i, 1, 0, 'k' || i, '{{nothing}}', 'granted',
       1000.0 + i, 1000.0 + i, 0, 1, 0 FROM n
"""
_WORDS = {
    "nothing": "{}",
    "usage": json.dumps({"cpu_seconds": 3.5, "seconds": 1.5}),
    "fact": json.dumps({"out": "/out"}),
    "entries": json.dumps([["zarr.json", 100, "s"]]),
}


def fill(store: Store, tasks: int) -> None:
    """Put a history of so many Tasks into an empty store, and a few Runs that are under way."""
    for person in range(PEOPLE):
        store.accounts.set(f"person-{person}", "researcher", f"group-{person % GROUPS}", 1.0)
    made = {_RUNS: tasks // TASKS_PER_RUN, _TASKS: tasks, _STAGED: tasks, _EVENTS: tasks}
    made |= {_AUDIT: tasks // 5, _WISHES: tasks // 5, _OWN: 500}
    with store.database.write() as connection:
        for statement, most in made.items():
            words = statement.format(most=most, names=tasks // 10, **_WORDS)
            if store.database.engine.dialect.name == "postgresql":
                words = words.replace("%", "%%")
            connection.exec_driver_sql(words)
        for state in ("succeeded", "failed", "cancelled"):
            counted = update(tables.run).where(tables.run.c.state == state)
            connection.execute(counted.values(counts={state: TASKS_PER_RUN}))
    for number in range(ACTIVE_RUNS):
        _begin(store, number)
    store.wishes.ask("browse", "person-0", {"at": ""}, NOW)
    if store.database.engine.dialect.name == "postgresql":  # which does so by itself, before long
        with store.database.write() as connection:
            connection.execute(text("ANALYZE"))


def _begin(store: Store, number: int) -> None:
    """Begin a Run: a third of its Tasks is at the site."""
    identity = digest_of(f"active {number}")
    run = run_id(identity, 0)
    asked = events.RunRequested(
        run=run, identity=identity, generation=0, person=f"person-{number}", site="local", workflow="flow-0",
        version="1", release=Digest("d"), parameters={}, out="/out",
        tasks=tuple(
            events.NewTask(task_id(run, n), "folder", f"/now/{n}.tif", f"now-{n}", "f", Digest("c"))
            for n in range(1, ACTIVE_TASKS + 1)
        ),
    )  # fmt: skip
    store.history.request(asked, NOW)
    there = [new.task for new in asked.tasks[: ACTIVE_TASKS // 3]]
    facts: list[events.Event] = []
    for task in there:
        facts += [events.StagingBegan(task, State.WAITING), events.Staged(task, State.STAGING, Digest("t"))]
    facts.append(events.Sealed(SubmissionId(run), Digest("p"), tuple(there)))
    facts += [events.Submitted(task, State.SUBMITTING) for task in there]
    for fact in facts:
        store.history.append(run, fact, NOW)


def questions(store: Store, tasks: int) -> dict[str, Callable[[], Any]]:
    """Return what pages and workers ask of such a history, by name; each leaves things as they were."""
    pages = store.pages
    middle = RunId(f"a{tasks // TASKS_PER_RUN // 2}")
    active = run_id(digest_of("active 0"), 0)
    further = f"{1000.0 + tasks // TASKS_PER_RUN // 2}~{middle}"

    def take() -> None:
        claim = store.queue.claim("w", NOW, 60.0)
        if claim is None:
            raise RuntimeError("nothing was handed out")
        store.queue.finish([claim])

    def ask() -> None:
        wish = store.wishes.ask("thumbnail", "person-1", {"image": "a"}, NOW, fresh_seconds=60.0)
        store.wishes.get(wish.id)

    def grant() -> None:
        held = store.wishes.claim("w", NOW, 60.0, KINDS)
        if held is None:
            raise RuntimeError("no wish was handed out")
        store.wishes.put_off(held, 0.0, "later")

    return {
        "runs": lambda: pages.runs_page(limit=5),
        "runs, further down": lambda: pages.runs_page(before=further, limit=5),
        "runs of a person": lambda: pages.runs_page(person="person-3", limit=5),
        "runs of a group": lambda: pages.runs_page(group="group-1", limit=5),
        "runs in a state": lambda: pages.runs_page(state="cancelled", limit=5),
        "runs of a workflow": lambda: pages.runs_page(workflow="flow-1", limit=5),
        "runs of a person in a state": lambda: pages.runs_page(person="person-3", state="failed", limit=5),
        "runs of an image": lambda: pages.runs_page(image=f"slide-{tasks // 20}-", limit=5),
        "tasks of an image in OMERO": lambda: pages.image_tasks(["12"], "person-3", None),
        "a run": lambda: pages.run_row(middle),
        "a run under way": lambda: pages.run_row(active),
        "a run by the beginning of its name": lambda: store.runs.find(active[:8]),
        "the last run": lambda: store.runs.find("last"),
        "tasks of a run": lambda: pages.tasks_page(middle, limit=5),
        "tasks of a run in a state": lambda: pages.tasks_page(active, "queued", after_number=1, limit=5),
        "what is counted of a run": lambda: pages.counts(middle),
        "facts of a run": lambda: pages.events_page(middle, after_seq=2, limit=5),
        "whether a run changed": lambda: pages.run_stamps([middle, active]),
        "what was used last": lambda: pages.last_used("person-2", "flow-1"),
        "what a run has taken": lambda: pages.costs(middle),
        "what sites have to do": pages.load,
        "what such tasks took lately": lambda: pages.recent_usage("flow-1", "local", 5),
        "the audit": lambda: store.audit.page(limit=5),
        "the audit of a person": lambda: store.audit.page(before=tasks // 10, limit=5, person="person-2"),
        "news of a site": lambda: store.sites.news("local"),
        "what a site is done with": lambda: store.sites.done_with("local"),
        "runs that have not ended": store.runs.unfinished,
        "what is ready for sites": store.queue.ahead,
        "who holds something": lambda: store.queue.owners(NOW),
        "a task for a worker": take,
        "a wish": ask,
        "open wishes": lambda: store.wishes.open_of("person-0", "browse"),
        "a wish for who grants it": grant,
        "what is to be told": lambda: store.webhooks.due("w", NOW, 60.0),
    }
