# SPDX-License-Identifier: BSD-3-Clause
"""Where a command is carried out: here, in this process, or on a server. Commands see no difference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from slidegate.domain.values import RunId
    from slidegate.worker.runs import Requested
    from slidegate.worker.views import RunView, TaskView

Progress = Callable[[int, int], None]
OnServer = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Ask this server, where slidegate login has signed you in."),
]


@dataclass(frozen=True, slots=True)
class Offered:
    """A workflow, and what a person reads of it."""

    name: str
    version: str
    release: str
    title: str
    description: str
    schema: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A Run in a list."""

    run: str
    state: str
    workflow: str
    images: int
    created_at: float
    results: str


class Place(Protocol):
    """What commands ask, in whichever way it is answered."""

    def workflows(self, site: str) -> Sequence[Offered]:
        """Return what can be run at a site, sorted by name and version."""
        ...

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
        """Ask for a Run, or take up the one that was asked for before."""
        ...

    def lines(self) -> Iterator[Line]:
        """Yield Runs, newest first."""
        ...

    def find(self, name: str) -> "RunId":
        """Return the Run that a person means by the beginning of its name, or by ``last``."""
        ...

    def show(self, run: "RunId") -> "RunView":
        """Return a Run as it is known now."""
        ...

    def summary(self, task: "TaskView") -> dict[str, Any] | None:
        """Return what the workflow summed up of an image, None before."""
        ...

    def log(self, run: "RunId", number: int | None) -> Iterator[tuple[str, bytes]]:
        """Yield (image name, piece of log) of a Run's images, or of one."""
        ...

    def cancel(self, run: "RunId") -> bool:
        """Let a Run be cancelled; returns whether there was anything to cancel."""
        ...

    def retry(self, run: "RunId") -> bool:
        """Try again what failed or was cancelled; returns whether there was any such."""
        ...

    def delete(self, run: "RunId", results: bool) -> Sequence[str]:
        """Delete a Run; returns what was removed, in words."""
        ...

    def fetch(self, view: "RunView", out: Path | None) -> "RunView":
        """Bring the results of a Run to a folder, unless they are where they belong."""
        ...

    def at_work(self, run: "RunId") -> AbstractContextManager[Callable[[float], bool]]:
        """See that a Run goes on while the block runs.

        Yields
        ------
        What waits a moment, in seconds at most, and then says whether it still goes on.
        """
        ...


def _nothing(_words: str) -> None:
    return


@contextmanager
def opened(server: str | None, say: Callable[[str], None] = _nothing) -> Iterator[Place]:
    """Open the place where a command is carried out.

    Parameters
    ----------
    server
        The address of a server; None for here.
    say
        Told in words what takes long.
    """
    if server is not None:
        from slidegate.cli.servers import Servers
        from slidegate.cli.there import There
        from slidegate.client import Client

        with Client(server, Servers().token(server)) as client:
            yield There(client)
        return
    from slidegate.cli.here import Here
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings(), say) as house:
        yield Here(house)
