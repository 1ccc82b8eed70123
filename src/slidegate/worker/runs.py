# SPDX-License-Identifier: BSD-3-Clause
"""What people ask of Runs. The command line parses and prints; this decides."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from slidegate.domain.errors import (
    NothingSelected,
    RunStillActive,
    SlidegateError,
    UnknownRun,
    UnknownWorkflow,
)
from slidegate.domain.events import CollectAgain, Event, NewTask, OutChosen, RunRequested
from slidegate.domain.parameters import complete
from slidegate.domain.run import content_with, identity, kept_result, run_id, task_id
from slidegate.domain.states import FINISHED, State
from slidegate.domain.values import (
    Digest,
    ImageRef,
    Release,
    RunId,
    Selection,
    TaskId,
    attempt_key,
    digest_of,
)
from slidegate.sites.errors import Gone
from slidegate.sites.gate import Hello
from slidegate.sources.base import ImageSource
from slidegate.sources.errors import SourceError
from slidegate.sources.folder import FolderSource
from slidegate.store.history import NOTHING_HELD
from slidegate.worker.logs import end_of_log
from slidegate.worker.regions import regions_now, take_regions
from slidegate.worker.staging import content_of
from slidegate.worker.tools import Tools, key_of
from slidegate.worker.views import RunView, run_view

_UNUSABLE = "unusable"
"""Stands for the fingerprint of an image that its source refuses."""
Outcome = Literal["created", "resumed", "retried", "published-again", "finished"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Requested:
    """What became of a request.

    Attributes
    ----------
    outcome
        ``created`` (a new Run), ``resumed`` (one that is under way), ``retried`` (one that had failed or was
        cancelled goes on), ``published-again`` (a finished one goes to another place), ``finished`` (nothing
        is left to do).
    """

    run: RunId
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that is kept on this computer for no unfinished Task."""

    path: Path
    bytes: int


class Runs:
    """Asks for Runs, shows them, cancels, retries and deletes them.

    Parameters
    ----------
    tools
        The store and the outside world.
    preferred
        The Release to take of a workflow, by its name, where the embedded site has several of it. It may be
        filled later, when that site is set up; other sites give their newest version.
    """

    def __init__(self, tools: Tools, preferred: Mapping[str, str] | None = None) -> None:
        self.preferred = {} if preferred is None else preferred
        self._tools = tools
        self._store = tools.store

    # asking

    def request(
        self,
        person: str,
        workflow: str,
        images: Sequence[str],
        parameters: Mapping[str, Any],
        out: str,
        again: bool = False,
        site: str = "local",
        source: str = "folder",
        progress: Progress | None = None,
        since: float | None = None,
        request_id: str | None = None,
        regions: bool = True,
    ) -> Requested:
        """Ask for a Run, or take up the one that the same person asked for before.

        The same person, image contents, regions, Release and parameters are the same Run, wherever the images
        lie and whatever they are called; one that has not succeeded at another site is left alone there. Safe
        to repeat, also at the same time from several processes.

        Parameters
        ----------
        person
            Who asks.
        workflow
            Its name, or ``name@version``.
        images
            What the source finds images by.
        out
            Where results go. When the Run goes elsewhere so far, it goes here from now on; finished results
            are published here too.
        again
            Make another Run even so.
        progress
            Called with (images read, images).
        since
            Asking `again` is asking for one that was made at or after this time, seconds since 1970: so a
            request that was interrupted can be repeated without making two.
        request_id
            What logs call the request, if it came from outside.
        regions
            Whether regions that people drew are taken along, where the workflow takes any.

        Raises
        ------
        UnknownWorkflow, BadParameter, NothingSelected
            The request makes no sense; nothing was written.
        SlidegateError
            The site does not answer, or there is no such image.
        """
        hello = self._tools.gate(site).hello()
        release = choose_release(hello, workflow, self.preferred if site == "local" else {})
        values = complete(release.schema, parameters)
        found = self._tools.source(ImageRef(source, ""), person)
        chosen = Selection.of([ref for where in images for ref in found.find(where)])
        if not len(chosen):
            raise NothingSelected
        with_regions = regions and take_regions(release.manifest)
        described = []
        for number, ref in enumerate(chosen):
            described.append(self._describe(found, ref, with_regions))
            if progress is not None:
                progress(number + 1, len(chosen))
        contents = [content_with(image.content, image.regions) for image in described]
        request = identity(person, release.digest, values, contents)
        known, generation = self._store.runs.newest(request)
        if known is not None and self._is_it(known, site, again, since):
            return Requested(known, self._take_up(known, out))
        event = self._new_run(person, request, generation, release, values, out, site, described)
        self._store.releases.remember(release)
        if self._store.history.request(event, self._tools.clock(), request_id):
            return Requested(event.run, "created")
        return Requested(event.run, self._take_up(event.run, out))

    def workflows(self, site: str = "local") -> tuple[Release, ...]:
        """Return the Releases that may be started at a site."""
        return self._tools.gate(site).hello().releases

    def _is_it(self, run: RunId, site: str, again: bool, since: float | None) -> bool:
        """Say whether a Run that exists is what a request at a site means."""
        if again:
            return since is not None and self._store.runs.run(run)["at"] >= since
        return self._serves(run, site)

    def _serves(self, run: RunId, site: str) -> bool:
        """Say whether a Run that exists does for a request at a site: it is there, or it has succeeded."""
        ended = all(task["state"] == State.SUCCEEDED for task in self._store.runs.tasks(run))
        return ended or self._store.runs.run(run)["site"] == site

    def _describe(self, source: ImageSource, ref: ImageRef, with_regions: bool) -> NewTask:
        """Return a Task without its name; of an image that cannot be read, one that will say why."""
        fingerprint = _UNUSABLE
        try:
            fingerprint = source.fingerprint(ref)
            name = source.describe(ref).name
            content = content_of(self._tools, source, ref, fingerprint)
        except SlidegateError as error:
            if not _is_of_image(error, ref, fingerprint):
                raise
            name = Path(ref.image).name
            content = digest_of(["unreadable", ref.source, ref.image, fingerprint])
            with_regions = False
        regions = regions_now(source, ref) if with_regions else None
        return NewTask(TaskId(""), ref.source, ref.image, name, fingerprint, content, regions)

    def _new_run(
        self,
        person: str,
        request: Digest,
        generation: int,
        release: Release,
        values: Mapping[str, Any],
        out: str,
        site: str,
        described: Sequence[NewTask],
    ) -> RunRequested:
        run = run_id(request, generation)
        tasks = tuple(
            replace(image, task=task_id(run, number)) for number, image in enumerate(described, start=1)
        )
        return RunRequested(
            run=run,
            identity=request,
            generation=generation,
            person=person,
            site=site,
            workflow=release.name,
            version=release.version,
            release=release.digest,
            parameters=values,
            out=out,
            tasks=tasks,
        )

    def _take_up(self, run: RunId, out: str) -> Outcome:
        """Make a Run that exists do what is asked for now."""
        retried = self.retry(run)
        republished = self._publish_at(run, out)
        tasks = self._store.runs.tasks(run)
        if retried:
            return "retried"
        if republished:
            return "published-again"
        return "finished" if all(State(task["state"]) in FINISHED for task in tasks) else "resumed"

    def _publish_at(self, run: RunId, out: str) -> int:
        """Let all results of a Run lie at a place; return how many must go there anew."""
        row = self._store.runs.run(run)
        there: set[TaskId] = set()
        if row["out"] != out:
            self._append(run, [OutChosen(out)])
        if row["out"] == out or not self._is_beside(row["out"], out):
            there = {one.task for one in self._tools.sink(out, row["person"]).find_published(run)}
        events: list[Event] = [
            CollectAgain(TaskId(task["id"]), State.SUCCEEDED)
            for task in self._store.runs.tasks(run)
            if task["state"] == State.SUCCEEDED and task["id"] not in there
        ]
        self._append(run, events)
        return len(events)

    def _is_beside(self, before: str, out: str) -> bool:
        """Say whether results lie beside the images already, and only more of them is wanted there now."""
        acting = self._tools.acting
        return acting is not None and acting.serves(before) and acting.serves(out)

    def _append(self, run: RunId, events: Sequence[Event]) -> None:
        if events:
            pairs = [(event, NOTHING_HELD) for event in events]
            self._store.history.append_all(run, pairs, self._tools.clock())

    # looking

    def find(self, name: str) -> RunId:
        """Return the Run that a person means by the beginning of its name, or by ``last``."""
        return self._store.runs.find(name)

    def list(self) -> tuple[RunView, ...]:
        """Return all Runs, newest first."""
        return tuple(self.show(RunId(row["id"])) for row in self._store.runs.all())

    def show(self, run: RunId) -> RunView:
        """Return a Run as it is known now."""
        rows = self._store.runs
        row = rows.run(run)
        site = self._store.sites.row(row["site"])
        submissions = rows.submissions(run)
        log_end = partial(end_of_log, self._tools)
        return run_view(row, rows.tasks(run), rows.last_change(run), site, submissions, log_end)

    def log(self, run: RunId, number: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Yield (image name, piece of log) of a Run's Tasks, or of one of them.

        The log is read from the site while it is kept there, then from this computer.

        Raises
        ------
        UnknownRun
            There is no such Task.
        """
        row = self._store.runs.run(run)
        tasks = [task for task in self._store.runs.tasks(run) if number in (None, task["number"])]
        if not tasks:
            raise UnknownRun(f"Run {run} has no image number {number}.")
        gate = self._tools.gate(row["site"])
        for task in tasks:
            try:
                for piece in gate.log(key_of(task)):
                    yield task["name"], piece
            except Gone:
                kept = self._tools.places.logs / key_of(task)
                if kept.is_file():
                    yield task["name"], kept.read_bytes()

    # changing

    def cancel(self, run: RunId) -> int:
        """Wish a Run cancelled; it is when its Tasks say so. Returns how many Tasks were not yet to be."""
        return self._store.asking.cancel(run, self._tools.clock())

    def retry(self, run: RunId) -> int:
        """Let the Tasks that failed or were cancelled go on; returns how many.

        A Task whose result exists goes on from there; another is tried again, as a new Attempt.
        """
        return self._store.asking.retry(run, self._tools.clock())

    def delete(self, run: RunId, results: bool = False) -> tuple[str, ...]:
        """Delete a Run: its rows, its history and what is kept of it on this computer.

        The rows go last, so that what was interrupted can be repeated.

        Parameters
        ----------
        results
            Also remove what was published, wherever results of it went, where it was not changed since.

        Returns
        -------
        What was removed, in words.

        Raises
        ------
        RunStillActive
            It has to be cancelled first. Nothing was removed.
        """
        row = self._store.runs.run(run)
        tasks = self._store.runs.tasks(run)
        if run in self._store.runs.unfinished():
            raise RunStillActive
        removed = [f"run {run}: {len(tasks)} tasks and their history"]
        for out in self._outs(run) if results else ():
            removed += self._remove_results(run, out, row["person"])
        for task in tasks:
            self._remove_copy(run, task)
            for number in range(1, task["attempt"] + 1):
                key = attempt_key(run, TaskId(task["id"]), number)
                shutil.rmtree(self._tools.places.fetched(key), ignore_errors=True)
                (self._tools.places.logs / key).unlink(missing_ok=True)
        self._store.runs.delete(run)
        return tuple(removed)

    def _remove_copy(self, run: RunId, task: Mapping[str, Any]) -> None:
        """Remove the copy of a Task's result that the pages have."""
        cache = self._tools.cache
        if cache is not None and task["output"] is not None:
            kept = cache.tree(kept_result(run, TaskId(task["id"]), Digest(task["output"])))
            if kept is not None:
                shutil.rmtree(kept, ignore_errors=True)

    def _remove_results(self, run: RunId, out: str, person: str) -> tuple[str, ...]:
        """Remove what was published at a place; return what that was, in words."""
        acting = self._tools.acting
        if acting is not None and acting.serves(out):
            count = acting.undo(run, out, person)
            return (f"{count} results, tables and files in OMERO",) if count else ()
        sink = self._tools.sink(out, person)
        removed = []
        for one in sink.find_published(run):
            sink.undo(one)
            removed.append(f"results in {one.where}")
        return tuple(removed)

    def _outs(self, run: RunId) -> tuple[str, ...]:
        """Return every place that results of a Run were to go to."""
        outs = (e.out for e in self._store.history.of(run) if isinstance(e, RunRequested | OutChosen))
        return tuple(dict.fromkeys(outs))

    def clean(self, dry_run: bool = False) -> tuple[Leftover, ...]:
        """Remove what killed commands left on this computer; returns what was, or would be, removed."""
        active = [
            task
            for run in self._store.runs.unfinished()
            for task in self._store.runs.tasks(run)
            if State(task["state"]) not in FINISHED
        ]
        left = []
        for path in self._tools.places.leftovers(
            {task["id"] for task in active},
            {str(task["input"]) for task in active},
            {task["attempt_key"] for task in active},
        ):
            size = sum(found.lstat().st_size for found in path.rglob("*") if not found.is_dir())
            left.append(Leftover(path, size))
            if not dry_run:
                shutil.rmtree(path, ignore_errors=True)
        return tuple(left)


def _is_of_image(error: SlidegateError, ref: ImageRef, fingerprint: str) -> bool:
    """Say whether an image cannot be read, and not all that its source holds, or just now."""
    if ref.source == FolderSource.name:
        return fingerprint != _UNUSABLE
    return isinstance(error, SourceError) and error.is_of_image and not error.transient


def choose_release(hello: Hello, workflow: str, prefer: Mapping[str, str]) -> Release:
    """Return the Release of a site that a request means.

    Parameters
    ----------
    workflow
        Its name, or ``name@version``; without a version the newest.
    prefer
        The Release to take of a workflow, by its name, where there are several.

    Raises
    ------
    UnknownWorkflow
        The site has none of that name.
    """
    name, _, version = workflow.partition("@")
    found = [each for each in hello.releases if each.name == name and version in ("", each.version)]
    if not found:
        known = ", ".join(sorted({each.name for each in hello.releases})) or "none"
        raise UnknownWorkflow(f"The site {hello.site} has no workflow {workflow!r}. It has: {known}.")
    preferred = prefer.get(name)
    return max(found, key=lambda each: (each.digest == preferred, _version(each.version), each.digest))


def _version(text: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts versions by their numbers."""
    return tuple(
        (int(part), "") if part.isdigit() else (-1, part) for part in text.replace("-", ".").split(".")
    )
