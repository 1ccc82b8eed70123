# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes behind OriginalFile rows: sent by clients, or lying in the folder that is served."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pocket_omero.images.store import Images

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

_BLOCK = 1 << 20


def measured(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-1 of a file, as OMERO notes them."""
    digest = hashlib.sha1(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


class Files:
    """Knows where the bytes of each OriginalFile are.

    Parameters
    ----------
    home : Path
        Where the files that clients send are kept, one per id, readable by their owner only.
    images : Images
        Knows the files of the folder.
    state : State
        With the rows.
    """

    def __init__(self, home: Path, images: Images, state: State) -> None:
        self.home = home
        self.images = images
        self.state = state
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, row: Row) -> Path:
        """Where the bytes of a file are, or will be: nothing may be there yet."""
        return self.images.file(row.id) or self.home / str(row.id)

    def writable(self, row: Row) -> bool:
        """Whether it was sent by clients; files of the folder are only read."""
        return self.images.file(row.id) is None

    def seal(self, row: Row) -> None:
        """Note size and SHA-1 of the bytes in the row; call it inside a change. A repeat is safe."""
        path = self.path(row)
        size, digest = measured(path if path.is_file() else Path(os.devnull))
        hasher = next(iter(self.state.where("ChecksumAlgorithm", "value", "SHA1-160")), None)
        self.state.set(row, size=size, hash=digest, hasher=hasher)

    def delete(self, original: int) -> None:
        """Delete the bytes of a file that clients sent; files of the folder stay. A repeat does nothing."""
        (self.home / str(original)).unlink(missing_ok=True)
