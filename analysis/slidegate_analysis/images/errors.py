# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong with pixels: one class per situation, a sentence for the user and a stable code each."""


class ImagesError(Exception):
    """The image cannot be used."""

    code = "image-unusable"
    transient = False

    def __init__(self, detail: str = "") -> None:
        sentence = (type(self).__doc__ or self.code).split("\n\n")[0].strip()
        super().__init__(f"{sentence.rstrip('.')} ({detail})." if detail else sentence)
        self.detail = detail


class NotAnImageFolderError(ImagesError):
    """The folder is not an OME-Zarr image."""

    code = "zarr-not-an-image"


class UnreadableImageError(ImagesError):
    """The image may not be read."""

    code = "image-unreadable"


class BadImageMetadataError(ImagesError):
    """The OME-Zarr metadata cannot be understood."""

    code = "zarr-bad-metadata"


class PathOutsideImageError(ImagesError):
    """The OME-Zarr points to something outside its own folder, which is refused."""

    code = "zarr-points-outside"


class UnsupportedPixelsError(ImagesError):
    """Only unsigned 8-bit and 16-bit whole-number pixels can be analysed."""

    code = "pixels-unsupported"


class UnreasonableSizeError(ImagesError):
    """The image has a size that cannot be handled."""

    code = "image-size-unreasonable"


class OutOfBoundsError(ImagesError):
    """The region asked for does not lie inside the image."""

    code = "region-out-of-bounds"


class BadRegionsError(ImagesError):
    """The regions that were drawn on the image cannot be read."""

    code = "regions-unreadable"


class TooFewThreadsError(ImagesError):
    """No more threads may be started on this computer just now; it is tried again."""

    code = "too-few-threads"
    transient = True


class PixelsMissingError(ImagesError):
    """Some pixels of the image were never written or are gone."""

    code = "pixels-missing"


class PixelsDamagedError(ImagesError):
    """Some pixels of the image cannot be read because their file is damaged."""

    code = "pixels-damaged"


class WrongPixelsError(ImagesError):
    """The pixels given do not have the shape or type that was announced."""

    code = "pixels-mismatch"


class NotWholeShardsError(ImagesError):
    """Labels are written in whole shards, so that no two writers ever share a file."""

    code = "labels-not-whole-shards"


class AlreadyThereError(ImagesError):
    """Something else already lies where the image should be written."""

    code = "target-exists"


class CannotWriteError(ImagesError):
    """The place where the image should be written cannot be written."""

    code = "target-not-writable"
    transient = True


class DiskFullError(CannotWriteError):
    """The disk is full."""

    code = "disk-full"
