# SPDX-License-Identifier: BSD-3-Clause
"""What can be wrong with an image or a place for results; messages name no image: it may name a patient."""

from collections.abc import Iterator
from contextlib import contextmanager

from slidegate_analysis.images import ImagesError

from slidegate.domain.errors import SlidegateError


class SourceError(SlidegateError):
    """The image cannot be used."""

    code = "image-unusable"
    is_of_image: bool = True
    """Whether it is the image, and not the way to it: others can be read nevertheless."""

    def __init__(self, detail: str = "") -> None:
        sentence = " ".join((type(self).__doc__ or self.code).split("\n\n")[0].split())
        super().__init__(f"{sentence.rstrip('.')} ({detail})." if detail else sentence)


class ImageNotFoundError(SourceError):
    """There is no such image or folder."""

    code = "image-not-found"
    exit_code = 2


class ImageUnreadableError(SourceError):
    """The image may not be read by this account."""

    code = "image-unreadable"


class StorageFailedError(SourceError):
    """The storage that holds the image did not answer as it should."""

    code = "image-storage-failed"
    transient = True


class NotEnoughMemoryError(SourceError):
    """There was not enough memory to read the image."""

    code = "image-not-enough-memory"
    transient = True


class NotAnImageError(SourceError):
    """It is not an image in a format that slidegate reads: TIFF, OME-TIFF or OME-Zarr."""

    code = "not-an-image"


class EmptyFileError(SourceError):
    """The image file is empty."""

    code = "image-empty-file"


class TruncatedImageError(SourceError):
    """The image file ends before its pixels do: it was not copied or written completely."""

    code = "image-truncated"


class DamagedImageError(SourceError):
    """The image file is damaged: its pixels or tables cannot be decoded."""

    code = "image-damaged"


class BadMetadataError(SourceError):
    """What the image says about itself cannot be understood, or is contradicted by its pixels."""

    code = "image-bad-metadata"


class UnsafeMetadataError(SourceError):
    """The image's metadata declares XML entities, which could reach other files and is refused."""

    code = "image-unsafe-metadata"


class SplitImageError(SourceError):
    """The image is spread over several files; only images that are whole in one file or folder are read."""

    code = "image-in-several-files"


class BrightfieldError(SourceError):
    """The image is in colour (RGB); the analysis takes fluorescence channels, one intensity per pixel."""

    code = "image-brightfield"


class PixelTypeError(SourceError):
    """Only unsigned 8-bit and 16-bit whole-number pixels can be analysed."""

    code = "pixels-unsupported"


class PlaneNeededError(SourceError):
    """The image is a stack or a time series and one plane is analysed: name it, as in image.tif#z=3,t=0."""

    code = "image-plane-needed"


class SeriesNeededError(SourceError):
    """The file holds several images: name one, as in image.ome.tif#series=0."""

    code = "image-series-needed"


class NoSuchPlaneError(SourceError):
    """The image has no such plane."""

    code = "image-no-such-plane"
    exit_code = 2


class PixelsNotSquareError(SourceError):
    """The image's pixels are not squares, so that lengths and areas would be wrong."""

    code = "pixels-not-square"


class NoPixelsError(SourceError):
    """The image has metadata but not one stored pixel."""

    code = "image-without-pixels"


class RegionsUnusableError(SourceError):
    """What was drawn on the image cannot be used as regions."""

    code = "regions-unusable"


class ImageChangedError(SourceError):
    """The image was changed while it was being read."""

    code = "image-changed"
    transient = True


class LoopingFolderError(SourceError):
    """A symbolic link in the folder leads back to a folder above it."""

    code = "folder-loops"


class TooManyFilesError(SourceError):
    """The folder holds too many files or goes too deep; choose a smaller one."""

    code = "folder-too-large"


class TargetNotWritableError(SourceError):
    """The place for results or staged images cannot be written."""

    code = "target-not-writable"
    transient = True


class DiskFullError(TargetNotWritableError):
    """The disk is full."""

    code = "disk-full"


class UnsafeResultError(SourceError):
    """The result holds something that is neither a file nor a folder, and is not published."""

    code = "result-unsafe"


class ResultDamagedError(SourceError):
    """The result was damaged on this computer before it was published; it is fetched again."""

    code = "result-damaged"
    transient = True


class ImageRefusedError(SourceError):
    """The image was refused."""

    def __init__(self, cause: ImagesError) -> None:
        SlidegateError.__init__(self, str(cause))
        self.code = cause.code
        self.transient = cause.transient


@contextmanager
def looking() -> Iterator[None]:
    """Turn the system's errors while looking at files into ours."""
    try:
        yield
    except PermissionError as error:
        raise ImageUnreadableError from error
    except FileNotFoundError as error:
        raise ImageChangedError("a file of it is gone") from error
    except OSError as error:
        raise StorageFailedError(error.strerror or "") from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn what `slidegate_analysis.images` raises into our errors: same sentence, same code."""
    try:
        yield
    except ImagesError as error:
        raise ImageRefusedError(error) from error
