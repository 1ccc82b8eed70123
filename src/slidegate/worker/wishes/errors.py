# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong while a wish is granted."""

from slidegate.domain.errors import BadRequest, SlidegateError


class BadWish(BadRequest):
    """The request cannot be understood."""

    code = "bad-wish"


class OmeroNotServed(BadRequest):
    """No OMERO is known here: whoever looks after slidegate names one in the setting omero_host."""

    code = "omero-not-configured"


class OmeroNotBrowsed(BadRequest):
    """Images in OMERO are chosen in OMERO.web: select them there, and then Run on cluster."""

    code = "omero-not-browsed"


class ImagesRefused(BadRequest):
    """Some of the images cannot be used."""

    code = "images-refused"


class PictureGone(SlidegateError):
    """The image was changed or removed since it was analysed, and the site does not keep it any more."""

    code = "picture-gone"


class RegionRefused(BadRequest):
    """The region does not lie inside the image, or is too large or too small for a preview."""

    code = "region-refused"


class PreviewFailed(SlidegateError):
    """The workflow did not manage the region."""

    code = "preview-failed"


class PreviewTookTooLong(SlidegateError):
    """The preview took too long; choose a smaller region, or try again when this computer is less busy."""

    code = "preview-too-long"
