# SPDX-License-Identifier: BSD-3-Clause
"""A folder that workers fill and the api reads; nothing in it is lost when it is emptied.

- ``thumbnails/<digest>.jpg``: a small picture of an image
- ``descriptions/<digest>.json``: what an image says of itself
- ``previews/<wish>/picture.png``, ``plain.png``: a preview, for an hour
- ``logs/<attempt>``: the last lines of the log of an Attempt
- ``trees/<digest>/``: an image as OME-Zarr
- ``making/<random>``: on its way to one of these

What is there is whole: it is written under ``making`` and then renamed. Names are digests and numbers of
wishes, never anything that a person or an image says. Any number of processes may write, read and sweep.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from slidegate.domain.values import Digest

PREVIEW_SECONDS = 3600.0
_ABANDONED_SECONDS = 24 * 3600.0
_USED_SECONDS = 60.0
_WEIGH_SECONDS = 300.0
_SPARED = 0.8
_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile(
    r"thumbnails/[0-9a-f]{64}\.jpg"
    r"|descriptions/[0-9a-f]{64}\.json"
    r"|previews/[0-9a-f]{32}/(?:picture|plain)\.png"
    r"|logs/[0-9a-f]{64}"
)
_SMALL = ("thumbnails", "descriptions", "logs")


class Cache:
    """The folder.

    Parameters
    ----------
    folder
        Where it lies; made when something is first written.
    most_bytes
        How much `sweep` leaves.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder.absolute()
        self.most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._weighed_at = 0.0

    # reading

    def tree(self, digest: str) -> Path | None:
        """Return the folder of an image, None when it is not here; it counts as used just now."""
        if not _DIGEST.fullmatch(digest):
            return None
        folder = self.folder / "trees" / digest
        return folder if self._is(folder, stat.S_ISDIR) else None

    def file(self, name: str) -> Path | None:
        """Return a small file by its name, such as ``thumbnails/<digest>.jpg``; None when it is not here.

        Names of any other form, and links, count as not here.
        """
        if not _NAME.fullmatch(name):
            return None
        path = self.folder / name
        return path if self._is(path, stat.S_ISREG) else None

    def open(self, name: str) -> BinaryIO | None:
        """Open a small file by its name; None when it is not here. No link is followed."""
        if self.file(name) is None:
            return None
        try:
            handle = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        return os.fdopen(handle, "rb")

    def note(self, name: str) -> dict[str, object] | None:
        """Return a small JSON object by its name; None when it is not here or not readable."""
        file = self.open(name)
        if file is None:
            return None
        with file:
            try:
                found = json.loads(file.read())
            except ValueError:
                return None
        return found if isinstance(found, dict) else None

    def _is(self, path: Path, kind: Callable[[int], bool]) -> bool:
        """Say whether something of this kind is there, no link, and note that it is used."""
        try:
            state = path.lstat()
        except OSError:
            return False
        if not kind(state.st_mode):
            return False
        self._use(path)
        return True

    def _use(self, path: Path) -> None:
        """Note that something is used; who may only read leaves no note."""
        with suppress(OSError):
            os.utime(path)

    # writing

    def _below(self, name: str) -> Path:
        """Return a folder of the cache, made if it is missing; only its owner and group may look into it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        below = self.folder / name
        below.mkdir(parents=True, exist_ok=True)
        return below

    @contextmanager
    def making(self) -> Iterator[Path]:
        """Yield a new folder to make something in; what is left in it goes."""
        made = self._below("making") / os.urandom(16).hex()
        made.mkdir()
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def put(self, name: str, content: bytes) -> None:
        """Write a small file; a repeat replaces it.

        Raises
        ------
        ValueError
            The name is of no form that the cache keeps.
        OSError
            The disk does not take it.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("not a name of the cache")
        target = self._below(name.rpartition("/")[0]) / name.rpartition("/")[2]
        with self.making() as made:
            part = made / "file"
            part.write_bytes(content)
            part.replace(target)

    def keep_tree(self, folder: Path, digest: Digest) -> Path:
        """Take over an image's folder, which is gone afterwards; returns where it lies now.

        One that is here already stays. Across file systems it is copied; safe to repeat.

        Raises
        ------
        ValueError
            That is no digest.
        OSError
            The disk does not take it.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a digest")
        target = self._below("trees") / digest
        with self.making() as made:
            moved = made / "tree"
            shutil.move(folder, moved)
            _open_to_group(moved, target.parent.stat().st_mode & 0o777)
            try:
                moved.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        self._use(target)
        return target

    # forgetting

    def sweep(self, now: float) -> int:
        """Remove old previews, what killed workers left, and, over `most_bytes`, what was not used longest.

        The size is looked at every few minutes, however often this is called.

        Parameters
        ----------
        now
            Seconds since 1970.

        Returns
        -------
        How many things were removed.
        """
        removed = sum(self._drop(path) for path in self._older("previews", now - PREVIEW_SECONDS))
        removed += sum(self._drop(path) for path in self._older("making", now - _ABANDONED_SECONDS))
        if abs(now - self._weighed_at) < _WEIGH_SECONDS:
            return removed
        self._weighed_at = now
        found = [(path, *self._use_and_size(path)) for name in ("trees", *_SMALL) for path in self._in(name)]
        total = sum(size for _path, _used, size in found)
        if total <= self.most_bytes:
            return removed
        for path, used, size in sorted(found, key=lambda each: each[1]):
            if total <= _SPARED * self.most_bytes or now - used < _USED_SECONDS:
                break
            total -= size
            removed += self._drop(path)
        return removed

    def _in(self, name: str) -> list[Path]:
        try:
            return list((self.folder / name).iterdir())
        except OSError:
            return []

    def _older(self, name: str, than: float) -> list[Path]:
        return [path for path in self._in(name) if 0 < self._use_and_size(path, False)[0] < than]

    def _use_and_size(self, path: Path, sized: bool = True) -> tuple[float, int]:
        """Return when something was used last, and its bytes; those of an image never change."""
        try:
            state = path.lstat()
        except OSError:
            return 0.0, 0
        if not stat.S_ISDIR(state.st_mode) or not sized:
            return state.st_mtime, state.st_size
        if path.name not in self._sizes:
            self._sizes[path.name] = _size(path)
        return state.st_mtime, self._sizes[path.name]

    def _drop(self, path: Path) -> int:
        """Remove something: first its name, so that nobody finds a part of it."""
        self._sizes.pop(path.name, None)
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                path.unlink()
                return 1
            gone = self._below("making") / os.urandom(16).hex()
            path.rename(gone)
        except OSError:
            return 0
        shutil.rmtree(gone, ignore_errors=True)
        return 1


def _open_to_group(folder: Path, mode: int) -> None:
    """Give folders the mode that those of the cache have: the api may be another account of its group."""
    for inner, _folders, _names in os.walk(folder):
        Path(inner).chmod(mode)


def _size(folder: Path) -> int:
    total = 0
    for inner, _folders, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(inner) / name).lstat().st_size
    return total
