# SPDX-License-Identifier: BSD-3-Clause
"""The parts of the worker as a service: each does one thing, and none waits for another."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from slidegate.cache import Cache
from slidegate.domain import events
from slidegate.domain.logs import JsonLines
from slidegate.domain.states import State
from slidegate.domain.values import Digest, Release
from slidegate.sites import Gate
from slidegate.sites.errors import LinkDown
from slidegate.sites.gate import Hello, News
from slidegate.store import Store
from slidegate.store.database import StoreUnusable
from slidegate.worker.bell import Bell
from slidegate.worker.gates import LiveGates
from slidegate.worker.housekeeping import Chore, Housekeeping
from slidegate.worker.mover import STAGES, Mover
from slidegate.worker.offering import Offering
from slidegate.worker.places import Places
from slidegate.worker.presence import Presence
from slidegate.worker.room import Room
from slidegate.worker.service import Service
from slidegate.worker.staging import _put_away
from slidegate.worker.tools import Pace, Tools
from slidegate.worker.watching import watch_site
from tests.unit.domain.histories import request
from tests.unit.worker.conftest import Clock, Source
from tests.unit.worker.site import Said, at_site

pytestmark = pytest.mark.slow

RELEASE = Release(Digest("9" * 64), "count", "1.0", {"steps": []}, {"type": "object"}, "r")


class Link:
    """A Link that says what a gate says of itself and nothing else."""

    closed = False

    def __init__(self) -> None:
        self.closes = 0

    def close(self) -> None:
        self.closes += 1


# gates


def test_gates_that_are_added_appear_and_each_has_one_client() -> None:
    names = ["local"]
    built: list[str] = []

    def build(name: str) -> Gate:
        built.append(name)
        return Gate(LinkDown)

    gates = LiveGates(lambda: names, build)
    assert (list(gates), built) == (["local"], [])
    names.append("uni/ada")
    assert list(gates) == ["local", "uni/ada"]
    assert gates["uni/ada"] is gates["uni/ada"]
    assert built == ["uni/ada"]
    with pytest.raises(KeyError):
        gates["gone"]


def test_channels_that_were_not_used_for_a_while_are_given_back() -> None:
    closed: list[str] = []

    class Closing(Gate):
        def close(self) -> None:
            closed.append("x")

    gates = LiveGates(lambda: ["local", "other"], lambda _name: Closing(LinkDown))
    assert gates["local"] is not gates["other"]
    assert gates.quiet(60.0) == ()
    assert len(gates.quiet(0.0)) == 2
    assert gates.quiet(0.0) == ()


def test_a_gate_far_away_is_asked_with_more_patience(tools: Tools) -> None:
    far = replace(tools, pace_afar=Pace(poll_seconds=9.0), paces={"lab/x": Pace(poll_seconds=7.0)})
    assert [far.pace_at(site).poll_seconds for site in ("local", "uni/ada", "lab/x")] == [0.1, 9.0, 7.0]


# threads


def test_a_ring_wakes_all_who_listen_and_one_that_came_before_is_not_missed() -> None:
    bell = Bell()
    heard = bell.rings
    bell.ring()
    assert bell.wait(heard, 5.0)
    woken: list[bool] = []
    waiting = [threading.Thread(target=lambda: woken.append(bell.wait(bell.rings, 5.0))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    time.sleep(0.05)
    bell.ring()
    for thread in waiting:
        thread.join()
    assert woken == [True] * 3
    assert not bell.wait(bell.rings, 0.0)


def test_what_must_not_be_done_twice_at_once_is_not(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with places.alone("a") as first, places.alone("a") as second, places.alone("b") as other:
        assert (first, second, other) == (True, False, True)
    with places.alone("a") as again:
        assert again
    assert list((tmp_path / "locks").iterdir()) == []


# back-pressure


def staged(store: Store, tasks: int, ready: int) -> list[str]:
    """Have a Run with so many Tasks, of which some are staged."""
    asked = request(tasks=tasks)
    store.history.request(asked, 1.0)
    for new in asked.tasks[:ready]:
        store.history.append(asked.run, events.StagingBegan(new.task, State.WAITING), 2.0)
        store.history.append(asked.run, events.Staged(new.task, State.STAGING, Digest("7" * 64)), 2.0)
    return [new.task for new in asked.tasks]


def test_no_more_is_staged_for_a_site_that_has_enough_waiting(
    store: Store, tools: Tools, clock: Clock, tmp_path: Path
) -> None:
    tasks = staged(store, 5, ready=3)
    room = Room(store, clock, tmp_path, 0, ahead=3)
    stager = Mover(tools, "me", Event(), states=STAGES, room=room)
    assert room.full() == {"local"}
    assert not stager.step()
    store.asking.cancel(request(tasks=5).run, 3.0)
    assert stager.step()  # what is not wanted any more does not wait
    assert "cancelled" in {store.runs.task(task)["state"] for task in tasks}
    less = Mover(tools, "me", Event(), states=STAGES, room=Room(store, clock, tmp_path, 0, ahead=99))
    assert less.step()


def test_nothing_is_staged_while_the_disk_is_nearly_full_and_all_else_goes_on(
    store: Store, tools: Tools, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    staged(store, 2, ready=1)
    free = 10
    room = Room(store, clock, tmp_path, spare_bytes=100, ahead=9, free=lambda _folder: free)
    with caplog.at_level(logging.INFO):
        assert room.full() is None
        assert not Mover(tools, "me", Event(), states=STAGES, room=room).step()
        waiting = next(row for row in store.runs.tasks(request(tasks=2).run) if row["state"] == "waiting")
        assert waiting["trouble"].endswith("[disk-full-here]")
        assert (waiting["tries"], waiting["owner"]) == (0, None)
        free = 1000
        assert room.full() is None  # looked at once in a second
        clock.now += 1
        assert room.full() == frozenset()
    clock.now += 30
    assert Mover(tools, "me", Event(), states=STAGES, room=room).step()
    assert [record.action for record in caplog.records[:2]] == ["disk_low", "disk_well"]


def test_an_image_that_another_worker_stages_just_now_is_left_to_it_and_counts_as_no_failure(
    store: Store, tools: Tools, clock: Clock, source: Source
) -> None:
    first, second = request(tasks=1), request(tasks=1, generation=1)
    for asked in (first, second):
        store.history.request(asked, 1.0)
        store.history.append(asked.run, events.StagingBegan(asked.tasks[0].task, State.WAITING), 2.0)
    mine, other = Mover(tools, "me", Event()), Mover(tools, "other", Event())

    def meanwhile(*_values: object) -> str:
        assert other.step()
        return "c" * 64

    source.print = "f2"  # so that the image is read
    source.content_digest = meanwhile  # type: ignore[method-assign]
    mine.step()
    rows = [store.runs.task(asked.tasks[0].task) for asked in (first, second)]
    left = max(rows, key=lambda row: float(row["not_before"]))
    assert (left["state"], left["tries"], left["trouble"]) == ("staging", 0, None)
    assert left["not_before"] == clock.now + 1.0


def test_a_converted_image_is_given_to_the_pages(tools: Tools, tmp_path: Path) -> None:
    digest = Digest("d" * 64)
    cache = Cache(tmp_path / "cache", 10**9)
    for given in (tools, replace(tools, cache=cache)):
        folder = given.places.converted(digest)
        folder.mkdir(parents=True)
        (folder / "zarr.json").write_text("{}")
        _put_away(given, digest)
        assert not folder.exists()
    kept = cache.tree(digest)
    assert kept is not None
    assert (kept / "zarr.json").read_text() == "{}"


# offers


class Offers:
    """A gate that says what it offers, or that it is not there."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False
        self.offers: tuple[Release, ...] = (RELEASE,)

    def hello(self) -> Hello:
        self.asked += 1
        if self.down:
            raise LinkDown
        return Hello("1", "site", "key", self.offers, {})


def test_what_a_site_offers_is_asked_now_and_then_and_kept(store: Store, tools: Tools, clock: Clock) -> None:
    gate = Offers()
    offering = Offering(replace(tools, gates={"local": gate}), "local")  # type: ignore[dict-item]
    assert offering.step()
    assert not offering.step()
    clock.now += 61
    gate.down = True
    assert not offering.step()
    (kept,) = store.offers.all()
    assert (kept.site, kept.release, kept.heard_at) == ("local", RELEASE, 1000.0)
    clock.now += 61
    gate.down, gate.offers = False, ()
    assert offering.step()
    assert store.offers.all() == []
    assert gate.asked == 3


# chores


def test_a_chore_that_fails_keeps_no_other_from_being_done(
    tools: Tools, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[float] = []

    def fail(_now: float) -> None:
        raise OSError(28, "No space left on device", "/data/Jane_Doe.tif")

    presence = Presence(tools.places.workers)
    keeper = Housekeeping(tools, presence, (Chore("a", 5.0, fail), Chore("b", 5.0, done.append)))
    for _ in range(3):
        assert not keeper.step()
        clock.now += 3.0
    assert done == [1000.0, 1006.0]
    assert "Jane" not in caplog.text
    presence.end()


def test_what_a_killed_worker_held_is_free_at_once(store: Store, tools: Tools, clock: Clock) -> None:
    import os

    staged(store, 1, ready=0)
    dead, alive = Presence(tools.places.workers), Presence(tools.places.workers)
    assert store.queue.claim(dead.owner, clock.now, 1e6) is not None
    Housekeeping(tools, alive).step()
    assert store.queue.owners(clock.now) == [dead.owner]
    os.close(dead._handle)
    Housekeeping(tools, alive).step()
    assert store.queue.owners(clock.now) == []
    alive.end()


# after a backup was restored


def test_after_a_restore_nothing_is_begun_before_every_site_was_read_completely(
    store: Store, tools: Tools, clock: Clock
) -> None:
    said, other = Said(), Said()
    (key,) = at_site(store, said)
    there = replace(tools, gates={"local": said, "uni/ada": other})  # type: ignore[dict-item]
    watch_site(there, "local", "me")
    store.sites.hurry("uni/ada")
    store.sites.claim("uni/ada", "me", clock.now, 0.0)
    clock.now += 1
    assert sorted(store.sites.begin_reconciling(clock.now)) == ["local", "uni/ada"]
    said.crew(1, "ended")  # another crew would be started, were it not for the restore
    said.progress(key, "detect", 3)
    mover = Mover(there, "me", Event())
    for _ in range(3):
        store.sites.hurry("local")
        assert not mover.step()
        watch_site(there, "local", "me")
    assert set(store.sites.reconciling()) == {"uni/ada"}
    assert said.submitted == []
    assert store.runs.tasks(request(tasks=1).run)[0]["state"] == "queued"
    other.error = LinkDown()
    assert not watch_site(there, "uni/ada", "me")
    assert set(store.sites.reconciling()) == {"uni/ada"}
    other.error = None
    clock.now += 100
    assert watch_site(there, "uni/ada", "me")
    assert store.sites.reconciling() == {}
    for _ in range(3):
        store.sites.hurry("local")
        watch_site(there, "local", "me")
    assert store.runs.tasks(request(tasks=1).run)[0]["state"] == "running"
    assert said.submitted == [2]


# the whole, with a site that is told what to say


class Site(Said):
    """A site with Releases that counts how often it is asked for news."""

    def __init__(self) -> None:
        super().__init__()
        self.polls = 0

    def hello(self) -> Hello:
        return Hello("1", "site", "key", (RELEASE,), {})

    def status(self, cursor: str) -> News:
        self.polls += 1
        return super().status(cursor)


def serve(service: Service) -> tuple[Event, threading.Thread, list[bool]]:
    stop: Event = Event()
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(service.run(stop, grace_seconds=0.3)))
    thread.start()
    return stop, thread, ended


def wait_for(true: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sites_that_are_added_are_watched_and_each_is_asked_by_one_of_many_workers(
    store: Store, tools: Tools
) -> None:
    gates: dict[str, Any] = {"local": Site()}
    (key,) = at_site(store, gates["local"])
    slowly = Pace(poll_seconds=0.5, poll_seconds_most=0.5)

    def make_tools() -> Tools:
        return replace(tools, gates=gates, clock=time.time, pace=slowly)

    running = [serve(Service(make_tools, stagings=1, movers=1)) for _ in range(3)]
    began = time.monotonic()
    wait_for(lambda: gates["local"].polls)
    gates["uni/ada"] = Site()
    wait_for(lambda: {offer.site for offer in store.offers.all()} == {"local", "uni/ada"})
    gates["local"].progress(key, "detect", 3)
    wait_for(lambda: store.runs.tasks(request(tasks=1).run)[0]["state"] == "running")
    polls, lasted = gates["local"].polls, time.monotonic() - began
    for stop, thread, _ended in running:
        stop.set()
        thread.join()
    assert polls <= lasted / 0.5 + 2
    assert [ended for _, _, ended in running] == [[True]] * 3
    assert list(tools.places.workers.iterdir()) == []


def test_a_service_that_is_told_to_end_gives_back_at_once_what_hangs(
    store: Store, tools: Tools, source: Source, clock: Clock
) -> None:
    staged(store, 1, ready=0)
    hanging, over = Event(), Event()

    def hang() -> None:
        hanging.set()
        over.wait(20)

    source.do = hang
    service = Service(lambda: replace(tools, clock=time.time), stagings=1, movers=1, spare_bytes=0)
    stop, thread, ended = serve(service)
    assert hanging.wait(20)
    began = time.monotonic()
    stop.set()
    thread.join()
    assert time.monotonic() - began < 5
    assert ended == [False]
    assert store.queue.owners(time.time()) == []
    over.set()
    wait_for(lambda: not [each for each in threading.enumerate() if each.name.startswith("slidegate-stage")])
    row = store.runs.tasks(request(tasks=1).run)[0]
    assert (row["state"], row["owner"], row["error"]) == ("staging", None, None)


def test_a_part_that_breaks_is_begun_anew_and_the_database_may_be_away(
    store: Store, tools: Tools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    staged(store, 2, ready=0)
    claim = store.queue.claim
    left = [StoreUnusable(), ZeroDivisionError("Jane_Doe.tif"), StoreUnusable()]

    def may_claim(*values: Any, **named: Any) -> Any:
        if left:
            raise left.pop()
        return claim(*values, **named)

    monkeypatch.setattr(store.queue, "claim", may_claim)
    service = Service(lambda: replace(tools, clock=time.time), stagings=1, movers=1, spare_bytes=0)
    stop, thread, _ended = serve(service)
    wait_for(lambda: {task["state"] for task in store.runs.tasks(request(tasks=2).run)} & {"failed"})
    stop.set()
    thread.join()
    assert left == []
    assert "ZeroDivisionError" in caplog.text
    assert "Jane" not in caplog.text


def test_the_id_of_a_click_is_in_the_records_of_the_steps_of_its_run_and_no_image_name_is(
    store: Store, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    lines = JsonLines("worker")
    store.history.request(request(tasks=1), 1.0, "click-7")
    mover = Mover(tools, "me", Event())
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(lines.format(record))

    keep = Keep()
    logging.getLogger("slidegate").addHandler(keep)
    with caplog.at_level(logging.INFO, "slidegate"):
        assert mover.step()
    logging.getLogger("slidegate").removeHandler(keep)
    assert any('"request": "click-7"' in line and '"action": "step_done"' in line for line in said)
    assert not [line for line in said if "/images/" in line]
