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
from .failures import BadOutput, InputVanished

__all__ = ["flush", "inputs", "store"]

MAX_OUTPUTS = 100000


def inputs(layout: Layout, attempt: Attempt) -> Dict[str, str]:
    """Return the folder of each input, with every file there in its size; raise InputVanished otherwise."""
    found = {}
    for name, tree in attempt.plan["inputs"].items():
        try:
            found[name] = contents.materialise(layout, tree)
        except MissingBlobs:
            raise InputVanished("The input {} is not kept at the site any more.".format(name))
    return found


def store(layout: Layout, attempt: Attempt, promised: Dict[str, Any]) -> str:
    """Make the outputs blobs and return the digest of their Tree.

    Raises BadOutput where a file has a name or a kind that a Tree cannot hold, or where one of the outputs
    that the manifest promises is missing.  Safe to repeat.
    """
    found: Dict[str, str] = {}
    for folder in [attempt.shared] + attempt.folders_of(attempt.steps[-1]["do"]):
        found.update(_files(folder))
    if len(found) > MAX_OUTPUTS:
        raise BadOutput("There are more than {} output files.".format(MAX_OUTPUTS))
    for output in promised.values():
        path = output["path"]
        if path not in found and not any(name.startswith(path + "/") for name in found):
            raise BadOutput("The workflow did not write its output {}.".format(path))
    entries = []
    for name, path in sorted(found.items()):
        if not checks.is_name(name):
            raise BadOutput("An output has a name that cannot be used: {!r}.".format(name))
        if not _is_plain(path):
            raise BadOutput("The output {} is no plain file.".format(name))
        size, digest = contents.link_output(layout, path)
        entries.append((name, size, digest))
    return contents.write_tree(layout, entries)


def flush(folder: str) -> None:
    """Bring the files that a try has written to the disk before the try is made to count."""
    for _, path in _files(folder):
        if _is_plain(path):
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _files(folder: str) -> Iterator[Tuple[str, str]]:
    """Yield (name below `folder`, path) of everything there that is finished and no folder."""
    for above, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        for name in names + links:
            if not name.startswith(".") and not name.endswith(".__lock"):
                path = os.path.join(above, name)
                yield os.path.relpath(path, folder), path


def _is_plain(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)
