# SPDX-License-Identifier: BSD-3-Clause
"""Images in folders of this computer: TIFF, OME-TIFF and OME-Zarr."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from slidegate_analysis.images import write_image
from slidegate_analysis.images.arrays import writing
from slidegate_analysis.images.image import check_bounds
from slidegate_analysis.images.multiscale import refuse_links

from slidegate.domain.values import ImageRef, digest_of

from . import ome_zarr, tiff
from .base import (
    CONVERTER,
    Choice,
    ImageInfo,
    Overview,
    Pixels,
    Progress,
    Region,
    split_choice,
    text_digest,
)
from .errors import (
    ImageChangedError,
    ImageNotFoundError,
    ImageUnreadableError,
    LoopingFolderError,
    NotAnImageError,
    SourceError,
    TooManyFilesError,
    looking,
    translated,
)
from .folder_sink import MARKER, FolderSink
from .overview import overview

__all__ = ["FORMATS", "FolderSink", "FolderSource", "Format", "is_image", "is_result"]

MAX_ENTRIES = 1_000_000
MAX_DEPTH = 32
_READ_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Format:
    """One image format.

    Attributes
    ----------
    accepts
        Whether a path looks like this format, by its name or, for a folder, by what lies in it.
    open_pixels
        ``open_pixels(path, choice, scratch)``: a context manager that yields `Pixels`.
    """

    accepts: Callable[[Path], bool]
    open_pixels: Callable[[Path, Choice, Path | None], AbstractContextManager[Pixels]]


FORMATS = (Format(ome_zarr.accepts, ome_zarr.open_pixels), Format(tiff.accepts, tiff.open_pixels))


class FolderSource:
    """An ImageSource that reads files and folders.

    An image's name is its absolute path, with ``#z=3,t=0`` behind it where one plane of several is meant.
    Nothing in the folders is ever changed. Several threads and processes may use it at once.

    Parameters
    ----------
    formats
        The formats that are read; the first that accepts a path reads it.
    """

    name = "folder"

    def __init__(self, formats: tuple[Format, ...] = FORMATS) -> None:
        self._formats = formats

    def find(self, where: str) -> list[ImageRef]:
        """List the images at a path, sorted: itself, or all images below a folder but for results of Runs.

        Symbolic links are followed. Names that begin with a dot are left out.

        Raises
        ------
        ImageNotFoundError, ImageUnreadableError, NotAnImageError
            There is nothing, it may not be read, or it is a file of another kind.
        LoopingFolderError, TooManyFilesError
            A link leads back up; the folder is too large.
        """
        path, choice = split_choice(where)
        if not _exists(path):
            raise ImageNotFoundError(where)
        path = path.resolve() if ".." in path.parts else path.absolute()
        suffix = f"#{choice.text}" if choice.text else ""
        with looking():
            if self._format(path) is not None:
                return [ImageRef(self.name, f"{path}{suffix}")]
            if not path.is_dir():
                raise NotAnImageError
            return sorted(ImageRef(self.name, f"{found}{suffix}") for found in _walk(path, self._format))

    def describe(self, ref: ImageRef) -> ImageInfo:
        """Read an image's metadata; see `ImageSource.describe`. Reads a few kilobytes.

        Raises
        ------
        SourceError
            One of them, for each thing that makes an image unfit.
        """
        path, choice = _located(ref)
        with self._opened(path, choice, None) as pixels:
            c, y, x = pixels.shape
            size = c * y * x * pixels.dtype.itemsize
            name = f"{path.name}#{choice.text}" if choice.text else path.name
            return ImageInfo(
                name, pixels.shape, pixels.dtype.name, pixels.channels, pixels.pixel_size_um, size
            )

    def fingerprint(self, ref: ImageRef) -> str:
        """Return text that changes with the name, size or times of any file of the image; opens no file."""
        path, choice = _located(ref)
        marks = [f"{name}/{s.st_size}/{s.st_mtime_ns}/{s.st_ctime_ns}" for name, s in _files(path)]
        return text_digest(CONVERTER, choice.text, *marks)

    def content_digest(self, ref: ImageRef, progress: Progress | None = None) -> str:
        """Return a SHA-256 of the image's bytes: of the file, or of the canonical list of a folder's files.

        Where a plane was chosen, it enters into the digest, because another plane is another image.

        Parameters
        ----------
        progress
            Called with (bytes read, all bytes).
        """
        path, choice = _located(ref)
        files = _files(path)
        total = sum(state.st_size for _, state in files)
        entries: list[tuple[str, int, str]] = []
        done = 0
        for name, state in files:
            digest = hashlib.sha256()
            for block in _blocks(path / name if name else path):
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, max(total, done))
            entries.append((name, state.st_size, digest.hexdigest()))
        one_file = len(entries) == 1 and not entries[0][0]
        whole = entries[0][2] if one_file else digest_of({"tree": 1, "entries": entries})
        return text_digest(whole, choice.text) if choice.text else whole

    def stage(
        self, ref: ImageRef, folder: Path, progress: Progress | None = None, *, parts: Path | None = None
    ) -> None:
        """Write the image as OME-Zarr 0.5 to `folder`, absent or empty before, whole or untouched after.

        Parameters
        ----------
        progress
            Called with (bytes of pixels written, all of them).
        parts
            Not needed here: to read an image again is as fast as to go on.

        Raises
        ------
        SourceError
            The image is unfit or damaged, the disk is full, or the image changed meanwhile; nothing is left
            behind.
        """
        path, choice = _located(ref)
        before = self.fingerprint(ref)
        folder = folder.absolute()
        with translated():
            with writing():
                folder.parent.mkdir(parents=True, exist_ok=True)
            with self._opened(path, choice, folder.parent) as pixels:
                write_image(
                    folder,
                    pixels.shape,
                    pixels.dtype,
                    pixels.read,
                    channels=pixels.channels,
                    pixel_size_um=pixels.pixel_size_um,
                    progress=progress,
                )
        if self.fingerprint(ref) != before:
            shutil.rmtree(folder)
            raise ImageChangedError

    def overview(
        self, ref: ImageRef, side: int, scratch: Path | None = None, progress: Progress | None = None
    ) -> Overview:
        """Return the image made small, at most `side` pixels high and wide; see `slidegate.sources.overview`.

        Parameters
        ----------
        scratch
            A folder for one plane, uncompressed, of a file that is stored in compressed strips.
        progress
            Called with (parts read, all of them); what it raises ends the work.

        Raises
        ------
        SourceError
            The image is unfit or damaged.
        """
        path, choice = _located(ref)
        with self._opened(path, choice, scratch) as pixels:
            return overview(pixels, side, progress)

    def regions(self, ref: ImageRef) -> list[Region]:
        """Return what people drew on the image: what a file of QuPath beside it says.

        The regions of ``a.tif`` lie in ``a.tif.geojson``, see `slidegate.sources.geojson`.

        Raises
        ------
        SourceError
            The image is unfit, or the file cannot be used.
        """
        from . import geojson  # takes its time, and is seldom needed

        path, choice = _located(ref)
        file = geojson.file_of(path)
        if not _exists(file):
            return []
        return geojson.read_geojson(file, self.describe(ref).shape[1:], choice)

    def crop(self, ref: ImageRef, region: tuple[int, int, int, int], folder: Path) -> None:
        """Write a region, half-open (y0, y1, x0, x1) in full-resolution pixels, as an image of its own.

        It is an OME-Zarr 0.5 like a staged image, with the channels and the pixel size of the whole; `folder`
        is absent or empty before. Equal regions of equal images give equal bytes.

        Raises
        ------
        SourceError
            The region does not lie inside the image; the image is unfit or damaged; the disk is full.
        """
        path, choice = _located(ref)
        y0, y1, x0, x1 = region
        folder = folder.absolute()
        with translated():
            with writing():
                folder.parent.mkdir(parents=True, exist_ok=True)
            with self._opened(path, choice, folder.parent) as pixels:
                check_bounds((pixels.shape[1], pixels.shape[2]), y0, y1, x0, x1)
                write_image(
                    folder,
                    (pixels.shape[0], y1 - y0, x1 - x0),
                    pixels.dtype,
                    lambda c, top, bottom, left, right: pixels.read(
                        c, y0 + top, y0 + bottom, x0 + left, x0 + right
                    ),
                    channels=pixels.channels,
                    pixel_size_um=pixels.pixel_size_um,
                )

    def _format(self, path: Path) -> Format | None:
        return next((format_ for format_ in self._formats if format_.accepts(path)), None)

    def _opened(self, path: Path, choice: Choice, scratch: Path | None) -> AbstractContextManager[Pixels]:
        with looking():
            format_ = self._format(path)
        if format_ is None:
            raise NotAnImageError
        return format_.open_pixels(path, choice, scratch)


def is_image(path: Path) -> bool:
    """Return whether a path looks like an image, by its name or by what lies in it; label images are none."""
    found = any(format_.accepts(path) for format_ in FORMATS)
    return found and not (path.is_dir() and _is_label(path))


def is_result(path: Path) -> bool:
    """Return whether a folder holds results that were published there."""
    return (path / MARKER).is_file()


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError as error:
        raise ImageUnreadableError from error
    except (OSError, ValueError):
        return False
    return True


def _located(ref: ImageRef) -> tuple[Path, Choice]:
    path, choice = split_choice(ref.image)
    if not _exists(path):
        raise ImageNotFoundError
    return path, choice


def _walk(top: Path, format_of: Callable[[Path], Format | None]) -> Iterator[Path]:
    """Find images below a folder, following links, never into an image and never into a Run's results."""
    seen = 0
    waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(top, ())]
    while waiting:
        folder, above = waiting.pop()
        state = folder.stat()
        here = (state.st_dev, state.st_ino)
        if here in above:
            raise LoopingFolderError
        if len(above) > MAX_DEPTH:
            raise TooManyFilesError(f"deeper than {MAX_DEPTH} folders")
        for name in sorted(path.name for path in folder.iterdir()):
            seen += 1
            if seen > MAX_ENTRIES:
                raise TooManyFilesError(f"more than {MAX_ENTRIES} entries")
            path = folder / name
            if name.startswith(".") or not path.exists():
                continue
            if format_of(path) is not None:
                if not (path.is_dir() and _is_label(path)):
                    yield path
            elif path.is_dir() and not (path / MARKER).is_file():
                waiting.append((path, (*above, here)))


def _is_label(path: Path) -> bool:
    try:
        return ome_zarr.is_label(path)
    except SourceError:
        return False  # listed, so that opening it says what is wrong


def _files(path: Path) -> list[tuple[str, os.stat_result]]:
    """Return names below `path` and states of an image's files, sorted; just one without name for a file."""
    with looking(), translated():
        state = path.stat()
        if stat.S_ISREG(state.st_mode):
            return [("", state)]
        if not stat.S_ISDIR(state.st_mode):
            raise NotAnImageError("it is neither a file nor a folder")
        refuse_links(path)
        found = []
        for folder, _, names in os.walk(path, onerror=_raise):
            for name in names:
                file = Path(folder) / name
                found.append((file.relative_to(path).as_posix(), file.lstat()))
    return sorted(found, key=lambda entry: entry[0])


def _raise(error: OSError) -> None:
    raise error


def _blocks(file: Path) -> Iterator[bytes]:
    with looking(), file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            yield block
