# SPDX-License-Identifier: BSD-3-Clause
"""The worker as a service, with the embedded site: many things at once, and an end when it is told to end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from slidegate.store import Store
from slidegate.wiring.gateways import Gateways
from slidegate.wiring.house import tools_of
from slidegate.worker.service import Service
from tests.acceptance.embedded import Place, check_one_effect

SECONDS = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("service"))
    made.prepare()
    return made


@contextmanager
def serving(place: Place, **limits: int) -> Iterator[tuple[Service, Event, list[bool]]]:
    """Run the service in a thread of this process until the block ends."""
    store = Store.open(place.settings.database)
    gateways = Gateways(place.settings, store, lambda _words: None)
    service = Service(lambda: tools_of(place.settings, store, gateways), **limits)
    stop, ended = Event(), []
    thread = Thread(target=lambda: ended.append(service.run(stop)))
    thread.start()
    try:
        yield service, stop, ended
    finally:
        stop.set()
        thread.join()
        store.close()


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_images_are_staged_submitted_computed_and_published_while_nobody_looks(place: Place) -> None:
    images = place.make_images(6)
    with serving(place) as (_, stop, ended), place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        wait_for(lambda: house.runs.show(run).state == "succeeded")
        assert {offer.site for offer in house.store.offers.all()} == {"local"}
        stop.set()
        began = time.monotonic()
        wait_for(lambda: bool(ended))
        assert time.monotonic() - began < 5
        assert ended == [True]
        assert house.store.queue.owners(time.time()) == []
    assert not list((place.settings.home / "workers").iterdir())
    assert not list((place.settings.home / "staging").glob("*"))
    check_one_effect(place, run, 6)
