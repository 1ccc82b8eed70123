# SPDX-License-Identifier: BSD-3-Clause
"""Moving Tasks that are in nobody's hands, one small step at a time, each safe to repeat after any kill.

Between two system calls anywhere in a step the process may die. Then either nothing was written and the step
is done again, or all of it was. What others see (the site, the disk, where results go) is written so that
doing it twice is doing it once; the order is always: do it, then write that it was done.
"""

import logging
from collections.abc import Collection
from threading import Event

from slidegate.domain.errors import Outdated, SlidegateError, UnknownRun
from slidegate.domain.events import Cancelled, Failed, StagingBegan
from slidegate.domain.logs import about
from slidegate.domain.states import State, Wanted
from slidegate.domain.values import RunId
from slidegate.sites.errors import LinkDown
from slidegate.store.queue import Claim
from slidegate.worker.collecting import collect, publish
from slidegate.worker.errors import InOtherHands, NoLongerWanted, NoSpaceHere, WorkersDied
from slidegate.worker.holding import Holding
from slidegate.worker.room import Room
from slidegate.worker.staging import stage
from slidegate.worker.submitting import submit
from slidegate.worker.telling import in_words, trouble_of
from slidegate.worker.tools import NO_SPACE, Tools, key_of

log = logging.getLogger(__name__)

STAGES = frozenset({State.WAITING, State.STAGING})
QUICK = frozenset({State.SUBMITTING, State.COLLECTING, State.PUBLISHING})
"""Steps that do not wait behind images that are being staged."""
_WAITS_FOR_EVER = frozenset({"busy", "limit", "scheduler-unknown", "round-too-early"})
_ELSEWHERE_SECONDS = 1.0
_REQUESTS_KEPT = 1000
_NO_ROOM = "The disk of slidegate's computer is nearly full; images go on their way when there is room."
_NO_ROOM_SECONDS = 30.0


class Mover:
    """Moves one Task at a time.

    Parameters
    ----------
    tools
        The store and the outside world.
    owner
        Under which name Tasks are claimed.
    stop
        Set when the step under way shall be given up.
    runs
        Only Tasks of these Runs; None for all.
    states
        Only Tasks in these states; None for all that are in nobody's hands.
    room
        Says where no more may be staged just now; None sets no limit.
    """

    def __init__(
        self,
        tools: Tools,
        owner: str,
        stop: Event,
        runs: Collection[RunId] | None = None,
        states: Collection[State] | None = None,
        room: Room | None = None,
    ) -> None:
        self._tools = tools
        self._owner = owner
        self._stop = stop
        self._runs = runs
        self._states = states
        self._room = room
        self._requests: dict[RunId, str | None] = {}

    def step(self) -> bool:
        """Do one small thing; returns False when there is nothing to be done just now."""
        tools = self._tools
        full = frozenset[str]() if self._room is None else self._room.full()
        states = self._states if full is not None else frozenset(self._states or State) - STAGES
        claim = tools.store.queue.claim(
            self._owner, tools.clock(), tools.pace.lease_seconds, self._runs, states, full or ()
        )
        if claim is None:
            if full is None:
                self._say_why_nothing_is_staged()
            return False
        with about(run=claim.run, task=claim.task, request=self._request_of(claim.run)):
            self._do(claim)
        return True

    def _say_why_nothing_is_staged(self) -> None:
        """Let one Task that would be staged say why it is not; the next look takes the next one."""
        tools, now = self._tools, self._tools.clock()
        staged = STAGES & frozenset(self._states or State)
        claim = tools.store.queue.claim(self._owner, now, tools.pace.lease_seconds, self._runs, staged)
        if claim is not None:
            tools.store.queue.finish([claim])
            tools.store.queue.put_off(claim.task, now + _NO_ROOM_SECONDS, trouble_of(NoSpaceHere(_NO_ROOM)))

    def _request_of(self, run: RunId) -> str | None:
        """Return what logs call the request that asked for a Run."""
        if run not in self._requests:
            if len(self._requests) >= _REQUESTS_KEPT:
                self._requests.clear()
            try:
                self._requests[run] = self._tools.store.runs.run(run)["request"]
            except UnknownRun:
                return None
        return self._requests[run]

    def _do(self, claim: Claim) -> None:
        """Do the step that a Task's state asks for; whatever happens, the Task is given back."""
        mates: list[Claim] = []
        not_before: float | None = None
        trouble: str | None = None
        try:
            if claim.row["deaths"] >= self._tools.pace.deaths and claim.row["wanted"] == Wanted.RUN:
                raise WorkersDied
            with self._tools.hold(claim, self._stop) as hold:
                not_before = self._move(claim, hold, mates)
            log.info("step done", extra={"action": "step_done", "state": claim.row["state"]})
        except (Outdated, NoLongerWanted):
            log.info("step given up", extra={"action": "step_given_up", "state": claim.row["state"]})
        except InOtherHands:
            not_before = self._tools.clock() + _ELSEWHERE_SECONDS
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
        counts = self._tools.store.runs.counts(claim.run)
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
        extra = {"action": "step_failed", "code": error.code, "tries": tries, "state": claim.row["state"]}
        log.info("step failed", extra=extra)
        if error.code == NO_SPACE:
            space = self._tools.pace_at(self._tools.store.runs.run(claim.run)["site"]).space_seconds
            if space:
                return self._tools.clock() + space, trouble_of(error)
        acting = self._tools.acting
        if acting is not None and acting.waits_for(error, tries):
            return self._tools.clock() + self._tools.pace.pause(tries, error.transient), trouble_of(error)
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
            log.info("step given up", extra={"action": "step_given_up", "state": state})
