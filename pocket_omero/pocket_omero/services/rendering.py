# SPDX-License-Identifier: GPL-2.0-or-later
"""RenderingEngine: planes and tiles as pictures, with settings per person."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import omero.all

from pocket_omero.errors import Forbidden, Unsupported, WrongUse
from pocket_omero.images import OutsideError, Plane, Reader, is_large, rendering, rows, settings
from pocket_omero.images.base import Array
from pocket_omero.images.rendering import FAMILIES, MODELS, ChannelSettings, Settings
from pocket_omero.services.pixels import Pixels, readable
from pocket_omero.services.raw_pixels import Pyramid

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["Rendering"]

_MAXIMUM, _MEAN, _SUM = 0, 1, 2  # as omero.constants.projection.ProjectionType counts


class Rendering(Pyramid, omero.api.RenderingEngine, name="RenderingEngine"):
    """Shows one image. Changes of settings count for this service only, until they are saved."""

    how: Settings | None = None
    definition: Row | None = None
    quality = 0.85

    # ---- which image, which settings

    def do_lookupPixels(self, id: int, current: Any) -> None:
        self.choose(id, current)
        self.how = self.definition = None

    def do_lookupRenderingDef(self, id: int, current: Any) -> bool:
        """Take the caller's settings, else those of the owner; answers whether there are any."""
        row = self.chosen()
        if row.id != id:
            raise WrongUse("these are not the pixels that were looked up")
        found = settings.fallback(self.house.state, row, self.caller(current).person.id)
        if found is not None:
            self.definition, self.how = found, settings.read(self.house.state, found)
        return self.how is not None

    def do_loadRenderingDef(self, id: int, current: Any) -> None:
        row = readable(self, "RenderingDef", id, current)
        self.chosen()
        self.definition, self.how = row, settings.read(self.house.state, row)
        if len(self.how.channels) != self.reader().info.shape[1]:
            raise WrongUse(f"the rendering settings {id} are those of an image with other channels")

    def do_load(self, current: Any) -> None:
        self._settings()

    def do_getRenderingDefId(self, current: Any) -> int:
        self._settings()
        return self.definition.id if self.definition is not None else -1

    def do_getPixels(self, current: Any) -> Any:
        pixels = Pixels(self.house, self.session, "omero.api.IPixels")
        return pixels.do_retrievePixDescription(self.chosen().id, current=current)

    def do_resetDefaultSettings(self, save: bool, current: Any) -> int:
        """Go back to the usual settings; they are saved where that is wished and allowed."""
        row = self.chosen()
        self.how, self.definition = settings.usual(self.house.state, self.house.images, row), None
        if save and self.house.rights.can_annotate(self.caller(current), row):
            self._save(current)
        return self.do_getRenderingDefId(current)

    def do_saveCurrentSettings(self, current: Any) -> None:
        self._settings()
        if not self.house.rights.can_annotate(self.caller(current), self.chosen()):
            raise Forbidden("this person may not keep settings for this image")
        self._save(current)

    def do_saveAsNewSettings(self, current: Any) -> int:
        self.do_saveCurrentSettings(current)
        return self.do_getRenderingDefId(current)

    def do_updateSettings(self, values: dict[str, Any], current: Any) -> None:
        """Take over what a plain mapping says; OMERO knows few names here."""
        raise Unsupported("settings are changed one by one, or saved as RenderingDef")

    def _save(self, current: Any) -> None:
        row, caller, state = self.chosen(), self.caller(current), self.house.state
        with state.change():
            event = state.event(caller.person, row["details.group"], caller.session)
            self.definition = settings.write(state, row, caller.person, self._settings(), event)

    def _settings(self) -> Settings:
        self.chosen()
        if self.how is None:
            raise WrongUse("no settings were chosen: call lookupRenderingDef or resetDefaultSettings first")
        return self.how

    # ---- settings of the image

    def do_getModel(self, current: Any) -> Any:
        return self._word("RenderingModel", self._settings().model, current)

    def do_setModel(self, model: Any, current: Any) -> None:
        value = self._value("RenderingModel", model)
        if value not in MODELS:
            raise WrongUse(f"there is no rendering model {value!r}")
        self.how = replace(self._settings(), model=value)

    def do_getAvailableModels(self, current: Any) -> list[Any]:
        return [self._word("RenderingModel", name, current) for name in MODELS]

    def do_getAvailableFamilies(self, current: Any) -> list[Any]:
        return [self._word("Family", name, current) for name in FAMILIES]

    def do_getDefaultZ(self, current: Any) -> int:
        return self._settings().z

    def do_getDefaultT(self, current: Any) -> int:
        return self._settings().t

    def do_setDefaultZ(self, z: int, current: Any) -> None:
        self.how = replace(self._settings(), z=self._inside("z", z, 2))

    def do_setDefaultT(self, t: int, current: Any) -> None:
        self.how = replace(self._settings(), t=self._inside("t", t, 0))

    def do_getQuantumDef(self, current: Any) -> Any:
        quantum = omero.model.QuantumDefI()
        for name, value in (("cdStart", 0), ("cdEnd", 255), ("bitResolution", 255)):
            setattr(quantum, name, omero.rtypes.rint(value))
        return quantum

    def do_setCodomainInterval(self, start: int, end: int, current: Any) -> None:
        if (start, end) != (0, 255):
            raise Unsupported("pictures always use all values from 0 to 255")

    def do_setQuantumStrategy(self, bits: int, current: Any) -> None:
        if bits != 255:
            raise Unsupported("pictures always use all values from 0 to 255")

    def do_setCompressionLevel(self, level: float, current: Any) -> None:
        if not 0 <= level <= 1:
            raise WrongUse("the quality of JPEG is from 0 to 1")
        self.quality = level

    def do_getCompressionLevel(self, current: Any) -> float:
        return self.quality

    def do_isPixelsTypeSigned(self, current: Any) -> bool:
        return bool(self.reader().info.dtype.kind != "u")

    def do_getPixelsTypeLowerBound(self, w: int, current: Any) -> float:
        return self._bounds(w)[0]

    def do_getPixelsTypeUpperBound(self, w: int, current: Any) -> float:
        return self._bounds(w)[1]

    def _bounds(self, number: int) -> tuple[float, float]:
        """What integer types can hold; what was found in images of floating point."""
        dtype = self.reader().info.dtype
        said = self.house.state.many(self.chosen(), "channels")
        stats = said[number]["statsInfo"] if number < len(said) else None
        if dtype.kind == "f" and stats is not None:
            return stats["globalMin"], stats["globalMax"]
        return rows.type_range(dtype)

    # ---- settings of a channel

    def _channel(self, number: int) -> ChannelSettings:
        return self._settings().channels[self._inside("channel", number, 1)]

    def _change(self, number: int, **changes: Any) -> None:
        self._channel(number)
        self.how = self._settings().with_channel(number, **changes)

    def do_isActive(self, w: int, current: Any) -> bool:
        return self._channel(w).active

    def do_setActive(self, w: int, active: bool, current: Any) -> None:
        self._change(w, active=active)

    def do_getChannelWindowStart(self, w: int, current: Any) -> float:
        return self._channel(w).low

    def do_getChannelWindowEnd(self, w: int, current: Any) -> float:
        return self._channel(w).high

    def do_setChannelWindow(self, w: int, start: float, end: float, current: Any) -> None:
        if not start < end:
            raise WrongUse(f"a window from {start} to {end} is empty")
        self._change(w, low=start, high=end)

    def do_getRGBA(self, w: int, current: Any) -> list[int]:
        return list(self._channel(w).color)

    def do_setRGBA(self, w: int, red: int, green: int, blue: int, alpha: int, current: Any) -> None:
        if not all(0 <= value <= 255 for value in (red, green, blue, alpha)):
            raise WrongUse("red, green, blue and alpha are from 0 to 255")
        self._change(w, color=(red, green, blue, alpha))

    def do_getChannelFamily(self, w: int, current: Any) -> Any:
        return self._word("Family", self._channel(w).family, current)

    def do_getChannelCurveCoefficient(self, w: int, current: Any) -> float:
        return self._channel(w).coefficient

    def do_getChannelNoiseReduction(self, w: int, current: Any) -> bool:
        return self._channel(w).noise_reduction

    def do_setQuantizationMap(
        self, w: int, family: Any, coefficient: float, noise: bool, current: Any
    ) -> None:
        """Bend the curve of a channel; noise reduction is noted, and does nothing here."""
        value = self._value("Family", family)
        if value not in FAMILIES or not coefficient > 0:
            raise WrongUse(f"there is no curve {value!r} with coefficient {coefficient}")
        self._change(w, family=value, coefficient=coefficient, noise_reduction=noise)

    def do_getChannelStats(self, w: int, current: Any) -> list[float]:
        stats = self.house.state.many(self.chosen(), "channels")[self._inside("channel", w, 1)]["statsInfo"]
        return [] if stats is None else [stats["globalMin"], stats["globalMax"]]

    def do_getChannelLookupTable(self, w: int, current: Any) -> str:
        self._channel(w)
        return ""

    def do_setChannelLookupTable(self, w: int, table: str, current: Any) -> None:
        self._channel(w)
        if table:
            raise Unsupported("there are no lookup tables here, only colours")

    def do_getCodomainMapContext(self, w: int, current: Any) -> list[Any]:
        if not self._channel(w).reverse:
            return []
        context = omero.model.ReverseIntensityContextI()
        context.reverse = omero.rtypes.rbool(True)
        return [context]

    def do_addCodomainMapToChannel(self, context: Any, w: int, current: Any) -> None:
        self._change(w, reverse=_reverse(context))

    def do_removeCodomainMapFromChannel(self, context: Any, w: int, current: Any) -> None:
        _reverse(context)
        self._change(w, reverse=False)

    # ---- pictures

    def do_renderCompressed(self, plane: Any, current: Any) -> bytes:
        return rendering.jpeg(self._picture(plane), self.quality)

    def do_render(self, plane: Any, current: Any) -> Any:
        picture = self._picture(plane)
        height, width = picture.shape[:2]
        bands = [picture[..., band].tobytes() for band in range(3)]
        return omero.romio.RGBBuffer(bands=bands, sizeX1=width, sizeX2=height)

    def do_renderAsPackedInt(self, plane: Any, current: Any) -> list[int]:
        return _packed(self._picture(plane))

    def do_renderProjectedCompressed(
        self, how: Any, t: int, step: int, start: int, end: int, current: Any
    ) -> bytes:
        return rendering.jpeg(self._projected(how, t, step, start, end), self.quality)

    def do_renderProjectedAsPackedInt(
        self, how: Any, t: int, step: int, start: int, end: int, current: Any
    ) -> list[int]:
        return _packed(self._projected(how, t, step, start, end))

    def _picture(self, plane: Any) -> Array:
        """Show a plane or a region of it at the level that was chosen; regions may reach over the edge."""
        if plane.slice != 0:
            raise Unsupported("only planes of x and y are shown")
        reader, how = self.reader(), self._settings()
        rows_, columns = reader.info.levels[self.level]
        y, x, height, width = 0, 0, rows_, columns
        if plane.region is not None:
            y, x = plane.region.y, plane.region.x
            height, width = min(plane.region.height, rows_ - y), min(plane.region.width, columns - x)
            if plane.region.height <= 0 or plane.region.width <= 0:
                raise OutsideError("this region is empty")
        if is_large(height, width):
            raise WrongUse(f"{width} x {height} pixels are too many for one picture: ask for regions")

        def read(channel: int) -> Array:
            return reader.read(self.level, Plane(plane.t, channel, plane.z), y, x, height, width)

        return rendering.render(read, how)

    def _projected(self, how: Any, t: int, step: int, start: int, end: int) -> Array:
        """Show what a stack becomes when its planes are put on top of each other."""
        reader = self.reader()
        height, width = reader.info.levels[self.level]
        if is_large(height, width):
            raise WrongUse("this image is too large to be projected")
        sections = range(self._inside("z", start, 2), self._inside("z", end, 2) + 1, max(1, step))
        if not sections:
            raise WrongUse(f"there are no planes from {start} to {end}")

        def read(channel: int) -> Array:
            return _project(reader, self.level, t, channel, sections, how.value)

        return rendering.render(read, self._settings())

    # ---- small helpers

    def _inside(self, name: str, number: int, axis: int) -> int:
        size = self.reader().info.shape[axis]
        if not 0 <= number < size:
            raise OutsideError(f"{name}={number} lies outside the image, which has {size} of them")
        return number

    def _word(self, kind: str, value: str, current: Any) -> Any:
        return self.reply(current).load(rows.word(self.house.state, kind, value))

    def _value(self, kind: str, given: Any) -> str:
        """The word of an enumeration that a client sends, loaded or by its id."""
        if given.isLoaded() and given.value is not None:
            return str(given.value.val)
        row = self.house.state.get(kind, given.id.val)
        if row is None:
            raise WrongUse(f"there is no {kind} {given.id.val}")
        return str(row["value"])


def _reverse(context: Any) -> bool:
    if not isinstance(context, omero.romio.ReverseIntensityMapContext):
        raise Unsupported(f"only reverse intensity is known here, not {type(context).__name__}")
    return True


def _packed(picture: Array) -> list[int]:
    """Alpha, red, green and blue in one signed 32 bit number per pixel."""
    parts = picture.astype(np.uint32)
    packed = 0xFF000000 | parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]
    return packed.astype(np.uint32).view(np.int32).ravel().tolist()


def _project(reader: Reader, level: int, t: int, channel: int, sections: range, how: int) -> Array:
    """Maximum, mean or sum over z; a sum stops at what the pixel type can hold, as in OMERO."""
    height, width = reader.info.levels[level]
    total: Array | None = None
    for z in sections:
        plane = reader.read(level, Plane(t, channel, z), 0, 0, height, width).astype(np.float64)
        if total is None:
            total = plane
        elif how == _MAXIMUM:
            np.maximum(total, plane, out=total)
        elif how in (_MEAN, _SUM):
            total += plane
        else:
            raise Unsupported(f"there is no projection {how}")
    if total is None:
        raise WrongUse("there are no planes to project")
    if how == _MEAN:
        total /= len(sections)
    if reader.info.dtype.kind != "f":
        total = np.minimum(total, rows.type_range(reader.info.dtype)[1])
    return total
