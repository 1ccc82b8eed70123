# SPDX-License-Identifier: BSD-3-Clause
"""What every step of a worker needs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from slidegate.cache import Cache
from slidegate.domain import events
from slidegate.domain.errors import UnknownSite, UnknownSource
from slidegate.domain.events import CollectAgain, Failed, Move, Retried, StagedDataLost, TaskEvent
from slidegate.domain.states import FINISHED, State
from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId
from slidegate.sites import Gate
from slidegate.sources.base import ImageSource, ResultSink
from slidegate.store import Store
from slidegate.store.history import Held
from slidegate.store.queue import Claim
from slidegate.worker.acting import Acting
from slidegate.worker.errors import DataKeepsVanishing
from slidegate.worker.gates import LiveGates
from slidegate.worker.holding import Clock, Holding
from slidegate.worker.places import Places

NO_SPACE = "no-space"  # how a gate says that its disk is full


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a worker is.

    Attributes
    ----------
    lease_seconds
        How long a Task stays with a worker that says nothing.
    seal_tasks, seal_seconds
        A Submission is sealed when so many Tasks are ready, or so long after the first one was.
    poll_seconds, poll_seconds_most
        How often a site is asked for news: at first, and at most when nothing has changed for long.
    retry_seconds, retry_seconds_most, repair_seconds_most
        How long to wait after the first failure of a step, or of asking a site; then twice as long each time,
        up to the second. Up to the third where only a person can mend it.
    tries
        How often a step is tried that failed for a reason that may pass.
    deaths
        How many workers may die with the same Task or wish in their hands, in a row, before it has failed:
        what makes a library crash must not keep workers from everything else.
    restagings
        How often an image is brought to a site, or a result fetched, again because data vanished, per try
        that a person asked for.
    rounds
        After how many crews in a row that achieved nothing a Submission is given up; where more of the same
        cannot help, as with time limits, the first such crew is the last.
    space_seconds
        How long to wait when a site has no space left, before it is asked again, without an end; 0 where that
        counts as any other failure.
    cause_seconds
        How long to wait, when a process at a site was killed, for the scheduler to say why.
    offers_seconds
        How often a service asks a site what it offers.
    """

    lease_seconds: float = 30.0
    seal_tasks: int = 200
    seal_seconds: float = 0.3
    poll_seconds: float = 0.1
    poll_seconds_most: float = 1.0
    retry_seconds: float = 0.5
    retry_seconds_most: float = 15.0
    repair_seconds_most: float = 300.0
    tries: int = 3
    deaths: int = 6
    restagings: int = 3
    rounds: int = 3
    space_seconds: float = 0.0
    cause_seconds: float = 90.0
    offers_seconds: float = 60.0

    def pause(self, tries: int, transient: bool) -> float:
        """Return how long to wait after something failed so many times in a row."""
        most = self.retry_seconds_most if transient else self.repair_seconds_most
        return min(most, self.retry_seconds * float(2 ** min(tries - 1, 20)))

    def pause_after_deaths(self, deaths: int) -> float:
        """Return how many seconds to leave alone what so many workers have died with; at first none."""
        return 0.0 if deaths < 2 else self.pause(deaths - 1, transient=False)


@dataclass(frozen=True)
class Tools:
    """The store, the outside world and the time, as a worker sees them.

    Attributes
    ----------
    sources
        ImageSources by name, for those that are the same for everybody.
    sinks
        Makes the ResultSink that ``out`` of a Run names, likewise.
    gates
        Gates by what Runs call them: ``local``, or site and key.
    paces
        How patient a worker is with one of them, where that differs from ``pace``.
    pace_afar
        How patient a worker is with all others that are on other computers: those named by site and key.
    cache
        Where the pages find images and logs; None without pages.
    acting
        Where people have rights of their own; None where there is no such place.
    """

    store: Store
    sources: Mapping[str, ImageSource]
    sinks: Callable[[str], ResultSink]
    gates: Mapping[str, Gate]
    clock: Clock
    places: Places
    pace: Pace = field(default_factory=Pace)
    paces: Mapping[str, Pace] = field(default_factory=dict)
    pace_afar: Pace | None = None
    cache: Cache | None = None
    acting: Acting | None = None

    def source(self, ref: ImageRef, person: str) -> ImageSource:
        """Return the source of an image, which reads it for a person."""
        if self.acting is not None and ref.source == self.acting.name:
            return self.acting.source(person)
        found = self.sources.get(ref.source)
        if found is None:
            raise UnknownSource
        return found

    def sink(self, out: str, person: str) -> ResultSink:
        """Return what writes results of a person's Run to the place that the Run names."""
        if self.acting is not None and self.acting.serves(out):
            return self.acting.sink(out, person)
        return self.sinks(out)

    def check_rights(self, person: str, images: Collection[ImageRef], out: str) -> None:
        """Ask whether a person may still read images, and have results written where a Run says.

        Nothing is asked where rights are not people's own.

        Raises
        ------
        SlidegateError
            What keeps the person from the first of them.
        """
        if self.acting is None:
            return
        mine = [image for image in images if image.source == self.acting.name]
        for refusal in self.acting.refusals(person, mine, self.acting.serves(out)).values():
            raise refusal

    def gate(self, site: str) -> Gate:
        """Return the gate of a site."""
        found = self.gates.get(site)
        if found is None:
            raise UnknownSite(f"There is no site {site!r}.")
        return found

    def pace_at(self, site: str) -> Pace:
        """Return how patient a worker is with a site."""
        far = self.pace_afar if "/" in site else None
        return self.paces.get(site, far or self.pace)

    def hang_up(self, quiet_seconds: float = 0.0) -> None:
        """Close the channels to all sites, after a last look at their records; asking opens others.

        Sessions of people that were not used for some minutes end, too; all of them without `quiet_seconds`.

        Parameters
        ----------
        quiet_seconds
            Only those that were not used for so long, where that is known.

        Raises
        ------
        SiteError
            A site's record was not as it should be.
        """
        if self.acting is not None:
            self.acting.hang_up(all_of_it=not quiet_seconds)
        if isinstance(self.gates, LiveGates):
            quiet: Iterable[Gate] = self.gates.quiet(quiet_seconds)
        else:
            quiet = () if quiet_seconds else self.gates.values()
        for gate in quiet:
            gate.close()

    def hold(self, claim: Claim, stop: Event | None = None) -> Holding:
        """Return a context that keeps a Task while something takes long, unless the worker shall stop."""
        return Holding(self.store, [claim], self.clock, self.pace.lease_seconds, stop)

    def append(self, claim: Claim, event: events.Event) -> None:
        """Append an Event of a Task that is held."""
        self.store.history.append(claim.run, event, self.clock(), claim.held)

    def lost_data(self, row: Mapping[str, Any], reason: str) -> StagedDataLost | Failed:
        """Return the Event that sends a Task back to staging with a new Attempt; its end, if too often."""
        run, task, state = RunId(row["run"]), TaskId(row["id"]), State(row["state"])
        again = StagedDataLost(task, state, run, row["attempt"] + 1, reason)
        return self._too_often(run, again, reason) or again

    def lost_result(self, row: Mapping[str, Any], reason: str) -> CollectAgain | Failed:
        """Return the Event that lets the result of a Task be fetched again; its end, if too often."""
        again = CollectAgain(TaskId(row["id"]), State(row["state"]))
        return self._too_often(RunId(row["run"]), again, reason) or again

    def _too_often(self, run: RunId, again: Move, reason: str) -> Failed | None:
        """Return a Task's end, if the same befell it as often as it may since a person asked for it."""
        losses = 0
        for event in self.store.history.of(run):
            if isinstance(event, TaskEvent) and event.task == again.task:
                losses = 0 if _is_asked_for(event) else losses + isinstance(event, type(again))
        if losses < self.pace.restagings:
            return None
        error = DataKeepsVanishing(f"Gave up after {losses} more tries: {reason}")
        return Failed(again.task, again.frm, error.code, error.message)


def _is_asked_for(event: events.Event) -> bool:
    """Say whether a person asked for what follows: another try, or a result that exists."""
    return isinstance(event, Retried) or (isinstance(event, CollectAgain) and event.frm in FINISHED)


def ref_of(row: Mapping[str, Any]) -> ImageRef:
    """Return the image of a Task's row."""
    return ImageRef(row["source"], row["image"])


def key_of(row: Mapping[str, Any]) -> AttemptKey:
    """Return the current Attempt of a Task's row."""
    return AttemptKey(row["attempt_key"])


def at_attempt(row: Mapping[str, Any]) -> Held:
    """Return the condition that the Task still is at this Attempt."""
    return Held(attempt_key=key_of(row))


def digest(value: object) -> Digest:
    """Return a digest that came from a row or an answer."""
    return Digest(str(value))
