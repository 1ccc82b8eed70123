# SPDX-License-Identifier: GPL-2.0-or-later
"""From intensities to colours: windows, curves and colours of channels, added up."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from pocket_omero.images.base import Array, Channel, ImageInfo, Plane, Reader
from pocket_omero.images.pyramid import LARGE

FAMILIES = ("linear", "polynomial", "exponential", "logarithmic")
MODELS = ("rgb", "greyscale")
ACTIVE = 3  # so many channels are shown unless somebody says otherwise
_CYCLE = ((255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255))
_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How one channel is shown: intensities from `low` to `high` become black to `color`, along a curve."""

    low: float
    high: float
    color: tuple[int, int, int, int] = _WHITE  # red, green, blue, alpha
    active: bool = True
    family: str = "linear"
    coefficient: float = 1.0
    reverse: bool = False
    noise_reduction: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """How an image is shown."""

    model: str
    z: int
    t: int
    channels: tuple[ChannelSettings, ...] = field(default=())

    def with_channel(self, number: int, **changes: Any) -> Settings:
        """The same but for one channel."""
        changed = replace(self.channels[number], **changes)
        return replace(self, channels=(*self.channels[:number], changed, *self.channels[number + 1 :]))


def _color(channel: Channel, number: int, count: int) -> tuple[int, int, int, int]:
    """The colour that a file names, or one that suits the wavelength, or one after the other."""
    if channel.color is not None:
        return channel.color
    if count == 1:
        return _WHITE
    if channel.emission is not None and channel.emission[1] == "NANOMETER":
        wave = channel.emission[0]
        return _CYCLE[2] if wave < 500 else _CYCLE[1] if wave < 560 else _CYCLE[0]
    return _CYCLE[number % len(_CYCLE)]


def small_level(info: ImageInfo, height: int, width: int) -> int:
    """The smallest level that is at least so high and wide."""
    good = [n for n, (rows, columns) in enumerate(info.levels) if rows >= height and columns >= width]
    return good[-1] if good else 0


def measure(reader: Reader) -> list[tuple[float, float]]:
    """Smallest and largest value of each channel in its middle plane; of large images at a smaller level."""
    t, channels, z = reader.info.shape[:3]
    areas = [height * width for height, width in reader.info.levels]
    level = next((n for n, area in enumerate(areas) if area <= LARGE), len(areas) - 1)
    found = []
    for channel in range(channels):
        plane = reader.read(level, Plane(t // 2, channel, z // 2), 0, 0, *reader.info.levels[level])
        found.append(extremes([plane]))
    return found


def extremes(parts: Iterable[Array]) -> tuple[float, float]:
    """Smallest and largest finite value; 0 and 1 where there is none."""
    low, high = np.inf, -np.inf
    for part in parts:
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def defaults(info: ImageInfo, measured: Sequence[tuple[float, float]]) -> Settings:
    """How an image is shown unless somebody says otherwise.

    Parameters
    ----------
    info : ImageInfo
        What the file says goes first.
    measured : sequence of (float, float)
        Smallest and largest value per channel.
    """
    count = info.shape[1]
    said = info.channels if len(info.channels) == count else (Channel(),) * count
    grey = count == 1 and said[0].color is None
    channels = []
    for number, (channel, ends) in enumerate(zip(said, measured, strict=True)):
        low, high = channel.window or ends
        channels.append(
            ChannelSettings(
                low=low,
                high=high if high > low else low + 1,
                color=_color(channel, number, count),
                active=number < ACTIVE if channel.active is None else bool(channel.active),
            )
        )
    return Settings("greyscale" if grey else "rgb", info.shape[2] // 2, 0, tuple(channels))


def _curve(values: Array, settings: ChannelSettings) -> Array:
    """Map values in the window to 0 to 1. Families as OMERO names them; `coefficient` bends the curve."""
    share = np.clip((values.astype(np.float64) - settings.low) / (settings.high - settings.low), 0, 1)
    share = np.nan_to_num(share)
    power = settings.coefficient
    if settings.family == "polynomial":
        share = share**power
    elif settings.family == "exponential":
        share = np.expm1(share**power) / np.expm1(1)
    elif settings.family == "logarithmic":
        share = np.log1p(share * np.expm1(1))
    return 1 - share if settings.reverse else share


def _shares(values: Array, settings: ChannelSettings) -> Array:
    """The same, through a table where there are few values; float32."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and values.size > 1 << 14:
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        limits = np.iinfo(native.dtype)
        table = _curve(np.arange(limits.min, limits.max + 1), settings).astype(np.float32)
        return table[native.astype(np.int32) - limits.min]
    return _curve(values, settings).astype(np.float32)


def render(read: Callable[[int], Array], settings: Settings) -> Array:
    """Show one plane.

    Parameters
    ----------
    read : callable
        Channel number to its intensities (y, x); called for active channels only.
    settings : Settings
        In the greyscale model the first active channel is shown, in grey.

    Returns
    -------
    Array
        (y, x, 3), uint8.
    """
    active = [number for number, channel in enumerate(settings.channels) if channel.active]
    if not active:
        return np.zeros((*read(0).shape, 3), np.uint8)
    if settings.model == "greyscale":
        grey = np.rint(_shares(read(active[0]), settings.channels[active[0]]) * 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    total: Array = np.zeros((), np.float32)
    for number in active:
        channel = settings.channels[number]
        weight = np.array(channel.color[:3], np.float32) * (channel.color[3] / 255)
        total = total + _shares(read(number), channel)[..., None] * weight
    shown: Array = np.rint(np.clip(total, 0, 255)).astype(np.uint8)
    return shown


def jpeg(picture: Array, quality: float) -> bytes:
    """Pack a picture (y, x, 3), uint8; `quality` from 0 to 1."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=max(1, min(95, round(quality * 100))))
    return stream.getvalue()


def resized(picture: Array, height: int, width: int) -> Array:
    """Scale a picture (y, x, 3), uint8."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def thumbnail(reader: Reader, settings: Settings, height: int, width: int) -> bytes:
    """Show a whole plane in so many pixels, as JPEG."""
    level = small_level(reader.info, height, width)
    rows, columns = reader.info.levels[level]
    stride = max(1, min(rows // (2 * height), columns // (2 * width)))

    def read(channel: int) -> Array:
        return reader.read(level, Plane(settings.t, channel, settings.z), 0, 0, rows, columns)[
            ::stride, ::stride
        ]

    return jpeg(resized(render(read, settings), height, width), 0.85)
