# SPDX-License-Identifier: BSD-3-Clause
"""What goes into an Attempt, and what comes out of it.

The outputs are all files in ``shared`` and in the folders of the last step's tries.  Where both have a file
of one name, the last step's counts: it may complete what the steps before it have written.  Killed processes
leave unfinished files behind; their names begin with a dot or end with ``.__lock``, as the array libraries do
it, and they are never outputs.
"""

import os
from typing import Any, Dict, Iterator, Tuple

from .. import contents
from ..errors import MissingBlobs
from ..serve import checks
from ..serve.layout import Layout
from .attempt import Attempt
from .step_process import BadOutput, InputVanished


def inputs(layout: Layout, attempt: Attempt) -> Dict[str, str]:
    """Return the folder of each input, with every file there in its size; raise InputVanished otherwise."""
    trees = attempt.plan["inputs"]
    try:
        return {name: contents.materialise(layout, tree) for name, tree in trees.items()}
    except MissingBlobs:
        raise InputVanished()


def store(layout: Layout, attempt: Attempt, promised: Dict[str, Any]) -> str:
    """Make the outputs blobs and return the digest of their Tree.

    Raises BadOutput where a file has a name or a kind that a Tree cannot hold, or where one of the outputs
    that the manifest promises is missing.  Safe to repeat.
    """
    found: Dict[str, str] = {}
    for folder in [attempt.path("shared")] + attempt.folders_of(attempt.steps[-1]["do"]):
        found.update(files_in(folder))
    if len(found) > 100000:
        raise BadOutput("There are {} output files, too many for one Tree.".format(len(found)))
    for path in [output["path"] for output in promised.values()]:
        if not any((name + "/").startswith(path + "/") for name in found):
            raise BadOutput("The workflow did not write its output {}.".format(path))
    for name, path in found.items():
        if not checks.is_name(name) or not is_plain(path):
            raise BadOutput("The output {!r} is no plain file with a plain name.".format(name))
    return contents.write_tree(layout, contents.link_outputs(layout, found))


def flush(folder: str) -> None:
    """Bring the files that a try has written to the disk before the try is made to count."""
    for _, path in files_in(folder):
        if is_plain(path):
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def files_in(folder: str) -> Iterator[Tuple[str, str]]:
    """Yield (name below `folder`, path) of everything there that is finished and no folder."""
    # a link that a step put in the place of its folder would lead the walk out of it
    for above, folders, names in [] if os.path.islink(folder) else os.walk(folder):
        for name in names + folders:
            path = os.path.join(above, name)
            finished = not name.startswith(".") and not name.endswith(".__lock")
            if finished and (name in names or os.path.islink(path)):
                yield os.path.relpath(path, folder), path


def is_plain(path: str) -> bool:
    """Say whether there is a file at `path`, and no link to one."""
    return os.path.isfile(path) and not os.path.islink(path)
