# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from slidegate.domain import events
from slidegate.domain.errors import Outdated
from slidegate.domain.states import State
from slidegate.domain.values import Digest, RunId
from slidegate.store import Store
from tests.unit.domain.histories import request


def test_a_task_is_handed_to_one_worker_until_its_lease_runs_out(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    first = store.queue.claim("a", 10.0, 5.0)
    assert first is not None
    assert store.queue.claim("b", 14.9, 5.0) is None
    second = store.queue.claim("b", 15.0, 5.0)
    assert second is not None
    assert second.token == first.token + 1


def test_who_lost_the_lease_changes_nothing(store: Store) -> None:
    asked = request(tasks=1)
    task = asked.tasks[0].task
    store.history.request(asked, 1.0)
    late = store.queue.claim("a", 10.0, 5.0)
    now = store.queue.claim("a", 20.0, 5.0)
    assert late is not None
    assert now is not None
    with pytest.raises(Outdated):
        store.history.append(asked.run, events.StagingBegan(task, State.WAITING), 21.0, late.held)
    assert not store.queue.renew([late], 99.0)
    assert not store.queue.progress(late, "staging", 1, 2, 21.0)
    store.queue.finish([late], trouble="late")
    assert store.runs.task(task)["trouble"] is None
    assert store.queue.claim("b", 22.0, 5.0) is None
    store.history.append(asked.run, events.StagingBegan(task, State.WAITING), 22.0, now.held)


def test_a_renewed_lease_lasts(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    assert store.queue.renew([claim], 30.0)
    assert store.queue.claim("b", 29.0, 5.0) is None


def test_a_task_given_back_waits_until_its_time_and_says_why(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    store.queue.finish([claim], not_before=12.0, trouble="the site does not answer")
    assert store.queue.claim("b", 11.0, 5.0) is None
    again = store.queue.claim("b", 12.0, 5.0)
    assert again is not None
    assert (again.row["tries"], again.row["trouble"]) == (1, "the site does not answer")


def test_a_task_that_was_put_off_before_the_clock_was_set_back_is_handed_out(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 100_000.0, 5.0)
    assert claim is not None
    store.queue.finish([claim], not_before=100_015.0, trouble="the site does not answer")
    assert store.queue.claim("b", 1000.0, 5.0) is not None


def test_a_move_clears_trouble_progress_and_waiting(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    assert store.queue.progress(claim, "reading", 5, 9, 10.5)
    assert store.runs.task(claim.task)["done"] == 5
    store.history.append(asked.run, events.StagingBegan(claim.task, State.WAITING), 11.0, claim.held)
    row = store.runs.task(claim.task)
    assert (row["done"], row["step"], row["tries"]) == (None, None, 0)


def test_tasks_that_are_at_a_site_or_ended_are_not_handed_out(store: Store) -> None:
    asked = request(tasks=2)
    store.history.request(asked, 1.0)
    first, second = (new.task for new in asked.tasks)
    store.history.append(asked.run, events.Cancelled(first, State.WAITING), 2.0)
    for event in (
        events.StagingBegan(second, State.WAITING),
        events.Staged(second, State.STAGING, "t" * 64),
        events.Submitted(second, State.SUBMITTING),
    ):
        store.history.append(asked.run, event, 2.0)
    assert store.queue.claim("a", 10.0, 5.0) is None


def test_a_worker_may_keep_to_some_runs(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    assert store.queue.claim("a", 10.0, 5.0, [RunId("other")]) is None
    assert store.queue.claim("a", 10.0, 5.0, [asked.run]) is not None


def test_mates_are_of_the_same_run_state_and_submission(store: Store) -> None:
    asked, other = request("one"), request("two")
    for event in (asked, other):
        store.history.request(event, 1.0)
    store.history.append(asked.run, events.StagingBegan(asked.tasks[2].task, State.WAITING), 2.0)
    claim = store.queue.claim("a", 10.0, 5.0, [asked.run])
    assert claim is not None
    mates = store.queue.claim_mates(claim, 10.0, 5.0, 10)
    assert [mate.task for mate in mates] == [asked.tasks[1].task]


def test_the_leases_of_the_dead_are_freed_at_once(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    store.queue.claim("dead", 10.0, 500.0)
    store.sites.claim("local", "dead", 10.0, 500.0)
    assert store.queue.owners(11.0) == ["dead"]
    store.queue.free("dead")
    assert store.queue.claim("b", 11.0, 5.0) is not None
    assert store.sites.claim("local", "b", 11.0, 5.0) is not None


def test_what_workers_died_with_is_left_alone_a_little_longer_each_time(store: Store) -> None:
    asked = request(tasks=1)
    store.history.request(asked, 1.0)
    store.wishes.ask("thumbnail", "ada", {"image": "a"}, 1.0)
    pauses = [0.0, 5.0]
    for deaths, pause in enumerate(pauses, start=1):
        claim = store.queue.claim("w", 20.0, 500.0)
        wish = store.wishes.claim("w", 20.0, 500.0, ["thumbnail"])
        assert claim is not None and wish is not None
        assert (claim.task, claim.row["deaths"]) == (asked.tasks[0].task, deaths - 1)
        assert wish.deaths == deaths - 1
        store.queue.died("w", 20.0, lambda number, pause=pause, deaths=deaths: pause * (number == deaths))
        store.queue.died("w", 20.0, lambda number: 500.0)  # what is nobody's is not the dead one's
    assert store.queue.claim("x", 24.0, 500.0) is None
    assert store.wishes.claim("x", 24.0, 500.0, ["thumbnail"]) is None
    again = store.queue.claim("y", 25.0, 500.0)
    assert again is not None and (again.task, again.row["deaths"]) == (asked.tasks[0].task, 2)
    store.history.append(asked.run, events.StagingBegan(again.task, State.WAITING), 25.0, again.held)
    assert store.runs.task(again.task)["deaths"] == 0


def test_a_lease_that_ran_out_counts_as_a_death_and_one_that_was_given_back_does_not(store: Store) -> None:
    store.history.request(request(tasks=1), 1.0)
    claim = store.queue.claim("a", 10.0, 5.0)
    assert claim is not None
    store.queue.finish([claim])
    claim = store.queue.claim("b", 11.0, 5.0)
    assert claim is not None and claim.row["deaths"] == 0
    claim = store.queue.claim("c", 16.0, 5.0)
    assert claim is not None and claim.row["deaths"] == 1


WORKER = """
import random, sys
from slidegate.domain import events
from slidegate.domain.errors import Outdated
from slidegate.domain.states import State
from slidegate.store import Store
import time
store = Store.open(sys.argv[1])
moved = 0
until = time.time() + 60
while time.time() < until and State.WAITING in store.runs.counts(sys.argv[3]):
    lease = random.choice([0.001, 0.05, 5.0])
    claim = store.queue.claim(sys.argv[2], time.time(), lease, states=[State.WAITING])
    if claim is None:
        continue
    try:
        began = events.StagingBegan(claim.task, State.WAITING)
        store.history.append(claim.run, began, time.time(), claim.held)
        moved += 1
    except Outdated:
        pass
    store.queue.finish([claim])
print(moved)
"""


@pytest.mark.slow
def test_worker_processes_on_one_database_never_both_move_a_task(url: str) -> None:
    store = Store.open(url)
    asked = request(tasks=60)
    store.history.request(asked, time.time())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, name, asked.run], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    moved = [int(process.communicate(timeout=120)[0]) for process in processes]
    history = store.history.of(asked.run)
    store.close()
    assert sum(moved) == 60
    assert sum(number > 0 for number in moved) > 1
    assert [event.kind for event in history].count("staging-began") == 60
    assert len({event.task for event in history[1:]}) == 60


def of_person(person: str, tasks: int, name: str = "") -> events.RunRequested:
    return replace(request(f"{person} {name}", tasks=tasks), person=person)


def taken_by(store: Store, times: int, now: float = 10.0) -> list[str]:
    claims = [store.queue.claim("w", now, 500.0) for _ in range(times)]
    return [claim.row["person"] for claim in claims if claim is not None]


def test_people_take_turns_however_much_one_of_them_has_waiting(store: Store) -> None:
    for asked in (of_person("ada", 40), of_person("bob", 3), of_person("cleo", 2)):
        store.history.request(asked, 1.0)
    taken = taken_by(store, 12)
    assert [sorted(taken[n : n + 3]) for n in (0, 3)] == [["ada", "bob", "cleo"]] * 2
    assert Counter(taken) == {"ada": 7, "bob": 3, "cleo": 2}


def test_who_comes_new_is_served_next(store: Store) -> None:
    store.history.request(of_person("ada", 10), 1.0)
    assert taken_by(store, 4) == ["ada"] * 4
    store.history.request(of_person("bob", 1), 2.0)
    assert taken_by(store, 2) == ["bob", "ada"]


def test_whose_tasks_are_put_off_or_held_misses_no_turn_of_others(store: Store) -> None:
    store.history.request(of_person("ada", 1), 1.0)
    claim = store.queue.claim("w", 10.0, 500.0)
    assert claim is not None
    store.queue.finish([claim], not_before=50.0)
    store.history.request(of_person("bob", 2), 2.0)
    assert taken_by(store, 5) == ["bob", "bob"]
    assert taken_by(store, 1, now=50.0) == ["ada"]


def test_a_worker_may_keep_to_some_states(store: Store) -> None:
    asked = of_person("ada", 2)
    store.history.request(asked, 1.0)
    moving = [State.SUBMITTING, State.COLLECTING, State.PUBLISHING]
    assert store.queue.claim("w", 10.0, 5.0, states=moving) is None
    first = asked.tasks[0].task
    store.history.append(asked.run, events.StagingBegan(first, State.WAITING), 2.0)
    store.history.append(asked.run, events.Staged(first, State.STAGING, Digest("t" * 64)), 2.0)
    found = store.queue.claim("w", 10.0, 5.0, states=moving)
    assert found is not None
    assert found.task == first
    assert store.queue.claim("w", 10.0, 5.0, states=[State.STAGING]) is None
    staged = store.queue.claim("w", 10.0, 5.0, states=[State.WAITING, State.STAGING])
    assert staged is not None
    assert staged.task == asked.tasks[1].task


def test_nothing_is_brought_to_a_site_that_has_enough_but_cancelling_goes_on(store: Store) -> None:
    full, other = replace(of_person("ada", 2), site="full"), of_person("bob", 1)
    for asked in (full, other):
        store.history.request(asked, 1.0)
    claims = [store.queue.claim("w", 10.0, 5.0, not_staging_at=["full"]) for _ in range(2)]
    assert [claim and claim.run for claim in claims] == [other.run, None]
    store.asking.cancel(full.run, 2.0)
    moving = [State.COLLECTING]
    claims = [store.queue.claim("w", 10.0, 5.0, None, moving, ["full"]) for _ in range(3)]
    assert [claim and claim.run for claim in claims] == [full.run, full.run, None]


def test_a_task_that_is_to_be_cancelled_comes_before_the_persons_others(store: Store) -> None:
    one, two = of_person("ada", 5, "one"), of_person("ada", 1, "two")
    store.history.request(one, 1.0)
    store.history.request(two, 2.0)
    store.asking.cancel(two.run, 3.0)
    claim = store.queue.claim("w", 10.0, 5.0)
    assert claim is not None
    assert claim.run == two.run


def test_what_is_ready_and_not_begun_is_counted_by_site(store: Store) -> None:
    asked = of_person("ada", 2)
    store.history.request(asked, 1.0)
    assert store.queue.ahead() == {}
    first = asked.tasks[0].task
    store.history.append(asked.run, events.StagingBegan(first, State.WAITING), 2.0)
    store.history.append(asked.run, events.Staged(first, State.STAGING, Digest("t" * 64)), 2.0)
    assert store.queue.ahead() == {"local": 1}


def test_thousands_of_waiting_tasks_of_one_do_not_hold_up_another(store: Store) -> None:
    for name in range(3):
        store.history.request(of_person("ada", 1000, str(name)), 1.0)
    store.history.request(of_person("bob", 10), 2.0)
    assert Counter(taken_by(store, 20)) == {"ada": 10, "bob": 10}


RENEW = """
import sys, time
from slidegate.store import Store
from slidegate.domain import events
from slidegate.domain.states import State
store = Store.open(sys.argv[1])
until = time.time() + 1.5
rounds = 0
while time.time() < until:
    if sys.argv[2] == "cancel":
        store.asking.cancel(sys.argv[3], 2.0)
        store.asking.retry(sys.argv[3], 2.0)
    elif sys.argv[2] == "confirm":
        store.sites.confirm("local", 3.0)
    else:
        claim = store.queue.claim(sys.argv[2], 10.0, 500.0)
        if claim is not None:
            held = [claim, *store.queue.claim_mates(claim, 10.0, 500.0, 50)][::-1]
            store.queue.renew(held, 600.0)
            store.queue.finish(held)
        store.queue.free(sys.argv[2])
    rounds += 1
print(rounds)
"""


@pytest.mark.slow
def test_nobody_waits_in_a_circle(url: str) -> None:
    store = Store.open(url)
    asked = request(tasks=60)
    store.history.request(asked, 1.0)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RENEW, url, what, asked.run], stdout=subprocess.PIPE, text=True
        )
        for what in ("cancel", "confirm", "a", "b")
    ]
    rounds = [int(process.communicate(timeout=120)[0] or 0) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert min(rounds) > 0
    store.close()
