# SPDX-License-Identifier: BSD-3-Clause
"""Commands carried out on a server: it asks and works; this process looks, and fetches results."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from slidegate.cli.place import Line, Offered, Progress
from slidegate.client import Client, NotFound, Run, Task
from slidegate.domain.errors import BadRequest, NothingSelected, UnknownRun
from slidegate.domain.states import State
from slidegate.domain.text import plain
from slidegate.domain.values import RunId, TaskId

if TYPE_CHECKING:
    from slidegate.client import Wish
    from slidegate.worker.runs import Requested
    from slidegate.worker.views import RunView, TaskView

_IMAGE = re.compile(r"[^:]+:.*\.(tiff?|zarr)(#.*)?", re.IGNORECASE | re.DOTALL)
_FOLDER = re.compile("[^:/]+:.*", re.DOTALL)
_WHOLE = re.compile("[0-9a-f]{12}")
_LOOK_SECONDS = 1.0


class There:
    """See slidegate.cli.place.Place.

    Parameters
    ----------
    client
        The server, signed in at.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._summaries: dict[str, dict[str, Any]] = {}

    def workflows(self, site: str) -> Sequence[Offered]:
        """See Place."""
        found = [
            Offered(
                each.name, each.version, each.release, each.title, each.description, each.schema, each.outputs
            )
            for each in self._client.workflows(site)
        ]
        return sorted(found, key=lambda each: (each.name, each.version))

    def request(
        self,
        workflow: str,
        images: Sequence[str],
        parameters: Mapping[str, Any],
        out: Path | None,
        again: bool,
        site: str,
        progress: Progress,
        regions: bool,
    ) -> "Requested":
        """See Place; images are names of the server, and so are folders, for all that lies in them."""
        from slidegate.worker.runs import Outcome, Requested

        name, _, version = workflow.partition("@")

        def told(wish: "Wish") -> None:
            if wish.total:
                progress(wish.done or 0, wish.total)

        chosen = [image for where in images for image in self._images(where)]
        if not chosen:
            raise NothingSelected(f"No image lies in {' or '.join(images)} at {self._client.server}.")
        made = self._client.launch(
            name,
            chosen,
            parameters,
            site=site,
            version=version or None,
            again=again,
            regions=regions,
            progress=told,
        )
        outcome = made.outcome if made.outcome in get_args(Outcome) else "resumed"
        return Requested(RunId(made.run), outcome)  # type: ignore[arg-type]

    def _images(self, where: str) -> Iterator[str]:
        if _IMAGE.fullmatch(where):
            yield where
        elif _FOLDER.fullmatch(where):
            yield from self._client.images(where)
        else:
            shelves = ", ".join(f"{each.at}" for each in self._client.browse().folders) or "none"
            raise BadRequest(
                f"On a server an image is named SHELF:PATH, not {where!r}. It has these shelves: {shelves}"
            )

    def lines(self) -> Iterator[Line]:
        """See Place."""
        for run in self._client.runs():
            at = f"{self._client.server}/runs/{run.run}"
            yield Line(run.run, run.state, f"{run.workflow} {run.version}", run.tasks, run.created_at, at)

    def find(self, name: str) -> RunId:
        """See Place; ``last`` is the last one of your own."""
        if _WHOLE.fullmatch(name):
            try:
                return RunId(self._client.run(name).run)
            except NotFound:
                raise UnknownRun(f"There is no run {name} at {self._client.server}.") from None
        if name == "last":
            found = [run.run for run, _ in zip(self._client.runs(mine=True), range(1), strict=False)]
        else:
            found = [run.run for run in self._client.runs() if name and run.run.startswith(name)]
        if len(found) != 1:
            reason = "more than one run has a name that begins so" if found else "there is no such run"
            raise UnknownRun(f"Cannot tell which run {name!r} is: {reason}.")
        return RunId(found[0])

    def show(self, run: RunId) -> "RunView":
        """See Place."""
        return self._view(self._client.run(run), list(self._client.tasks(run)))

    def summary(self, task: "TaskView") -> dict[str, Any] | None:
        """See Place."""
        return self._summaries.get(task.task)

    def log(self, run: RunId, number: int | None) -> Iterator[tuple[str, bytes]]:
        """See Place."""
        tasks = [task for task in self._client.tasks(run) if number in (None, task.number)]
        if not tasks:
            raise UnknownRun(f"Run {run} has no image number {number}.")
        for task in tasks:
            text = self._client.log(run, task.number)
            if text:
                yield task.name, text.encode()

    def cancel(self, run: RunId) -> bool:
        """See Place."""
        goes_on = not self._client.run(run).ended
        self._client.cancel(run)
        return goes_on

    def retry(self, run: RunId) -> bool:
        """See Place."""
        counts = self._client.run(run).counts
        if not (counts.get("failed") or counts.get("cancelled")):
            return False
        self._client.retry(run)
        return True

    def delete(self, run: RunId, results: bool) -> Sequence[str]:
        """See Place."""
        return self._client.delete(run, results)

    def fetch(self, view: "RunView", out: Path | None) -> "RunView":
        """See Place: without a folder, results stay on the server."""
        if out is None:
            return view
        from slidegate.cli.view import progress_bar

        names = [Path(task.name).name.split(".")[0] or "image" for task in view.tasks]
        tasks = []
        with progress_bar("fetching results", quick=True) as progress:
            for number, task in enumerate(view.tasks, start=1):
                there = task.published
                if there is not None:
                    name = names[number - 1]
                    folder = out.absolute() / (name if names.count(name) == 1 else f"{name}-{number}")
                    self._client.download(view.run, number, folder)
                    there = str(folder)
                tasks.append(replace(task, published=there))
                progress(number, len(view.tasks))
        return replace(view, tasks=tuple(tasks), out=str(out.absolute()))

    @contextmanager
    def at_work(self, run: RunId) -> Iterator[Callable[[float], bool]]:
        """See Place: the server works, whoever looks."""

        def goes_on(seconds: float) -> bool:
            time.sleep(max(_LOOK_SECONDS, seconds))
            return True

        yield goes_on

    def _view(self, run: Run, tasks: Sequence[Task]) -> "RunView":
        from slidegate.worker.views import RunView

        self._summaries |= {task.task: dict(task.summary) for task in tasks if task.summary is not None}
        return RunView(
            run=RunId(run.run),
            state=run.state,
            person=run.person,
            site=run.site,
            workflow=run.workflow,
            version=run.version,
            release=run.release,
            parameters=run.parameters,
            out=f"{self._client.server}/runs/{run.run}",
            created_at=run.created_at,
            changed_at=run.changed_at,
            counts=run.counts,
            trouble=None if run.trouble is None else plain(run.trouble),
            heard_at=run.heard_at,
            tasks=tuple(self._task(run.run, task) for task in tasks),
        )

    def _task(self, run: str, task: Task) -> "TaskView":
        from slidegate.worker.views import TaskView

        error = task.error or {}
        words = {name: getattr(task, name) for name in ("step", "trouble", "waits")}
        return TaskView(
            task=TaskId(task.task),
            source="server",
            image=task.image,
            name=plain(task.name),
            state=State(task.state),
            wanted=task.wanted,
            attempt=task.attempt,
            attempt_key="",
            done=task.done,
            total=task.total,
            confirmed_at=task.confirmed_at,
            log_end=tuple(plain(str(line)) for line in error.get("log") or ()),
            error_code=error.get("code"),
            error=None if error.get("message") is None else plain(str(error["message"])),
            published=f"{self._client.server}/runs/{run}/results/{task.number}" if task.published else None,
            usage=task.usage,
            **{name: None if text is None else plain(text) for name, text in words.items()},
        )
