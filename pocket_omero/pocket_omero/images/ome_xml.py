# SPDX-License-Identifier: GPL-2.0-or-later
"""What OME-XML says of images: names, sizes, channels, colours, dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

from pocket_omero.images.base import Channel, ImageError, Length

# the symbols of OME-XML, and OMERO's names of the units
LENGTHS = {
    "µm": "MICROMETER", "μm": "MICROMETER", "um": "MICROMETER", "micron": "MICROMETER",
    "microns": "MICROMETER", "micrometer": "MICROMETER", "nm": "NANOMETER",
    "nanometer": "NANOMETER", "pm": "PICOMETER", "mm": "MILLIMETER", "millimeter": "MILLIMETER",
    "cm": "CENTIMETER", "centimeter": "CENTIMETER",
    "m": "METER", "meter": "METER", "Å": "ANGSTROM", "angstrom": "ANGSTROM", "in": "INCH", "inch": "INCH",
    "pixel": "PIXEL", "reference frame": "REFERENCEFRAME",
}  # fmt: skip
TIMES = {
    "s": "SECOND", "sec": "SECOND", "second": "SECOND", "ms": "MILLISECOND", "millisecond": "MILLISECOND",
    "µs": "MICROSECOND", "μs": "MICROSECOND", "microsecond": "MICROSECOND", "ns": "NANOSECOND",
    "min": "MINUTE", "minute": "MINUTE", "h": "HOUR", "hour": "HOUR", "d": "DAY", "day": "DAY",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """One Image element."""

    name: str
    description: str
    channels: tuple[Channel, ...]  # one per plane colour: a channel with three samples counts three times
    sizes: tuple[Length | None, Length | None, Length | None]  # z, y, x
    increment: tuple[float, str] | None
    acquired: int | None
    rgb: bool


def milliseconds(text: str | None) -> int | None:
    """Turn an ISO 8601 date into milliseconds since 1970 (UTC unless it says otherwise)."""
    if not text:
        return None
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)


def symbol(unit: str) -> str:
    """The symbol of a unit of length that OMERO names; empty for those that have none here."""
    return next((symbol for symbol, name in LENGTHS.items() if name == unit), "")


def length(value: float | str | None, unit: str | None) -> Length | None:
    """Join a positive number and the symbol of a unit (µm where none is said)."""
    try:
        number = float(value) if value is not None else 0.0
    except ValueError:
        return None
    name = LENGTHS.get((unit or "µm").strip(), LENGTHS.get((unit or "").strip().lower()))
    return (number, name) if name and 0 < number < float("inf") else None


def _color(text: str | None) -> tuple[int, int, int, int] | None:
    try:
        number = int(text or "") & 0xFFFFFFFF  # signed 32 bit: red, green, blue, alpha from the top
    except ValueError:
        return None
    red, green, blue, alpha = number.to_bytes(4, "big")
    return red, green, blue, alpha or 255  # many writers forget alpha


def _wavelength(channel: ElementTree.Element, which: str) -> Length | None:
    unit = channel.get(f"{which}WavelengthUnit") or "nm"
    return length(channel.get(f"{which}Wavelength"), unit)


def _channels(pixels: ElementTree.Element) -> tuple[Channel, ...]:
    found = []
    for element in pixels.iterfind("{*}Channel"):
        samples = int(element.get("SamplesPerPixel") or 1)
        channel = Channel(
            name=element.get("Name") or element.get("Fluor"),
            color=_color(element.get("Color")) if samples == 1 else None,
            emission=_wavelength(element, "Emission"),
            excitation=_wavelength(element, "Excitation"),
        )
        found += [channel] * samples
    return tuple(found)


def describe(text: str | bytes) -> list[Described]:
    """Read all Image elements, in their order.

    Raises
    ------
    ImageError
        when it is no XML.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - see the import
        return [_image(element) for element in root.iterfind("{*}Image")]
    except (ElementTree.ParseError, ValueError) as error:
        raise ImageError(f"the OME-XML of this image cannot be read: {error}") from error


def _image(element: ElementTree.Element) -> Described:
    pixels = element.find("{*}Pixels")
    if pixels is None:
        pixels = ElementTree.Element("Pixels")
    increment = None
    unit = TIMES.get(pixels.get("TimeIncrementUnit") or "s")
    if (every := pixels.get("TimeIncrement")) and unit:
        increment = (float(every), unit)
    return Described(
        name=element.get("Name") or "",
        description=element.findtext("{*}Description") or "",
        channels=_channels(pixels),
        sizes=tuple(  # type: ignore[arg-type]
            length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit")) for axis in "ZYX"
        ),
        increment=increment,
        acquired=milliseconds(element.findtext("{*}AcquisitionDate")),
        rgb=any(int(c.get("SamplesPerPixel") or 1) > 1 for c in pixels.iterfind("{*}Channel")),
    )
