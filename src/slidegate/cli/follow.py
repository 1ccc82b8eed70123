# SPDX-License-Identifier: BSD-3-Clause
"""Being the worker of one Run, and showing what happens, until it ends."""

import threading

from slidegate.cli.errors import Interrupted
from slidegate.cli.view import Watch
from slidegate.domain.values import RunId
from slidegate.wiring import House
from slidegate.worker import Worker
from slidegate.worker.views import RunView

_LOOK_SECONDS = 0.1
_PAUSE_SECONDS = 0.05
_ENDED = ("succeeded", "failed", "cancelled")


def follow(house: House, run: RunId) -> RunView:
    """Work for a Run and show its Tasks until all of them have ended; returns how it ended.

    The work is done beside, so that the screen moves while an image is converted. Interrupted, the Run stays
    as it is, and what the site computes goes on.
    """
    view = house.runs.show(run)
    if view.state in _ENDED:
        return view
    house.store.sites.hurry(view.site)  # somebody waits for it now
    stop = threading.Event()
    broken: list[BaseException] = []
    worker = house.worker([run])
    beside = threading.Thread(target=_work, args=(worker, stop, broken), name="slidegate-worker")
    beside.start()
    try:
        with Watch() as watch:
            while view.state not in _ENDED and beside.is_alive():
                watch.show(view)
                stop.wait(_LOOK_SECONDS)
                view = house.runs.show(run)
            watch.show(view)
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted. What the site computes goes on; the same command takes it up again, and "
            f"slidegate cancel {run[:8]} ends it."
        ) from None
    finally:
        stop.set()
        worker.stop()
        beside.join()
    if broken:
        raise broken[0]
    return house.runs.show(run)


def _work(worker: Worker, stop: threading.Event, broken: list[BaseException]) -> None:
    try:
        while not stop.is_set():
            if not worker.step():
                stop.wait(_PAUSE_SECONDS)
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
        broken.append(error)
    finally:
        worker.close()
