# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong in the nuclei workflow: per situation a class, a sentence for the user, a stable code."""


class NucleiError(Exception):
    """The nuclei cannot be detected."""

    code = "nuclei-failed"
    transient = False

    def __init__(self, detail: str = "") -> None:
        sentence = " ".join((type(self).__doc__ or self.code).split("\n\n")[0].split())
        super().__init__(f"{sentence} ({detail})" if detail else sentence)
        self.detail = detail


class PixelSizeMissingError(NucleiError):
    """The image does not state the size of its pixels: give pixel_size_um, in micrometres per pixel."""

    code = "pixel-size-missing"


class NoSuchChannelError(NucleiError):
    """The image has no such channel: give the name or the number (from 0) of one that it has."""

    code = "no-such-channel"

    def __init__(self, wanted: str, names: tuple[str, ...]) -> None:
        listed = ", ".join(f"{number} {name!r}" for number, name in enumerate(names))
        super().__init__(f"asked for {wanted!r}; there are {listed}")


class DiameterOutOfRangeError(NucleiError):
    """The nuclei would be too small or too large in pixels: check the diameter and the pixel size."""

    code = "diameter-out-of-range"

    def __init__(self, diameter_px: float, smallest: float, largest: float) -> None:
        super().__init__(f"{diameter_px:.3g} pixels; {smallest:.3g} to {largest:.3g} can be detected")


class ImageTooLargeError(NucleiError):
    """The image has more pixels than ids for nuclei exist: detect nuclei on a part of it."""

    code = "image-too-large"

    def __init__(self, height: int, width: int) -> None:
        super().__init__(f"{height} x {width} pixels; at most 4294967294 are possible")


class OtherNumericClassError(NucleiError):
    """The plan was made with other versions than this worker has, so its results could differ."""

    code = "other-numeric-class"


class BadParameterError(NucleiError):
    """A parameter is missing or out of its range."""

    code = "bad-parameters"


class BadPlanError(NucleiError):
    """The plan of this analysis is not there or cannot be read."""

    code = "bad-plan"
