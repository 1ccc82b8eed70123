# SPDX-License-Identifier: BSD-3-Clause
"""The worker: one small step at a time, each safe to repeat after a kill at any moment.

Between two system calls anywhere in a step the process may die. Then either nothing was written and the step
is done again, or all of it was. What others see (the site, the disk, where results go) is written so that
doing it twice is doing it once; the order is always: do it, then write that it was done.
"""

import logging
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from threading import Event

from slidegate.domain.errors import Outdated, SlidegateError
from slidegate.domain.events import Cancelled, Failed, StagingBegan
from slidegate.domain.states import State, Wanted
from slidegate.domain.values import RunId
from slidegate.sites.errors import LinkDown
from slidegate.store.database import StoreUnusable
from slidegate.store.queue import Claim
from slidegate.worker.collecting import collect, publish
from slidegate.worker.errors import NoLongerWanted
from slidegate.worker.holding import Holding
from slidegate.worker.presence import Presence
from slidegate.worker.staging import stage
from slidegate.worker.submitting import submit
from slidegate.worker.telling import in_words, trouble_of
from slidegate.worker.tools import NO_SPACE, Tools, key_of
from slidegate.worker.watching import watch_site

log = logging.getLogger(__name__)

_LOOK_FOR_DEAD_SECONDS = 2.0
_WAITS_FOR_EVER = frozenset({"busy", "limit", "scheduler-unknown", "round-too-early"})


class Worker:
    """Moves Tasks.

    Parameters
    ----------
    tools
        The store and the outside world.
    runs
        Only Tasks of these Runs, and the sites where they are; None for all. News of a site move all Tasks
        there, whosesoever they are.
    """

    def __init__(self, tools: Tools, runs: Collection[RunId] | None = None) -> None:
        self._tools = tools
        self._runs = runs
        self._sites = list(tools.gates)
        if runs is not None:
            self._sites = sorted({tools.store.runs.run(run)["site"] for run in runs})
        self._presence = Presence(tools.places.workers)
        self._owner = self._presence.owner
        self._stop = Event()
        self._free_the_dead()

    def step(self) -> bool:
        """Do one small thing.

        Returns
        -------
        False when there is nothing to be done just now; the caller then waits a little.
        """
        tools = self._tools
        if sum(self._watch(site) for site in self._sites):
            return True
        claim = tools.store.queue.claim(self._owner, tools.clock(), tools.pace.lease_seconds, self._runs)
        if claim is None:
            if tools.clock() - self._looked_at > _LOOK_FOR_DEAD_SECONDS:
                self._free_the_dead()
            # what writes the accounts of results takes long to load: better now than when a result is there
            import_module("slidegate.worker.crate")
            return False
        self._do(claim)
        return True

    def stop(self) -> None:
        """Let the step under way be given up, soon; from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Let sites free what is not needed any more, and go."""
        for site in self._sites:
            with suppress(StoreUnusable):
                self._tools.store.sites.hurry(site)
                self._watch(site)
        for gate in self._tools.gates.values():
            gate.close()
        self._presence.end()

    def _watch(self, site: str) -> bool:
        try:
            return watch_site(self._tools, site, self._owner)
        except StoreUnusable as error:  # its lease runs out, and whoever comes next asks again
            log.warning("%s", error.message, extra={"action": "watch_given_up", "site": site})
            return False

    def _free_the_dead(self) -> None:
        """Take over at once what workers of this home that were killed had in their hands."""
        queue = self._tools.store.queue
        self._looked_at = self._tools.clock()
        for owner in queue.owners(self._looked_at):
            if self._presence.is_dead(owner):
                queue.free(owner)
        self._presence.sweep()

    def _do(self, claim: Claim) -> None:
        """Do the step that a Task's state asks for; whatever happens, the Task is given back."""
        mates: list[Claim] = []
        not_before: float | None = None
        trouble: str | None = None
        try:
            with self._tools.hold(claim, self._stop) as hold:
                not_before = self._move(claim, hold, mates)
        except (Outdated, NoLongerWanted):
            log.info("step given up", extra={"action": "step_given_up", "task": claim.task})
        except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
            not_before, trouble = self._after(claim, in_words(error, f"task {claim.task}"))
        self._tools.store.queue.finish([claim, *mates], not_before, trouble)

    def _move(self, claim: Claim, hold: Holding, mates: list[Claim]) -> float | None:
        """Do it; return when the Task may be looked at again, None for at once."""
        tools = self._tools
        state = State(claim.row["state"])
        if claim.row["wanted"] == Wanted.CANCEL:
            self._cancel(claim, state)
            return None
        match state:
            case State.WAITING:
                tools.append(claim, StagingBegan(claim.task, state))
            case State.STAGING:
                stage(tools, claim, hold)
                return self._seal_at(claim)
            case State.SUBMITTING:
                submit(tools, claim, hold, mates)
            case State.COLLECTING:
                collect(tools, claim, hold)
            case State.PUBLISHING:
                publish(tools, claim, hold)
        return None

    def _seal_at(self, claim: Claim) -> float:
        """Return when a Task that is ready is handed in: at once if enough are, or no other is on its way."""
        now = self._tools.clock()
        counts = self._tools.store.runs.states().get(claim.run, {})
        ready = counts.get(State.SUBMITTING, 0)
        coming = counts.get(State.WAITING, 0) + counts.get(State.STAGING, 0)
        enough = ready >= self._tools.pace.seal_tasks
        return now if enough or not coming else now + self._tools.pace.seal_seconds

    def _cancel(self, claim: Claim, state: State) -> None:
        """Cancel a Task that is in nobody else's hands; the site is told if it may have heard of it."""
        if state == State.SUBMITTING and claim.row["submission"] is not None:
            site = self._tools.store.runs.run(claim.run)["site"]
            self._tools.gate(site).cancel([key_of(claim.row)])
        self._tools.append(claim, Cancelled(claim.task, state))

    def _after(self, claim: Claim, error: SlidegateError) -> tuple[float | None, str | None]:
        """Decide what a failed step means: try again later, or the Task has failed."""
        tries = int(claim.row["tries"]) + 1
        patient = isinstance(error, LinkDown) or error.code in _WAITS_FOR_EVER
        log.info(
            "step failed",
            extra={"action": "step_failed", "task": claim.task, "code": error.code, "tries": tries},
        )
        if error.code == NO_SPACE:
            space = self._tools.pace_at(self._tools.store.runs.run(claim.run)["site"]).space_seconds
            if space:
                return self._tools.clock() + space, trouble_of(error)
        if error.transient and (patient or tries < self._tools.pace.tries):
            return self._tools.clock() + self._tools.pace.pause(tries, True), trouble_of(error)
        self._fail(claim, error)
        return None, None

    def _fail(self, claim: Claim, error: SlidegateError) -> None:
        state = State(self._tools.store.runs.task(claim.task)["state"])
        failed = Failed(claim.task, state, error.code, error.message)
        try:
            self._tools.append(claim, failed)
        except Outdated:
            log.info("step given up", extra={"action": "step_given_up", "task": claim.task})
