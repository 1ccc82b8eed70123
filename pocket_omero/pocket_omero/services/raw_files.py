# SPDX-License-Identifier: GPL-2.0-or-later
"""RawFileStore: bytes of original files, both ways."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rlong

from pocket_omero.errors import Forbidden, NotReady, WrongUse
from pocket_omero.ice.dispatch import Stateful
from pocket_omero.services.pixels import readable

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["RawFiles"]

_ANSWER = 240_000_000  # bytes; clients take messages of 250,000 kB at most


class RawFiles(Stateful, omero.api.RawFileStore, name="RawFileStore"):
    """Reads files of the folder, and reads and writes those that clients send (mode 0600)."""

    row: Row | None = None
    written = False

    def _file(self) -> tuple[Row, Path]:
        if self.row is None:
            raise WrongUse("no file was chosen: call setFileId first")
        return self.row, self.house.files.path(self.row)

    def do_setFileId(self, id: int, current: Any) -> None:
        self._seal()
        self.row = readable(self, "OriginalFile", id, current)

    def do_getFileId(self, current: Any) -> Any:
        return rlong(self._file()[0].id)

    def do_exists(self, current: Any) -> bool:
        return bool(self._file()[1].is_file())

    def do_size(self, current: Any) -> int:
        return int(self._present().stat().st_size)

    def do_read(self, position: int, length: int, current: Any) -> bytes:
        """Read at most `length` bytes; fewer at the end of the file, none behind it."""
        if position < 0 or length < 0 or length > _ANSWER:
            raise WrongUse(f"{length} bytes from {position} on cannot be read at once")
        row, _ = self._file()
        if not self.house.rights.may_download(self.caller(current), row):
            raise Forbidden("the policy keeps the bytes of this file from this person")
        with self._present().open("rb") as file:
            file.seek(position)
            return file.read(length)

    def do_write(self, buf: bytes, position: int, length: int, current: Any) -> None:
        """Write the first `length` bytes of `buf`. A repeat is safe."""
        if position < 0 or not 0 <= length <= len(buf):
            raise WrongUse(f"{length} of {len(buf)} bytes cannot be written at {position}")
        with self._opened(current) as file:
            file.seek(position)
            file.write(bytes(buf[:length]))

    def do_truncate(self, length: int, current: Any) -> bool:
        """Cut to `length` bytes; answers whether that changed anything."""
        if length < 0:
            raise WrongUse(f"a file of {length} bytes cannot be")
        with self._opened(current) as file:
            if os.fstat(file.fileno()).st_size <= length:
                return False
            file.truncate(length)
        return True

    def do_save(self, current: Any) -> Any:
        """Note size and SHA-1 of what was written; answers the OriginalFile, or None when nothing was."""
        row, _ = self._file()
        return self.reply(current).load(row) if self._seal() else None

    def dispose(self) -> None:
        """Note what was written, as `save` does."""
        self._seal()

    def _present(self) -> Path:
        _, path = self._file()
        if not path.is_file():
            raise NotReady("the bytes of this file are not there")
        return path

    def _opened(self, current: Any) -> Any:
        row, path = self._file()
        if not self.house.files.writable(row):
            raise Forbidden("this file lies in the folder that is served; it is only read")
        if not self.house.rights.can_edit(self.caller(current), row):
            raise Forbidden("this file may not be written by this person")
        self.written = True
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        return os.fdopen(number, "r+b")

    def _seal(self) -> bool:
        row = self.row
        if not self.written or row is None:
            return False
        self.written = False
        state = self.house.state
        with state.change():
            if state.get("OriginalFile", row.id) is row:
                self.house.files.seal(row)
        return True
