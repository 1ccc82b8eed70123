# SPDX-License-Identifier: BSD-3-Clause
"""Results in folders of this computer: one folder per image, with a marker that says whose it is."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from slidegate.domain.values import AttemptKey, Digest, RunId, TaskId, canonical_json, digest_of

from .base import Publication, Published, part_of, split_choice, text_digest
from .errors import (
    DiskFullError,
    ImageNotFoundError,
    ResultDamagedError,
    TargetNotWritableError,
    UnsafeResultError,
)

MARKER = ".slidegate.json"
_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".btf", ".tf8", ".zarr")
_KEPT = set(" .()+-_")
_NAME_BYTES = 120
_PARTIAL = ".slidegate-partial-"
_ABANDONED_SECONDS = 24 * 3600
_BLOCK = 4 * 2**20
_AT_ONCE = 8  # files are flushed together: a disk takes them in one go


class FolderSink:
    """A ResultSink that writes to ``<root>/<image name without suffix>/``.

    A result is written beside its place and then renamed, with its marker inside: it is there whole or not
    at all. A folder that is not of the same Run and Task is never touched: the result then goes to
    ``<name>~<run>``.

    Parameters
    ----------
    root
        The folder for results; made if it is missing.
    """

    name = "folder"

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def publish(self, publication: Publication, files: Path) -> Published:
        """Write all files below `files`. Repeats, also at the same time, change nothing.

        The later Attempt of the same Task replaces the earlier result, but not what people added to it or
        changed.

        Raises
        ------
        TargetNotWritableError, DiskFullError
            The folder for results does not take it; nothing is left behind.
        UnsafeResultError
            The result holds a link or a special file.
        ResultDamagedError
            A file is not what it was when the result was fetched.
        """
        existing = self._of_task(publication)
        if existing is not None and _same(existing, publication):
            return existing
        if existing is not None:
            self.undo(existing)
        self._sweep()
        partial = self._root / f"{_PARTIAL}{os.urandom(8).hex()}"
        try:
            entries = _copy(files, partial)
            _check_parts(publication, entries)
            _write(partial / MARKER, canonical_json(_marker(publication, entries)))
            _sync_folder(partial)
            return self._rename(partial, publication)
        except OSError as error:
            raise _not_writable(error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def find_published(self, run: RunId) -> list[Published]:
        """List the results of a Run that lie in this folder, sorted by place."""
        found = [self._read(folder) for folder in self._folders()]
        return [published for published in found if published is not None and published.run == run]

    def undo(self, published: Published) -> None:
        """Remove the files that were written, as long as they are unchanged, and folders that this empties.

        The marker goes last, so that an interrupted undo can be repeated. Undoing what is gone changes
        nothing.

        Raises
        ------
        TargetNotWritableError
            A file cannot be removed.
        """
        folder = Path(published.where)
        if folder.parent != self._root or self._read(folder) != published:
            return
        marker = _load(folder / MARKER) or {}
        try:
            for name, size, digest in marker["entries"]:
                file = folder / name
                if (
                    file.is_file()
                    and _inside(folder, file)
                    and file.stat().st_size == size
                    and _digest(file) == digest
                ):
                    file.unlink()
            for inner in _folders_of(marker["entries"]):
                emptied = folder / inner
                if emptied.is_dir() and _inside(folder, emptied) and not any(emptied.iterdir()):
                    emptied.rmdir()
            (folder / MARKER).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise _not_writable(error) from error

    def _folders(self) -> Iterator[Path]:
        if self._root.is_dir():
            yield from sorted(path for path in self._root.iterdir() if not path.name.startswith(_PARTIAL))

    def _sweep(self) -> None:
        """Remove what a publication that was killed more than a day ago left half-written."""
        for partial in self._root.glob(f"{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):  # another publication swept it
                if time.time() - partial.lstat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(partial, ignore_errors=True)

    def _of_task(self, publication: Publication) -> Published | None:
        """Return what already lies here for the same Run and Task."""
        names = [*_names(publication), *_names(replace(publication, names=()))]
        for name in dict.fromkeys(names):
            published = self._read(self._root / name)
            if published and (published.run, published.task) == (publication.run, publication.task):
                return published
        return None

    def _rename(self, partial: Path, publication: Publication) -> Published:
        """Give a finished folder the first name that is free."""
        for name in _names(publication):
            target = self._root / name
            if not os.path.lexists(target) and _renamed(partial, target):
                _sync_folder(self._root)
                return _published(publication, target)
            published = self._read(target)
            if published is not None and _same(published, publication):
                return published  # the same result was published at the same time
        raise TargetNotWritableError("every name for the result is taken")

    def _read(self, folder: Path) -> Published | None:
        if folder.is_symlink():
            return None
        marker = _load(folder / MARKER)
        if marker is None:
            return None
        run, task = RunId(marker["run"]), TaskId(marker["task"])
        return Published(run, task, AttemptKey(marker["attempt"]), Digest(marker["tree"]), str(folder))


def folder_name(name: str) -> str:
    """Return an image's name without suffix, as a folder name that is safe on every system."""
    path, choice = split_choice(name)
    stem = path.name
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            stem = stem[: -len(suffix)]
            break
    return _safe(stem, choice.text)


def _safe(stem: str, choice: str) -> str:
    tail = "".join(f"_{part.replace('=', '')}" for part in choice.split(",") if part)
    kept = "".join(c if c.isalnum() or c in _KEPT else "_" for c in stem).strip(" .")
    while len(kept.encode()) > _NAME_BYTES:
        kept = kept[:-1]
    return (kept or "image") + tail


def _names(publication: Publication) -> list[str]:
    """Return the folder names to try, best first; with `Publication.names` independent of the order.

    The image's stem, unless another image of the Run shares it; its full name, unless another image has
    even that; then names that end in a part of the Run's and the Task's ids, so that the last can only be
    this Task's.
    """
    short = folder_name(publication.name)
    path, choice = split_choice(publication.name)
    full = _safe(path.name, choice.text)
    run = str(publication.run)[:8]
    unique = f"{full}~{run}~{text_digest(publication.run, publication.task)[:8]}"
    others = list(publication.names)
    if publication.name in others:
        others.remove(publication.name)
    if any(other.casefold() == publication.name.casefold() for other in others):
        return [unique]
    if any(folder_name(other).casefold() == short.casefold() for other in others):
        return [full, f"{full}~{run}", unique]
    return list(dict.fromkeys([short, f"{short}~{run}", full, f"{full}~{run}", unique]))


def _published(publication: Publication, folder: Path) -> Published:
    p = publication
    return Published(p.run, p.task, p.attempt, p.tree, str(folder))


def _same(published: Published, publication: Publication) -> bool:
    one = (published.run, published.task, published.tree)
    return one == (publication.run, publication.task, publication.tree)


def _marker(publication: Publication, entries: list[tuple[str, int, str]]) -> dict[str, Any]:
    outputs = {role: {"type": out.type, "path": out.path} for role, out in publication.outputs.items()}
    return {
        "slidegate": 1,
        "run": publication.run,
        "task": publication.task,
        "attempt": publication.attempt,
        "tree": publication.tree,
        "image": publication.name,
        "outputs": outputs,
        "entries": entries,
    }


def _load(marker: Path) -> dict[str, Any] | None:
    """Read a marker; None if there is none, or one that is not ours."""
    try:
        document = json.loads(marker.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not (isinstance(document, dict) and document.get("slidegate") == 1):
        return None
    if not all(isinstance(document.get(key), str) for key in ("run", "task", "attempt", "tree")):
        return None
    entries = document.get("entries")
    if not (isinstance(entries, list) and all(_is_entry(entry) for entry in entries)):
        return None
    return document


def _is_entry(entry: object) -> bool:
    if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)):
        return False
    steps = entry[0].split("/")
    return (
        not any(step in ("", ".", "..") for step in steps)
        and type(entry[1]) is int
        and isinstance(entry[2], str)
    )


def _folders_of(entries: list[tuple[str, int, str]]) -> list[str]:
    """Return the folders that a list of files needs, the deepest first."""
    folders = {parent.as_posix() for name, _, _ in entries for parent in PurePosixPath(name).parents}
    return sorted(folders - {"."}, key=lambda name: name.count("/"), reverse=True)


def _inside(folder: Path, path: Path) -> bool:
    """Return whether a path below `folder` is reached through no link."""
    steps = [path, *path.parents]
    return not any(step.is_symlink() for step in steps[: steps.index(folder)])


def _copy(files: Path, target: Path) -> list[tuple[str, int, str]]:
    """Copy all files below a folder; return their names, sizes and SHA-256."""
    if not files.is_dir():
        raise ImageNotFoundError("the result's files are gone")
    wanted = []
    target.mkdir(parents=True)
    for folder, inner, names in os.walk(files):
        inner.sort()
        there = target / Path(folder).relative_to(files)
        for name in [*inner, *names]:
            mode = (Path(folder) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UnsafeResultError
        if names:
            there.mkdir(parents=True, exist_ok=True)
        wanted += [(Path(folder) / name, there / name) for name in names]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        copied = pool.map(lambda pair: _copy_file(*pair), wanted)
        return sorted(
            (there.relative_to(target).as_posix(), size, digest)
            for (_, there), (size, digest) in zip(wanted, copied, strict=True)
        )


def _check_parts(publication: Publication, entries: list[tuple[str, int, str]]) -> None:
    """Compare what was copied with what was fetched."""
    for role, tree in publication.parts.items():
        found = part_of(entries, publication.outputs[role])
        if digest_of({"tree": 1, "entries": sorted(found)}) != tree:
            raise ResultDamagedError


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            size += len(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    return size, digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _renamed(partial: Path, target: Path) -> bool:
    """Rename a folder, unless somebody was faster and the name is taken by a folder that holds something."""
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _not_writable(error: OSError) -> TargetNotWritableError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError()
    return TargetNotWritableError(error.strerror or type(error).__name__)
