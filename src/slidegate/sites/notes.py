# SPDX-License-Identifier: BSD-3-Clause
"""Small files that say how things are here, and that nobody may ever see half written."""

import os
from pathlib import Path


def write_note(path: Path, text: str) -> None:
    """Replace a file that this account alone may read.

    Parameters
    ----------
    path
        Where it lies; the folder is there. The caller sees to it that nobody else writes to it just now.

    Notes
    -----
    Whoever is killed, and whenever the power goes: the file has what it had before, or all of `text`; and
    all of `text` once this has returned. May be repeated.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
