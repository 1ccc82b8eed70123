# SPDX-License-Identifier: BSD-3-Clause
"""What makes two requests the same Run, and the names of Runs and Tasks."""

from collections.abc import Iterable, Mapping
from typing import Any

from slidegate.domain.values import Digest, RunId, TaskId, digest_of


def identity(
    person: str, release: Digest, parameters: Mapping[str, Any], contents: Iterable[Digest]
) -> Digest:
    """Return the digest that is equal for equal requests.

    Parameters
    ----------
    person
        Who asks.
    release
        The workflow's Release at the site.
    parameters
        All parameters, defaults filled in.
    contents
        The content digests of the images, see `content_with`; their order does not matter. Where an image
        lies, what it is called and where results go to do not matter either.
    """
    return digest_of(["run", person, release, dict(parameters), sorted(contents)])


def content_with(content: Digest, regions: Digest | None) -> Digest:
    """Return what makes a Task's input what it is: the image, and the regions on it where there are any."""
    return content if regions is None else digest_of(["with-regions", content, regions])


def run_id(request: Digest, generation: int) -> RunId:
    """Return the name of a Run: 12 hex of the digest of (identity, generation).

    ``generation`` counts from 0; asking for the same again, on purpose, makes the next.
    """
    return RunId(digest_of(["run-id", request, generation])[:12])


def task_id(run: RunId, number: int) -> TaskId:
    """Return the name of a Run's Task; ``number`` counts from 1."""
    return TaskId(f"{run}.{number}")


def kept_result(run: RunId, task: TaskId, output: Digest) -> Digest:
    """Return how the cache calls its copy of a result that was published where the pages cannot read it."""
    return digest_of(["kept-result", run, task, output])


def run_of(task: TaskId) -> RunId:
    """Return the name of the Run that a Task belongs to."""
    return RunId(task.rpartition(".")[0])
