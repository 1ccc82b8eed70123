# SPDX-License-Identifier: BSD-3-Clause
"""Folders that can be seen only when they are whole: made under a temporary name, flushed, renamed."""

import os
import shutil
from typing import Mapping

from .serve import files

__all__ = ["publish", "write"]


def write(folder: str, contents: Mapping[str, bytes]) -> None:
    """Write new files that only this account can read, and flush them."""
    for name, data in contents.items():
        path = os.path.join(folder, name)
        files.make_dirs(os.path.dirname(path))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def publish(made: str, target: str) -> None:
    """Give a finished folder its name; where another process was faster, its equal folder stays."""
    try:
        os.rename(made, target)
    except OSError:
        shutil.rmtree(made)
        if not os.path.isdir(target):
            raise
    files.fsync_dir(os.path.dirname(target))
