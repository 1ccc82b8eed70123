# SPDX-License-Identifier: BSD-3-Clause
"""The files of a result as they lie here: looked through once, compared with what was fetched, packed."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slidegate.domain.values import digest_of
from slidegate.sources.base import Publication, part_of
from slidegate.sources.errors import ImageNotFoundError, ResultDamagedError, UnsafeResultError

_BLOCK = 4 * 2**20
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file of a result; `name` with its folders below the result."""

    name: str
    path: Path
    size: int
    sha256: str


def listed(files: Path) -> Iterator[ResultFile]:
    """Yield all files below a folder, each read once.

    Raises
    ------
    ImageNotFoundError
        The folder is gone.
    UnsafeResultError
        There is a link or a special file in it.
    """
    if not files.is_dir():
        raise ImageNotFoundError("the result's files are gone")
    for folder, inner, names in os.walk(files):
        inner.sort()
        for name in [*inner, *sorted(names)]:
            mode = (Path(folder) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UnsafeResultError
        for name in sorted(names):
            path = Path(folder) / name
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            yield ResultFile(path.relative_to(files).as_posix(), path, path.stat().st_size, digest)


def check_parts(publication: Publication, files: Mapping[str, ResultFile]) -> None:
    """Compare what is there with what was fetched.

    Raises
    ------
    ResultDamagedError
        It is not the same.
    """
    entries = [(file.name, file.size, file.sha256) for file in files.values()]
    for role, tree in publication.parts.items():
        found = part_of(entries, publication.outputs[role])
        if digest_of({"tree": 1, "entries": sorted(found)}) != tree:
            raise ResultDamagedError


def pack(target: Path, inside: Sequence[ResultFile]) -> None:
    """Write files to a zip, stored; equal files give equal bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for file in inside:
            entry = zipfile.ZipInfo(file.name, _ZIP_TIME)
            with file.path.open("rb") as reading, packed.open(entry, "w", force_zip64=True) as writing:
                while block := reading.read(_BLOCK):
                    writing.write(block)
