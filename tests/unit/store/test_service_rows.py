# SPDX-License-Identifier: BSD-3-Clause
"""What sites offer, what was asked for, who is told of it, and what is forgotten."""

from dataclasses import replace

import pytest

from slidegate.domain import events
from slidegate.domain.errors import UnknownRun
from slidegate.domain.states import State
from slidegate.domain.values import Digest, Release, RunId
from slidegate.store import Store
from slidegate.store.asking import Asking
from slidegate.store.retention import Old, count_old, forget_old
from slidegate.store.webhooks import TooManyWebhooks
from tests.unit.domain.histories import request


def release(name: str, version: str = "1.0") -> Release:
    return Release(Digest(f"{name}-{version}"), name, version, {"name": name}, {"type": "object"}, "r")


def ended(store: Store, name: str, at: float, person: str = "ada") -> RunId:
    asked = replace(request(name, tasks=2), person=person)
    store.history.request(asked, 1.0)
    pairs = [events.Cancelled(new.task, State.WAITING) for new in asked.tasks]
    for event in pairs:
        store.history.append(asked.run, event, at)
    return asked.run


def test_what_a_site_offers_is_what_it_said_last(store: Store) -> None:
    store.offers.note("local", [release("b"), release("a"), release("a")], 1.0)
    store.offers.note("uni/key", [release("a", "2.0")], 2.0)
    assert [(o.site, o.release.name, o.release.version, o.heard_at) for o in store.offers.all()] == [
        ("local", "a", "1.0", 1.0), ("uni/key", "a", "2.0", 2.0), ("local", "b", "1.0", 1.0),
    ]  # fmt: skip
    store.offers.note("local", [release("b")], 3.0)
    assert [(o.site, o.release.name) for o in store.offers.all()] == [("uni/key", "a"), ("local", "b")]
    assert store.offers.all()[0].release == release("a", "2.0")
    store.offers.forget("uni/key")
    assert [o.site for o in store.offers.all()] == ["local"]


def test_the_audit_is_read_page_by_page_and_by_person(store: Store) -> None:
    for number in range(6):
        store.audit.note(
            float(number), ("ada", "bob", None)[number % 3], "launch", f"r{number}", "done", "q", "127.0.0.1"
        )
    first = store.audit.page(limit=4)
    assert [note.target for note in first] == ["r5", "r4", "r3", "r2"]
    assert [note.target for note in store.audit.page(first[-1].id, 4)] == ["r1", "r0"]
    assert [note.target for note in store.audit.page(person="bob")] == ["r4", "r1"]
    assert (first[0].person, first[0].address, first[0].outcome) == (None, "127.0.0.1", "done")
    assert store.audit.sweep(2.0) == 2
    assert len(store.audit.page()) == 4


def test_the_end_of_a_run_is_to_be_told_to_each_webhook_of_its_person_once(store: Store) -> None:
    store.webhooks.add("ada", "https://example.org/1", "s1", 1.0)
    store.webhooks.add("bob", "https://example.org/2", "s2", 1.0)
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    store.history.append(asked.run, events.Cancelled(asked.tasks[0].task, State.WAITING), 2.0)
    assert store.webhooks.due("w", 5.0, 10.0) is None
    store.history.append(asked.run, events.Failed(asked.tasks[1].task, State.WAITING, "x", "X."), 3.0)
    due = store.webhooks.due("w", 5.0, 10.0)
    assert due is not None
    assert (due.url, due.secret, due.tries) == ("https://example.org/1", "s1", 0)
    assert due.body == {
        "event": "run-ended", "run": asked.run, "state": "failed", "counts": {"failed": 1, "cancelled": 1},
        "tasks": 2, "person": "ada", "site": "local", "workflow": "count", "version": "1.0", "ended_at": 3.0,
    }  # fmt: skip
    assert store.webhooks.due("w", 5.0, 10.0) is None
    assert store.webhooks.put_off(due, 60.0, "no answer")
    assert not store.webhooks.told(due, 6.0)
    assert store.webhooks.due("w", 59.0, 10.0) is None
    late = store.webhooks.due("w", 60.0, 10.0)
    again = store.webhooks.due("v", 71.0, 10.0)
    assert late is not None
    assert again is not None
    assert (again.id, again.tries) == (due.id, 1)
    assert not store.webhooks.told(late, 72.0)
    assert store.webhooks.told(again, 72.0)
    assert store.webhooks.due("w", 1e6, 10.0) is None
    (hook,) = store.webhooks.all("ada")
    assert [row["state"] for row in store.webhooks.deliveries(hook.id)] == ["told"]


def test_a_run_that_is_tried_again_ends_again(store: Store) -> None:
    store.webhooks.add("ada", "https://example.org/1", "s1", 1.0)
    run = ended(store, "one", 2.0)
    assert store.asking.retry(run, 3.0) == 2
    assert store.pages.run_row(run).ended_at is None
    assert store.asking.retry(run, 3.0) == 0
    assert store.asking.cancel(run, 4.0) == 2
    assert store.asking.cancel(run, 4.0) == 0
    for number in (1, 2):
        store.history.append(run, events.Cancelled(f"{run}.{number}", State.WAITING), 5.0)
    told = []
    while due := store.webhooks.due("w", 9.0, 10.0):
        told.append(due.body["ended_at"])
        store.webhooks.give_up(due, "no answer", 9.0)
    assert told == [2.0, 5.0]
    for ask in (store.asking.cancel, store.asking.retry):
        with pytest.raises(UnknownRun):
            ask(RunId("f"), 1.0)


def test_what_failed_after_it_was_computed_is_only_fetched_again(store: Store) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    for fact in (
        events.StagingBegan(task, State.WAITING),
        events.Staged(task, State.STAGING, Digest("t" * 64)),
        events.Submitted(task, State.SUBMITTING),
        events.Computed(task, State.QUEUED, Digest("r" * 64), {}),
        events.Failed(task, State.COLLECTING, "no-space", "The disk is full."),
    ):
        store.history.append(asked.run, fact, 2.0)
    assert Asking(store.database).retry(asked.run, 3.0) == 1
    row = store.runs.task(task)
    assert (row["state"], row["attempt"], row["error"]) == ("collecting", 1, None)


def test_a_webhook_is_removed_by_whose_it_is_with_what_it_was_to_be_told(store: Store) -> None:
    number = store.webhooks.add("ada", "https://example.org/1", "s1", 1.0)
    ended(store, "one", 2.0)
    assert not store.webhooks.remove("bob", number)
    assert store.webhooks.remove("ada", number)
    assert store.webhooks.due("w", 5.0, 10.0) is None


def test_nothing_is_told_for_who_may_not_sign_in_and_nobody_has_too_many(store: Store) -> None:
    store.accounts.set("ada", "viewer", "", 1.0)
    for number in range(20):
        store.webhooks.add("ada", f"https://example.org/{number}", "s", 1.0)
    with pytest.raises(TooManyWebhooks):
        store.webhooks.add("ada", "https://example.org/20", "s", 1.0)
    ended(store, "one", 2.0)
    store.accounts.deactivate("ada", False)
    assert store.webhooks.due("w", 5.0, 10.0) is None
    store.accounts.deactivate("ada", True)
    assert store.webhooks.due("w", 5.0, 10.0) is not None


def test_what_is_old_is_forgotten_and_what_goes_on_is_not(store: Store) -> None:
    old, young = ended(store, "old", 10.0), ended(store, "young", 1000.0)
    going = request("going")
    store.history.request(going, 1.0)
    store.audit.note(5.0, "ada", "launch", None, "done")
    store.audit.note(500.0, "ada", "launch", None, "done")
    expected = Old(runs=1, notes=1, wishes=0, deliveries=0)
    assert count_old(store, 100.0) == expected
    assert {row["id"] for row in store.runs.all()} == {old, young, going.run}
    assert forget_old(store, 100.0) == expected
    assert forget_old(store, 100.0) == Old(0, 0, 0, 0)
    assert {row["id"] for row in store.runs.all()} == {young, going.run}
