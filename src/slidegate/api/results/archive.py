# SPDX-License-Identifier: BSD-3-Clause
"""All results of a Run as one zip file, made while it is sent: no more than a block of it is in memory."""

import os
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from slidegate.api.results.errors import ResultsProblem
from slidegate.api.results.folder import BLOCK, Entry, Result, Results

NOTE = "PLEASE-READ.txt"
_FIRST = 315532800.0  # 1980, when zip files begin
_PACKED = (".html", ".json", ".log", ".txt", ".csv", ".xml")


class _Pipe:
    """A file for `zipfile` that cannot seek: keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def zipped(results: Results, chosen: Iterable[Result | str]) -> Iterator[bytes]:
    """Yield a zip file with a folder for each result.

    What is gone or changed is left out, and a note at the end of the archive says so in words; where a whole
    result cannot be read, `chosen` has words instead of it. A repeat gives the same files.
    """
    pipe = _Pipe()
    missing: list[str] = []
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]
        taken: set[str] = set()
        for result in chosen:
            if isinstance(result, str):
                missing.append(result)
                continue
            folder = _free(result.name, taken)
            for entry in result.entries.values():
                try:
                    yield from _added(archive, pipe, results, result, entry, folder)
                except ResultsProblem as problem:
                    missing.append(f"{folder}/{entry.name}: {problem.message}")
        if missing:
            words = "These files are not in this archive:\n\n" + "\n".join(missing) + "\n"
            archive.writestr(NOTE, words)
        yield pipe.take()
    yield pipe.take()


def _added(
    archive: zipfile.ZipFile, pipe: _Pipe, results: Results, result: Result, entry: Entry, folder: str
) -> Iterator[bytes]:
    with results.open(result, entry.name) as file:
        packed = entry.name.endswith(_PACKED)
        info = zipfile.ZipInfo(f"{folder}/{entry.name}", time.gmtime(max(_when(file), _FIRST))[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        info.external_attr = 0o100644 << 16
        info.file_size = entry.size
        with archive.open(info, "w", force_zip64=entry.size > zipfile.ZIP64_LIMIT // 2) as inner:
            while block := file.read(BLOCK):
                inner.write(block)
                yield pipe.take()
    yield pipe.take()


def _when(file: BinaryIO) -> float:
    return os.fstat(file.fileno()).st_mtime


def _free(name: str, taken: set[str]) -> str:
    """Return a name for a folder in the archive that no other result has."""
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{name} ({number})"
    taken.add(found.casefold())
    return found
