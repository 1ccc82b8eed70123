# SPDX-License-Identifier: BSD-3-Clause
"""What a job has written into a folder.  Nothing there is trusted: not its names, not its kinds.

Killed processes leave unfinished files behind; their names begin with a dot or end with ``.__lock``, as the
array libraries do it, and they are never outputs.
"""

import os
from typing import Iterator, Tuple

__all__ = ["files_in", "flush", "is_plain"]


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
