# SPDX-License-Identifier: BSD-3-Clause
"""Images in OMERO for Runs whose results go beside them: there, two equal images are two images."""

from slidegate.domain.values import ImageRef
from slidegate.sources.base import Progress, text_digest

from .source import OmeroSource


class PlacedSource(OmeroSource):
    """An OmeroSource in which a copy of an image is another image.

    Equal requests are one Run, and a Run's images are known by what they hold. Results in OMERO lie beside an
    image, though: whoever asks for a copy wants them there, and not beside the image that was analysed first.
    """

    def content_digest(self, ref: ImageRef, progress: Progress | None = None) -> str:
        """Return a SHA-256 of the image's number, of which OMERO it is, and of all that it holds."""
        where = self._answer(lambda connection: connection.database)
        return text_digest("placed", where, ref.image, super().content_digest(ref, progress))
