# SPDX-License-Identifier: BSD-3-Clause
"""Commands carried out in this process: it asks, and is the worker of what it follows."""

import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slidegate.cli.place import Line, Offered, Progress
from slidegate.domain.errors import BadRequest, NothingSelected
from slidegate.domain.values import RunId

if TYPE_CHECKING:
    from slidegate.wiring import House
    from slidegate.worker import Worker
    from slidegate.worker.runs import Requested
    from slidegate.worker.views import RunView, TaskView

_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.1
DEFAULT_OUT = Path("slidegate-results")
IN_OMERO = Path("omero")  # for images of OMERO: beside them


class Here:
    """See slidegate.cli.place.Place."""

    def __init__(self, house: "House") -> None:
        self._house = house

    def workflows(self, site: str) -> Sequence[Offered]:
        """See Place."""
        releases = self._house.runs.workflows(self._house.gate_at(site))
        return [
            Offered(
                each.name,
                each.version,
                each.digest,
                str(each.manifest.get("title", "")),
                str(each.manifest.get("description", "")),
                each.schema,
                each.manifest["outputs"],
            )
            for each in sorted(releases, key=lambda each: (each.name, each.version))
        ]

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
        """See Place."""
        from slidegate.sources.errors import SourceError
        from slidegate.wiring.omero import named_in_omero

        named = named_in_omero(images)
        in_omero = named is not None and out in (None, IN_OMERO)
        try:
            where = self._house.omero.place if in_omero else str(_writable((out or DEFAULT_OUT).absolute()))
            gate = self._house.gate_at(site)
            if named is not None:
                self._house.omero.check(named, writing=in_omero)
            return self._house.runs.request(
                self._house.settings.person,
                workflow,
                named or images,
                parameters,
                where,
                again,
                gate,
                source="omero" if named else "folder",
                progress=progress,
                regions=regions,
            )
        except NothingSelected:
            kinds = "TIFF, OME-TIFF or OME-Zarr image" if named is None else "image"
            raise NothingSelected(f"No {kinds} lies in {' or '.join(images)}.") from None
        except SourceError as error:
            error.exit_code = BadRequest.exit_code  # there is no run in which an image could have failed
            raise

    def lines(self) -> Iterator[Line]:
        """See Place."""
        for view in self._house.runs.list():
            yield Line(
                view.run,
                view.state,
                f"{view.workflow} {view.version}",
                len(view.tasks),
                view.created_at,
                view.out,
            )

    def find(self, name: str) -> RunId:
        """See Place."""
        return self._house.runs.find(name)

    def show(self, run: RunId) -> "RunView":
        """See Place."""
        return self._house.runs.show(run)

    def summary(self, task: "TaskView") -> dict[str, Any] | None:
        """See Place: what lies beside the results, where they still lie."""
        if task.published is None:
            return None
        try:
            found = json.loads((Path(task.published) / "summary.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def log(self, run: RunId, number: int | None) -> Iterator[tuple[str, bytes]]:
        """See Place."""
        yield from self._house.runs.log(run, number)

    def cancel(self, run: RunId) -> bool:
        """See Place."""
        return bool(self._house.runs.cancel(run)) or self.show(run).state == "active"

    def retry(self, run: RunId) -> bool:
        """See Place."""
        return bool(self._house.runs.retry(run))

    def delete(self, run: RunId, results: bool) -> Sequence[str]:
        """See Place."""
        return self._house.runs.delete(run, results)

    def fetch(self, view: "RunView", out: Path | None) -> "RunView":
        """See Place: the worker has put them there."""
        return view

    @contextmanager
    def at_work(self, run: RunId) -> Iterator[Callable[[float], bool]]:
        """See Place: the work is done beside, so that the screen moves while an image is converted."""
        view = self.show(run)
        self._house.store.sites.hurry(view.site)  # somebody waits for it now
        stop = threading.Event()
        broken: list[BaseException] = []
        worker = self._house.worker([run])
        beside = threading.Thread(target=_work, args=(worker, stop, broken), name="slidegate-worker")

        def goes_on(_seconds: float) -> bool:
            beside.join(_LOOK_SECONDS)
            return beside.is_alive()

        try:
            with self._house.omero.awake() if self._needs_omero(view) else nullcontext():
                with _uninterrupted():
                    beside.start()
                yield goes_on
        finally:
            stop.set()
            worker.stop()
            if beside.ident is not None:
                beside.join()
        if broken:
            raise broken[0]

    def _needs_omero(self, view: "RunView") -> bool:
        """Say whether images of a Run are read from, or results written to, an OMERO."""
        return view.out.startswith("omero:") or any(
            task["source"] == "omero" for task in self._house.store.runs.tasks(view.run)
        )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt that comes during the block, which takes a moment only, be raised after it."""
    came: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        if came:
            signal.raise_signal(signal.SIGINT)


def _work(worker: "Worker", stop: threading.Event, broken: list[BaseException]) -> None:
    try:
        while not stop.is_set():
            if not worker.step():
                stop.wait(_PAUSE_SECONDS)
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
        broken.append(error)
    finally:
        worker.close()


def _writable(out: Path) -> Path:
    """Return a folder that results can be written to; ask now, not after an hour. It is not made yet."""
    nearest = next(path for path in (out, *out.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return out
    except OSError as error:
        where = "" if nearest == out else f"{nearest}: "
        raise BadRequest(
            f"Results cannot be written to {out}: {where}{error.strerror}. Name another --out."
        ) from None
