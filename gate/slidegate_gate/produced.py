# SPDX-License-Identifier: BSD-3-Clause
"""What a job has written into a folder.  Nothing there is trusted: not its names, not its kinds.

Killed processes leave unfinished files behind; their names begin with a dot or end with ``.__lock``, as the
array libraries do it, and they are never outputs.
"""

import itertools
import os
from typing import Iterator, List, Tuple

from .errors import BadOutput

__all__ = ["MAX_FILES", "files_in", "flush", "is_plain"]

MAX_FILES = 100000  # of one try, and of all outputs together


def flush(folder: str) -> None:
    """Bring the files that a try has written to the disk before the try is made to count.

    Raises BadOutput, before any is flushed, where there are too many.
    """
    paths = [path for _, path in itertools.islice(files_in(folder), MAX_FILES + 1)]
    if len(paths) > MAX_FILES:
        raise BadOutput("A step has written more than {} files.".format(MAX_FILES))
    for path in filter(is_plain, paths):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def files_in(folder: str) -> Iterator[Tuple[str, str]]:
    """Yield (name below `folder`, path) of everything that is finished and no folder one can look into."""
    errors: List[OSError] = []
    # a link that a step put in the place of its folder would lead the walk out of it
    for above, folders, names in [] if os.path.islink(folder) else os.walk(folder, onerror=errors.append):
        for name in names + folders:
            path = os.path.join(above, name)
            finished = not name.startswith(".") and not name.endswith(".__lock")
            if finished and (name in names or os.path.islink(path)):
                yield os.path.relpath(path, folder), path
    for path in [error.filename for error in errors if isinstance(error, PermissionError)]:
        yield os.path.relpath(path, folder), path


def is_plain(path: str) -> bool:
    """Say whether there is a file at `path` that can be read, and no link to one."""
    return os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK)
