# SPDX-License-Identifier: BSD-3-Clause
"""What pages show, and that an index answers it in a long history."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, text

from benchmarks.big_history import fill, questions
from slidegate.domain import events
from slidegate.domain.errors import BadRequest, UnknownRun
from slidegate.domain.states import State
from slidegate.domain.values import Digest, ImageRef, RunId
from slidegate.store import Store
from tests.unit.domain.histories import request as asked_for
from tests.unit.store.conftest import BOTH

LONG = 50_000
GROWING = {"run", "task", "event", "staged", "artifact", "own_attempt", "audit", "wish"}
"""Tables that grow with the history; the others hold what there is now."""
IN_ORDER = {"run_recent", "run_open"}
"""Indexes that may be read from one end: in the order of a page, which takes what it shows and no more, and
of the few Runs that have not ended."""
SCAN = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")
Asked = list[tuple[str, Any]]


@pytest.fixture(scope="module", params=BOTH)
def long_history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('long')}/slidegate.db"
    else:
        url = request.getfixturevalue("postgres").create()
    store = Store.open(url)
    fill(store, LONG)
    yield store
    store.close()


@contextmanager
def overheard(store: Store) -> Iterator[Asked]:
    """Collect the statements that are sent to the database meanwhile."""
    said: Asked = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        said.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", note)
    yield said
    event.remove(store.database.engine, "before_cursor_execute", note)


def read_whole(store: Store, statement: str, parameters: Any) -> set[str]:
    """Return the tables that grow and of which a statement reads all rows, by the database's own plan."""
    if not re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)", statement):
        return set()
    with store.database.engine.connect() as connection:
        if store.database.engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            scans = [SCAN.fullmatch(row[-1]) for row in rows]
            names = {scan[1] for scan in scans if scan is not None and scan[2] not in IN_ORDER}
            if re.search(r"ORDER BY audit.id DESC\s+LIMIT", statement):
                names.discard("audit")  # from its end, and no more than the page takes
        else:
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            plan = plan if isinstance(plan, list) else json.loads(plan)
            names = set(re.findall(r"'Node Type': 'Seq Scan'.*?'Relation Name': '(\w+)'", repr(plan)))
    return names & GROWING


@pytest.mark.slow
def test_an_index_answers_everything_that_pages_and_workers_ask(long_history: Store) -> None:
    assert answered_by_reading_all(long_history) == {}


@pytest.mark.slow
def test_an_index_answers_also_when_the_database_has_counted_its_rows(long_history: Store) -> None:
    with long_history.database.write() as connection:
        connection.execute(text("ANALYZE"))
    long_history.database.engine.dispose()
    assert answered_by_reading_all(long_history) == {}


def answered_by_reading_all(long_history: Store) -> dict[str, dict[str, set[str]]]:
    """Return what is answered by reading all rows of a table that grows: the question, statements, tables."""
    whole: dict[str, dict[str, set[str]]] = {}
    for name, ask in questions(long_history, LONG).items():
        with overheard(long_history) as said:
            ask()
        assert said
        for statement, parameters in said:
            if found := read_whole(long_history, statement, parameters):
                whole.setdefault(name, {})[statement] = found
    return whole


@pytest.mark.slow
def test_a_statement_that_reads_a_whole_table_would_be_noticed(long_history: Store) -> None:
    found = read_whole(long_history, "SELECT id FROM task WHERE trouble = 'x'", ())
    assert found == {"task"}


def a_run(store: Store, name: str, at: float, tasks: int = 2, **values: Any) -> RunId:
    """Make a Run of images that are called after it."""
    asked = asked_for(name, tasks=tasks)
    named = tuple(replace(new, name=f"{name}-{n}") for n, new in enumerate(asked.tasks))
    asked = replace(asked, tasks=named, **values)
    assert store.history.request(asked, at)
    return asked.run


def names(store: Store, **which: Any) -> list[str]:
    found, _further = store.pages.runs_page(**which)
    return [row.run for row in found]


def test_runs_are_found_by_person_group_state_workflow_and_image(store: Store) -> None:
    for person, group in (("ada", "lab"), ("bob", "lab"), ("cleo", "clinic")):
        store.accounts.set(person, "researcher", group, 1.0)
    one = a_run(store, "one", 1.0)
    two = a_run(store, "two", 2.0, person="bob", workflow="other")
    three = a_run(store, "three", 3.0, person="cleo")
    four = a_run(store, "fo%ur", 3.0)
    for task in (f"{three}.1", f"{three}.2"):
        store.history.append(three, events.Cancelled(task, State.WAITING), 4.0)
    assert sorted(names(store)) == sorted([one, two, three, four])
    assert names(store, person="bob") == [two]
    assert sorted(names(store, group="lab")) == sorted([one, two, four])
    assert names(store, state="cancelled") == [three]
    assert names(store, workflow="other") == [two]
    assert names(store, image="two-") == [two]
    assert names(store, image="t") == [three, two]
    assert names(store, image="fo%") == [four]
    assert names(store, image="%") == []
    assert names(store, image="wo") == []
    assert names(store, person="bob", state="cancelled") == []
    store.accounts.set("cleo", "researcher", "lab", 5.0)
    assert len(names(store, group="lab")) == 4
    store.accounts.set("cleo", "researcher", "clinic", 6.0)
    assert {row.first for row in store.pages.runs_page()[0]} == {"one-0", "two-0", "three-0", "fo%ur-0"}
    row = store.pages.run_row(three)
    assert (row.group, row.state, row.counts, row.tasks) == ("clinic", "cancelled", {"cancelled": 2}, 2)
    assert (row.created_at, row.changed_at, row.ended_at, row.progress) == (3.0, 4.0, 4.0, 1.0)
    with pytest.raises(UnknownRun):
        store.pages.run_row("abc")


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_page_after_page_gives_each_run_once_also_of_one_moment(store: Store, limit: int) -> None:
    made = [a_run(store, f"r{n}", 1e9 + n // 3 / 3) for n in range(7)]
    found: list[str] = []
    before: str | None = None
    while True:
        rows, before = store.pages.runs_page(before=before, limit=limit)
        found += [row.run for row in rows]
        if before is None:
            break
        assert len(rows) == limit
    assert len(found) == 7
    assert set(found) == set(made)
    assert [store.pages.run_row(run).created_at for run in found] == sorted(
        (1e9 + n // 3 / 3 for n in range(7)), reverse=True
    )


@pytest.mark.parametrize("before", ["", "x", "1~", "~a", "1~zz", "1;2~a", "nan~a", "1" * 400 + "~a"])
def test_a_place_in_the_list_that_nobody_gave_is_refused(store: Store, before: str) -> None:
    try:
        store.pages.runs_page(before=before)
    except BadRequest:
        return
    assert before == "1" * 400 + "~a"  # larger than any time, and so before all


def test_tasks_and_facts_come_in_their_order_and_from_any_place(store: Store) -> None:
    run = a_run(store, "one", 1.0, tasks=5)
    for number in (2, 4):
        store.history.append(run, events.StagingBegan(f"{run}.{number}", State.WAITING), 2.0)
    pages = store.pages
    assert [row["number"] for row in pages.tasks_page(run)] == [1, 2, 3, 4, 5]
    assert [row["number"] for row in pages.tasks_page(run, after_number=2, limit=2)] == [3, 4]
    assert [row["number"] for row in pages.tasks_page(run, "staging", 2)] == [4]
    assert pages.counts(run) == {State.WAITING: 3, State.STAGING: 2}
    assert pages.counts(RunId("f")) == {}
    assert [row.seq for row in pages.events_page(run)] == [1, 2, 3]
    assert [row.event.kind for row in pages.events_page(run, after_seq=1, limit=1)] == ["staging-began"]
    assert {row["since"] for row in pages.tasks_page(run)} == {1.0, 2.0}


def test_a_stamp_changes_with_everything_that_is_shown(store: Store) -> None:
    run, other = a_run(store, "one", 1.0), a_run(store, "two", 1.0)
    stamps = [store.pages.run_stamp(run)]
    assert store.pages.run_stamp(run) == stamps[0]

    def changed() -> bool:
        stamps.append(store.pages.run_stamp(run))
        return stamps[-1] not in stamps[:-1]

    store.history.append(run, events.StagingBegan(f"{run}.1", State.WAITING), 2.0)
    assert changed()
    claim = store.queue.claim("w", 10.0, 5.0, [run], [State.STAGING])
    assert claim is not None
    assert not changed()
    assert store.queue.progress(claim, "reading", 1, 5, 10.5)
    assert changed()
    store.queue.finish([claim], not_before=20.0, trouble="The disk is full.")
    assert changed()
    watch = store.sites.claim("local", "w", 10.0, 5.0)
    assert watch is not None
    assert store.sites.hear(watch, "c", [], False, 12.0)
    assert changed()
    store.sites.release(watch, 13.0, "The site does not answer.")
    assert changed()
    assert set(store.pages.run_stamps([run, other, "f"])) == {run, other}
    with pytest.raises(UnknownRun):
        store.pages.run_stamp(RunId("f"))


def test_what_was_used_last_is_of_the_person_and_the_workflow(store: Store) -> None:
    a_run(store, "one", 1.0, parameters={"size": 1})
    a_run(store, "two", 2.0, parameters={"size": 2}, site="uni/key")
    a_run(store, "three", 3.0, parameters={"size": 3}, person="bob")
    assert store.pages.last_used("ada", "count") == {"parameters": {"size": 2}, "site": "uni/key"}
    assert store.pages.last_used("ada", "nothing") is None


def test_costs_count_what_sites_said_and_each_image_once(store: Store) -> None:
    run = a_run(store, "one", 1.0, tasks=3)
    tree = Digest("t" * 64)
    for number in (1, 2):
        task = f"{run}.{number}"
        ref = ImageRef("folder", f"/images/{number}.tif")
        store.images.remember_staged(ref, f"f{number}", "1", tree, [("a", 100, "s"), ("b", 50, "s")])
        usage = {"cpu_seconds": 1800, "gpu_seconds": 360.0, "units": 3}
        for fact in (
            events.StagingBegan(task, State.WAITING),
            events.Staged(task, State.STAGING, tree),
            events.Submitted(task, State.SUBMITTING),
            events.Computed(task, State.QUEUED, Digest("r" * 64), usage),
        ):
            store.history.append(run, fact, 2.0)
    found = store.pages.costs(run)
    assert (found.core_hours, found.gpu_hours) == (1.0, pytest.approx(0.2))
    assert (found.bytes_moved, found.bytes_at_site, found.images) == (150, 0, 0)
    assert store.pages.load() == {"local": {State.WAITING: 1, State.COLLECTING: 2}}


def test_progress_goes_from_nothing_to_all(store: Store) -> None:
    run = a_run(store, "one", 1.0, tasks=2)
    task = f"{run}.1"
    seen = [store.pages.run_row(run).progress]
    for fact in (
        events.StagingBegan(task, State.WAITING),
        events.Staged(task, State.STAGING, Digest("t" * 64)),
        events.Submitted(task, State.SUBMITTING),
        events.Started(task, State.QUEUED),
    ):
        store.history.append(run, fact, 2.0)
        seen.append(store.pages.run_row(run).progress)
    store.sites.note_progress(task, store.runs.task(task)["attempt_key"], "detect", 3, 4)
    seen.append(store.pages.run_row(run).progress)
    store.history.append(run, events.Computed(task, State.RUNNING, Digest("r" * 64), {}), 2.0)
    seen.append(store.pages.run_row(run).progress)
    assert seen == sorted(seen)
    assert (seen[0], seen[-2]) == (0.0, pytest.approx(0.35))
    assert seen[-1] < 0.5
