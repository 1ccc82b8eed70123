# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong between slidegate and an OMERO; messages name no image and no person."""

from slidegate.sources.errors import ImageNotFoundError, ImageUnreadableError, PlaneNeededError, SourceError


class OmeroError(SourceError):
    """OMERO did not do what it was asked for."""

    code = "omero-failed"
    is_of_image = False


class OmeroUnreachableError(OmeroError):
    """OMERO cannot be reached: its address may be wrong, or it does not run."""

    code = "omero-unreachable"
    transient = True


class OmeroCertificateError(OmeroError):
    """OMERO's certificate is not trusted: it has run out, is for another name, or nobody known signed it."""

    code = "omero-certificate"


class OmeroAuthorityError(OmeroError):
    """The file with the certificates that may sign OMERO's is not there, cannot be read, or holds none."""

    code = "omero-authority-unreadable"
    exit_code = 2


class OmeroLoginError(OmeroError):
    """OMERO does not know this name with this password."""

    code = "omero-login-refused"


class OmeroSessionGoneError(OmeroError):
    """The session in OMERO has ended: it ran out, was closed, or OMERO was restarted. Log in again."""

    code = "omero-session-gone"


class OmeroNotPermittedError(ImageUnreadableError):
    """OMERO does not permit this to the person who is logged in."""

    code = "omero-not-permitted"


class OmeroNotFoundError(ImageNotFoundError):
    """OMERO has nothing of that name, or does not show it to the person who is logged in."""

    code = "omero-not-found"


class OmeroBusyError(OmeroError):
    """OMERO could not answer at that moment."""

    code = "omero-busy"
    transient = True


class OmeroInterruptedError(OmeroError):
    """The connection to OMERO was lost, or OMERO was stopped."""

    code = "omero-interrupted"
    transient = True


class OmeroRegionError(OmeroError):
    """A region that was drawn in OMERO cannot be used."""

    code = "omero-region-unusable"


class OmeroPlaneNeededError(PlaneNeededError):
    """The image is a stack or a time series and one plane is analysed: name it, as in image/12#z=3,t=0."""


class OmeroLabelImageError(OmeroError):
    """It is a photograph of the label or of the whole glass, which may name a patient: it stays in OMERO."""

    code = "omero-label-image"
    is_of_image = True


class OmeroTransferError(OmeroError):
    """OMERO holds other bytes than were sent to it; they were not attached."""

    code = "omero-transfer-damaged"
    transient = True


class OmeroResultRefusedError(OmeroError):
    """Results cannot be written to this image: in its group this person may only look at it."""

    code = "omero-result-refused"
