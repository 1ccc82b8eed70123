# SPDX-License-Identifier: GPL-2.0-or-later
"""IPixels: what images are made of, and new ones made plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import omero.all
from omero.rtypes import rlong

from pocket_omero.errors import Forbidden, Invalid, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity
from pocket_omero.images import PIXEL_TYPES, Channel, ImageInfo, rows, settings
from pocket_omero.images.enumerations import BITS

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Pixels", "loaded_settings", "readable", "readable_pixels"]

_MOST = 1 << 40  # bytes of one image


def readable(service: Service, kind: str, id: int, current: Any) -> Row:
    """A row that the caller sees.

    Raises
    ------
    Invalid
        when there is none.
    """
    row = service.house.state.get(kind, id)
    if row is None or not service.house.rights.can_read(service.caller(current), row):
        raise Invalid(f"Cannot read {kind} id={id}")
    return row


def readable_pixels(service: Service, id: int, current: Any) -> Row:
    """The Pixels with this id, if the caller sees them.

    Raises
    ------
    Invalid
        when there are none.
    """
    return readable(service, "Pixels", id, current)


def loaded_settings(service: Service, row: Row | None, current: Any) -> Any:
    """A RenderingDef with everything that belongs to it, as clients want it; None for None."""
    if row is None:
        return None
    reply = service.reply(current)
    loaded = reply.load(row)
    for name in ("quantization", "model", "waveRendering", "details.owner"):
        reply.fetch_all(row, name)
    for binding in service.house.state.many(row, "waveRendering"):
        reply.fetch_all(binding, "family")
        reply.fetch_all(binding, "spatialDomainEnhancement")
    return loaded


class Pixels(Service, omero.api.IPixels, name="omero.api.IPixels"):
    """Metadata of pixels, enumerations, rendering settings as objects, and new images."""

    # ---- what there is

    def do_retrievePixDescription(self, id: int, current: Any) -> Any:
        """The Pixels with type, order, channels and what these refer to."""
        row = self.house.state.get("Pixels", id)
        if row is None or not self.house.rights.can_read(self.caller(current), row):
            return None
        reply = self.reply(current)
        loaded = reply.load(row)
        for name in ("pixelsType", "dimensionOrder", "image", "channels"):
            reply.fetch_all(row, name)
        for channel in self.house.state.many(row, "channels"):
            reply.fetch_all(channel, "statsInfo")
            reply.fetch_all(channel, "logicalChannel")
            logical = channel["logicalChannel"]
            if logical is not None:
                reply.fetch_all(logical, "photometricInterpretation")
        return loaded

    def do_getBitDepth(self, kind: Any, current: Any) -> int:
        value = kind.value.val if kind.isLoaded() else None
        if value is None and (row := self.house.state.get("PixelsType", kind.id.val)):
            value = row["value"]
        if value not in BITS:
            raise WrongUse(f"there is no pixel type {value!r}")
        return BITS[value]

    def do_getEnumeration(self, kind: str, value: str, current: Any) -> Any:
        found = self.house.state.where(_enumeration(kind), "value", value)
        return self.reply(current).load(found[0]) if found else None

    def do_getAllEnumerations(self, kind: str, current: Any) -> list[Any]:
        reply = self.reply(current)
        return [reply.load(row) for row in self.house.state.all(_enumeration(kind))]

    # ---- rendering settings

    def do_retrieveRndSettings(self, pixels: int, current: Any) -> Any:
        return self.do_retrieveRndSettingsFor(pixels, self.caller(current).person.id, current=current)

    def do_retrieveRndSettingsFor(self, pixels: int, person: int, current: Any) -> Any:
        row = readable_pixels(self, pixels, current)
        return loaded_settings(self, settings.find(self.house.state, row, person), current)

    def do_retrieveAllRndSettings(self, pixels: int, person: int, current: Any) -> list[Any]:
        """All settings of an image, or those of one person where an id is given (not -1)."""
        row = readable_pixels(self, pixels, current)
        found = self.house.state.many(row, "settings")
        return [loaded_settings(self, r, current) for r in found if person < 0 or r.owner == person]

    def do_loadRndSettings(self, id: int, current: Any) -> Any:
        return loaded_settings(self, readable(self, "RenderingDef", id, current), current)

    def do_saveRndSettings(self, changed: Any, current: Any) -> None:
        from pocket_omero.state.saving import save

        with self.house.state.change():
            save(self.house.state, changed, self.caller(current), self.house.rights)

    # ---- new images

    def do_createImage(
        self,
        x: int,
        y: int,
        z: int,
        t: int,
        channels: list[int],
        kind: Any,
        name: str,
        description: str,
        current: Any,
    ) -> Any:
        """Make an image full of zeros; `channels` are emission wavelengths (nm), 0 for none."""
        row = self.house.state.get("PixelsType", kind.id.val) if kind is not None and kind.id else None
        if row is None:
            raise WrongUse("an image needs a pixel type")
        said = tuple(Channel(emission=(float(wave), "NANOMETER") if wave > 0 else None) for wave in channels)
        info = _new_info((t, len(channels), z, y, x), row["value"], said, description or "")
        image = self._make(info, name, current)
        return rlong(image.id)

    def _make(self, info: ImageInfo, name: str, current: Any) -> Row:
        caller = self.caller(current)
        group = self.house.rights.writable_group(caller)
        state = self.house.state
        with state.change():
            event = self.event(current)
            home = rows.Home(None, caller.person, group)
            pixels = rows.new_image(state, [home], info, name, None, event)
            try:
                self.house.images.make(pixels.id, info.shape, pixels["pixelsType"]["value"])
            except BaseException:
                self.house.images.delete(pixels.id)
                raise
        return pixels["image"]  # type: ignore[no-any-return]

    def do_copyAndResizeImage(
        self,
        id: int,
        x: Any,
        y: Any,
        z: Any,
        t: Any,
        channels: list[int],
        name: str,
        copy_stats: bool,
        current: Any,
    ) -> Any:
        """Make a new image, full of zeros, described like another one."""
        image = readable(self, "Image", id, current)
        row = self.house.state.many(image, "pixels")[0]
        old = {axis: row[f"size{axis}"] for axis in "TZYX"}
        asked = zip("TZYX", (t, z, y, x), strict=True)
        new = [old[axis] if size is None else size.val for axis, size in asked]
        said = self.house.state.many(row, "channels")
        if not channels or any(not 0 <= number < len(said) for number in channels):
            raise WrongUse("name the channels to copy by their numbers")
        info = _new_info(
            (new[0], len(channels), new[1], new[2], new[3]),
            row["pixelsType"]["value"],
            tuple(_channel(said[number]) for number in channels),
            image["description"] or "",
        )
        made = self._make(info, name or image["name"], current)
        target = self.house.state.many(made, "pixels")[0]
        with self.house.state.change():
            for axis in "XYZ":
                self.house.state.set(target, **{f"physicalSize{axis}": row[f"physicalSize{axis}"]})
            for number, channel in zip(channels, self.house.state.many(target, "channels"), strict=True):
                stats = said[number]["statsInfo"]
                if copy_stats and stats is not None:
                    ends = {end: stats[end] for end in ("globalMin", "globalMax")}
                    self.house.state.set(channel["statsInfo"], **ends)
        return rlong(made.id)

    def do_setChannelGlobalMinMax(self, id: int, channel: int, low: float, high: float, current: Any) -> None:
        row = readable_pixels(self, id, current)
        if not self.house.rights.can_edit(self.caller(current), row):
            raise Forbidden("these pixels may not be changed by this person")
        state = self.house.state
        said = state.many(row, "channels")
        if not 0 <= channel < len(said):
            raise WrongUse(f"there is no channel {channel}; there are {len(said)}")
        with state.change():
            stats = said[channel]["statsInfo"]
            if stats is None:
                mine = {"owner": row["details.owner"], "group": row["details.group"]}
                stats = state.new("StatsInfo", event=self.event(current), **mine)
                state.set(said[channel], statsInfo=stats)
            state.set(stats, globalMin=low, globalMax=high)


def _enumeration(kind: str) -> str:
    found = entity(kind)
    if "value" not in found.fields:
        raise WrongUse(f"{found.name} is no enumeration")
    return found.name


def _channel(row: Row) -> Channel:
    logical = row["logicalChannel"]
    color = None
    if None not in (row["red"], row["green"], row["blue"]):
        color = (row["red"], row["green"], row["blue"], 255 if row["alpha"] is None else row["alpha"])
    if logical is None:
        return Channel(color=color)
    return Channel(logical["name"], color, logical["emissionWave"], logical["excitationWave"])


def _new_info(
    shape: tuple[int, int, int, int, int], kind: str, channels: tuple[Channel, ...], description: str
) -> ImageInfo:
    if kind not in PIXEL_TYPES:
        raise WrongUse(f"images of type {kind} cannot be made here; of {', '.join(PIXEL_TYPES)} they can")
    dtype: np.dtype[Any] = np.dtype(PIXEL_TYPES[kind])
    if min(shape) < 1 or int(np.prod(shape, dtype=object)) * dtype.itemsize > _MOST:
        raise WrongUse(f"an image of {' x '.join(map(str, shape))} (t, c, z, y, x) cannot be made")
    return ImageInfo(
        name="",
        series=0,
        shape=shape,
        dtype=dtype,
        levels=(shape[3:],),
        tile=(256, 256),
        format="",
        channels=channels,
        description=description,
    )
