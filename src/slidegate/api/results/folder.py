# SPDX-License-Identifier: BSD-3-Clause
"""One published result: a folder with a marker that names each file, its size and its SHA-256.

The folder's place comes from the database and names of files from the marker, never from a request. Files are
opened below a handle of the folder, through no link, and are given out only as long as they are what was
published.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from slidegate.api.results.errors import NoResultYet, NoSuchFile, ResultChanged, ResultGone
from slidegate.cache import Cache
from slidegate.domain.run import kept_result
from slidegate.domain.shelf_names import OMERO

MARKER = ".slidegate.json"
MAX_MARKER_BYTES = 64 * 2**20
BLOCK = 2**20
_MARKERS = 256
_WHOLE = 65536


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a result: its name below the folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was published of one Task.

    Attributes
    ----------
    where
        The folder.
    name
        What it is called for people.
    tree
        The digest of all that the site computed: equal for equal results.
    entries
        The files, by name.
    outputs
        For each role its type and its path below the folder, as the workflow stated them.
    """

    where: Path
    name: str
    tree: str
    entries: Mapping[str, Entry]
    outputs: Mapping[str, tuple[str, str]]

    def path_of(self, kind: str) -> str | None:
        """Return the path of the first output of a type, such as ``labels``, below the folder, or None."""
        return next((path for found, path in self.outputs.values() if found == kind), None)

    def kind_of(self, name: str) -> str | None:
        """Return the type of the output that a file belongs to."""
        for kind, path in self.outputs.values():
            if name == path or name.startswith(f"{path}/"):
                return kind
        return None

    def below(self, path: str) -> list[Entry]:
        """List the files at or below a path."""
        return [one for name, one in self.entries.items() if name == path or name.startswith(f"{path}/")]


def where_of(row: Mapping[str, Any], cache: Cache | None) -> Path | None:
    """Return the folder of a Task's published result; None where it is in OMERO, and no copy is kept."""
    if not _is_in_omero(row):
        return Path(str(row["published"]))
    if cache is None or row["output"] is None:
        return None
    return cache.tree(kept_result(row["run"], row["id"], row["output"]))


def _is_in_omero(row: Mapping[str, Any]) -> bool:
    return str(row["published"]).startswith(f"{OMERO}:")


class Results:
    """Finds and opens published results; remembers which files were seen to be whole.

    Safe to use from several threads.

    Parameters
    ----------
    cache
        Where workers keep a copy of what was published in OMERO; None where there is none.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._markers: OrderedDict[tuple[str, int, int, int], Result] = OrderedDict()
        self._whole: OrderedDict[tuple[int, int, int, int, int, str], None] = OrderedDict()

    def of(self, row: Mapping[str, Any]) -> Result:
        """Return the result of a Task's row.

        Raises
        ------
        NoResultYet
            Nothing was published.
        ResultGone
            Its folder, or its marker, is not there or is another one's; or it lies in OMERO, and no copy of
            it is kept any more.
        """
        if not row["published"]:
            raise NoResultYet
        where = where_of(row, self._cache)
        if where is None:
            raise ResultGone("The results lie in OMERO, beside the image; here no copy is kept any more.")
        with _folder(where) as handle, _file(handle, MARKER) as file:
            seen = os.fstat(file.fileno())
            key = (str(where), seen.st_ino, seen.st_mtime_ns, seen.st_size)
            with self._lock:
                known = self._markers.get(key)
            if known is None:
                name = f"omero-{row['image'].partition('#')[0]}" if _is_in_omero(row) else where.name
                content = file.read(MAX_MARKER_BYTES + 1)
                known = _parse(where, name, content, str(row["run"]), str(row["id"]))
                self._remember(self._markers, key, known, _MARKERS)
        return known

    def open(self, result: Result, name: str) -> BufferedReader:
        """Open one file of a result, which is then known to be what was published; the caller closes it.

        Raises
        ------
        NoSuchFile
            The result has no file of that name.
        ResultGone, ResultChanged
            It is not there any more; it is a link or something else; its bytes are others.
        """
        entry = result.entries.get(name)
        if entry is None:
            raise NoSuchFile
        with _folder(result.where) as handle:
            file = _file(handle, name)
        try:
            self._check(file, entry)
        except BaseException:
            file.close()
            raise
        return file

    def check(self, result: Result, path: str) -> None:
        """Raise unless all files at or below a path are what was published; see :meth:`open`."""
        for entry in result.below(path):
            self.open(result, entry.name).close()

    def _check(self, file: BufferedReader, entry: Entry) -> None:
        seen = os.fstat(file.fileno())
        if seen.st_size != entry.size:
            raise ResultChanged(f"{_changed(entry.name)} has another size than when it was written.")
        key = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, entry.digest)
        with self._lock:
            if key in self._whole:
                self._whole.move_to_end(key)
                return
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.digest:
            raise ResultChanged(f"{_changed(entry.name)} does not hold what was written.")
        file.seek(0)
        self._remember(self._whole, key, None, _WHOLE)

    def _remember(self, among: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
        with self._lock:
            among[key] = value
            while len(among) > most:
                among.popitem(last=False)


def blocks(file: BufferedReader) -> Iterator[bytes]:
    """Read an open file to its end, a block at a time, and close it."""
    with file:
        while block := file.read(BLOCK):
            yield block


def _changed(name: str) -> str:
    return f"The file {name!r} of the results was changed or damaged: it"


@contextlib.contextmanager
def _folder(where: Path) -> Iterator[int]:
    try:
        handle = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ResultGone from error
    try:
        yield handle
    finally:
        os.close(handle)


def _file(folder: int, name: str) -> BufferedReader:
    """Open a plain file below a folder through no link."""
    *steps, last = name.split("/")
    at = os.dup(folder)
    try:
        for step in steps:
            inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(last, flags, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ResultChanged(f"The file {name!r} of the results was replaced by a link.") from error
        raise ResultGone(f"The file {name!r} of the results is gone, or may not be read.") from error
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ResultChanged(f"{name!r} is not a file any more.")
    return os.fdopen(file, "rb")


def _parse(where: Path, name: str, content: bytes, run: str, task: str) -> Result:
    try:
        document = json.loads(content) if len(content) <= MAX_MARKER_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ResultGone("The results cannot be told: the file that lists them is damaged.") from error
    if not isinstance(document, dict) or (document.get("run"), document.get("task")) != (run, task):
        raise ResultGone
    entries = document.get("entries")
    outputs = document.get("outputs")
    if not (
        isinstance(entries, list) and isinstance(outputs, dict) and isinstance(document.get("tree"), str)
    ):
        raise ResultGone("The results cannot be told: the file that lists them is damaged.")
    found = [Entry(*entry) for entry in entries if _is_entry(entry)]
    roles = {
        str(role): (str(one["type"]), str(one["path"])) for role, one in outputs.items() if _is_output(one)
    }
    return Result(where, name, document["tree"], {entry.name: entry for entry in found}, roles)


def _is_entry(entry: object) -> bool:
    if not (isinstance(entry, list) and [type(part) for part in entry] == [str, int, str]):
        return False
    return _is_plain(entry[0])


def _is_plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))


def _is_output(one: object) -> bool:
    if not (isinstance(one, dict) and isinstance(one.get("type"), str) and isinstance(one.get("path"), str)):
        return False
    return _is_plain(one["path"])
