# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Making Runs anew of what sites have kept of them, when the database was lost and no backup is left.

A site keeps beside each Attempt a note that says which Run it belongs to, whose it is, and with what it was
started. Names and places of images are not in it: they could name patients. So a Run that comes back knows
its images by their numbers and contents only, and results go to a place that is chosen now.

What a site says is believed as far as it holds together: names of Runs and Attempts follow from the rest.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate.domain.errors import SlidegateError
from slidegate.domain.events import Event, Failed, NewTask, Retried, RunRequested, Staged, StagingBegan
from slidegate.domain.run import content_with, identity, run_id, task_id
from slidegate.domain.states import State
from slidegate.domain.values import Digest, Release, RunId, TaskId, attempt_key, digest_of
from slidegate.store.history import NOTHING_HELD
from slidegate.store.people import check_name
from slidegate.worker.tools import Tools

log = logging.getLogger(__name__)

_TASK = re.compile("([0-9a-f]{12})[.]([1-9][0-9]{0,4})")
_DIGEST = re.compile("[0-9a-f]{64}")
_MOST_TRIES = 1000
_MOST_TASKS = 20_000


class ImageNotKnown(SlidegateError):
    """The database was lost before this image reached the site, which alone is asked: choose it again."""

    code = "image-not-known"


class TryLost(SlidegateError):
    """What became of this try was lost with the database; a later one is known."""

    code = "try-lost"


@dataclass(frozen=True, slots=True)
class Kept:
    """One Attempt as its note tells of it; ``tasks`` is how many Tasks its Run has."""

    run: RunId
    number: int
    attempt: int
    generation: int
    tasks: int
    person: str
    release: Digest
    identity: Digest
    parameters: Mapping[str, Any]
    content: Digest
    input: Digest
    regions: Digest | None = None


def rebuild(tools: Tools, site: str, out_of: Callable[[RunId], str]) -> tuple[RunId, ...]:
    """Make all Runs anew that a site keeps something of and that the store does not know.

    Nobody else may use the store meanwhile. Safe to repeat, also after it was interrupted.

    Parameters
    ----------
    out_of
        Returns where results of a Run shall go.

    Returns
    -------
    The Runs that came back. Their Tasks are handed in again by a worker, under the names that they had: the
    site knows them, and does nothing twice.
    """
    gate = tools.gate(site)
    releases = {release.digest: release for release in gate.hello().releases}
    runs: dict[RunId, dict[int, Kept]] = {}
    for said in gate.status("").attempts:
        kept = kept_of(said)
        if kept is None or kept.release not in releases:
            log.info("an attempt tells of no run", extra={"action": "not_rebuilt"})
            continue
        known = runs.setdefault(kept.run, {}).get(kept.number)
        if known is None or known.attempt < kept.attempt:
            runs[kept.run][kept.number] = kept
    return tuple(
        run
        for run, tasks in runs.items()
        if _make(tools, site, tasks, releases[next(iter(tasks.values())).release], out_of(run))
    )


def kept_of(said: Mapping[str, Any]) -> Kept | None:
    """Read the note of an Attempt; None where there is none of this form, or where it contradicts itself."""
    note = said.get("note")
    if not isinstance(note, dict):
        return None
    named = _TASK.fullmatch(str(note.get("task")))
    digests = [note.get(name) for name in ("release", "identity", "content", "input")]
    regions = note.get("regions")
    digests += [] if regions is None else [regions]
    numbers = [note.get(name) for name in ("attempt", "tasks")]
    if named is None or not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in digests):
        return None
    if not all(type(one) is int and one > 0 for one in numbers) or not isinstance(note["parameters"], dict):
        return None
    run, number = RunId(named[1]), int(named[2])
    release, request, content, staged = (Digest(str(one)) for one in digests[:4])
    attempt, tasks = (int(str(one)) for one in numbers)
    tried = [one for one in range(_MOST_TRIES) if run_id(request, one) == run]
    fits = tried and number <= tasks <= _MOST_TASKS and attempt <= _MOST_TRIES
    try:
        check_name(str(note.get("person")))
    except SlidegateError:
        return None
    if not fits or attempt_key(run, task_id(run, number), attempt) != said.get("attempt"):
        return None
    return Kept(
        run, number, attempt, tried[0], tasks, str(note["person"]), release, request, note["parameters"],
        content, staged, None if regions is None else Digest(str(regions)),
    )  # fmt: skip


def _make(tools: Tools, site: str, tasks: Mapping[int, Kept], release: Release, out: str) -> bool:
    """Make one Run anew; return whether it was not there."""
    now, one = tools.clock(), next(iter(tasks.values()))
    known = tools.store.history.of(one.run)
    if len(known) > 1:
        return False
    tools.store.people.add(one.person, now)
    tools.store.releases.remember(release)
    contents = [content_with(kept.content, kept.regions) for kept in tasks.values()]
    is_whole = len(tasks) == one.tasks and one.identity == identity(
        one.person, one.release, one.parameters, contents
    )
    # whoever asks for the same again finds it only if all of it is here
    request = one.identity if is_whole else Digest(digest_of(["rebuilt", one.run]))
    if not is_whole:
        tools.store.runs.spend(one.identity, one.generation + 1)
    made = RunRequested(
        run=one.run, identity=request, generation=one.generation, person=one.person, site=site,
        workflow=release.name, version=release.version, release=release.digest,
        parameters=dict(one.parameters), out=out,
        tasks=tuple(_new_task(one.run, number, tasks.get(number)) for number in range(1, one.tasks + 1)),
    )  # fmt: skip
    tools.store.history.request(made, now)
    events = [
        event
        for new, number in zip(made.tasks, range(1, one.tasks + 1), strict=True)
        for event in _so_far(one.run, new.task, tasks.get(number))
    ]
    tools.store.history.append_all(one.run, [(event, NOTHING_HELD) for event in events], now)
    extra = {"action": "rebuilt", "run": one.run, "tasks": one.tasks, "known": len(tasks)}
    log.info("a run was made anew of what its site has kept", extra=extra)
    return True


def _new_task(run: RunId, number: int, kept: Kept | None) -> NewTask:
    content = Digest(digest_of(["lost", run, number])) if kept is None else kept.content
    regions = None if kept is None else kept.regions
    return NewTask(task_id(run, number), "folder", "", f"image{number}", "", content, regions)


def _so_far(run: RunId, task: TaskId, kept: Kept | None) -> Sequence[Event]:
    """Return what happened to a Task, as far as it matters for what is to be done."""
    if kept is None:
        return [Failed(task, State.WAITING, ImageNotKnown.code, ImageNotKnown().message)]
    staged = [StagingBegan(task, State.WAITING), Staged(task, State.STAGING, kept.input)]
    if kept.attempt == 1:
        return staged
    lost = Failed(task, State.WAITING, TryLost.code, TryLost().message)
    return [lost, Retried(task, State.FAILED, run, kept.attempt), *staged]
