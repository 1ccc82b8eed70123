# SPDX-License-Identifier: GPL-2.0-or-later
"""IRenderingSettings: settings for many images at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero.all

from pocket_omero.errors import PocketError, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity
from pocket_omero.images import settings
from pocket_omero.images.rendering import Settings
from pocket_omero.services.pixels import loaded_settings, readable, readable_pixels

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["RenderingSettings"]

_ABOVE = {  # how to get from a container to what lies in it
    "Project": ("datasetLinks", "child"),
    "Dataset": ("imageLinks", "child"),
    "Screen": ("plateLinks", "child"),
    "Plate": ("wells", ""),
    "Well": ("wellSamples", "image"),
    "Image": ("pixels", ""),
}


class RenderingSettings(Service, omero.api.IRenderingSettings, name="omero.api.IRenderingSettings"):
    """Resets settings, and carries them from one image to others."""

    def do_getRenderingSettings(self, id: int, current: Any) -> Any:
        """The caller's settings of an image, else those of its owner, else None."""
        row = readable_pixels(self, id, current)
        found = settings.fallback(self.house.state, row, self.caller(current).person.id)
        return loaded_settings(self, found, current)

    def do_sanityCheckPixels(self, one: Any, other: Any, current: Any) -> bool:
        """Whether settings of one image fit another: as many channels, of the same type."""
        rows_ = [readable_pixels(self, pixels.id.val, current) for pixels in (one, other)]
        return rows_[0]["sizeC"] == rows_[1]["sizeC"] and rows_[0]["pixelsType"] is rows_[1]["pixelsType"]

    # ---- back to the usual settings

    def do_resetDefaultsInImage(self, id: int, current: Any) -> None:
        self._reset_one(self._pixels("Image", [id], current), current)

    def do_resetDefaultsForPixels(self, id: int, current: Any) -> None:
        self._reset_one([readable_pixels(self, id, current)], current)

    def do_resetDefaultsInDataset(self, id: int, current: Any) -> list[int]:
        return self._reset(self._pixels("Dataset", [id], current), current)

    def do_resetDefaultsInSet(self, kind: str, ids: list[int], current: Any) -> list[int]:
        """Answers the ids of the images that were changed; those that cannot be are left out."""
        return self._reset(self._pixels(kind, ids, current), current)

    def do_resetMinMaxInSet(self, kind: str, ids: list[int], current: Any) -> list[int]:
        """Set windows to what is in the image; the rest stays as it is."""
        return self._each(self._pixels(kind, ids, current), self._min_max, current)

    def do_resetDefaultsByOwnerInSet(self, kind: str, ids: list[int], current: Any) -> list[int]:
        """Take over the settings of the owner of each image."""
        return self._each(self._pixels(kind, ids, current), self._owners, current)

    def do_setOriginalSettingsInImage(self, id: int, current: Any) -> None:
        self.do_resetDefaultsInImage(id, current=current)

    def do_setOriginalSettingsForPixels(self, id: int, current: Any) -> None:
        self.do_resetDefaultsForPixels(id, current=current)

    def do_setOriginalSettingsInDataset(self, id: int, current: Any) -> list[int]:
        return self.do_resetDefaultsInDataset(id, current=current)

    def do_setOriginalSettingsInSet(self, kind: str, ids: list[int], current: Any) -> list[int]:
        return self.do_resetDefaultsInSet(kind, ids, current=current)

    # ---- from one image to others

    def do_applySettingsToSet(
        self, source: int, kind: str, ids: list[int], current: Any
    ) -> dict[bool, list[int]]:
        """Answers which images took over the settings of a Pixels (True), and which could not (False)."""
        row = readable_pixels(self, source, current)
        how = self._of(row, current)
        targets = [pixels for pixels in self._pixels(kind, ids, current) if pixels is not row]
        done = self._each(targets, lambda pixels, _: _fitting(how, pixels), current)
        return {True: done, False: [p["image"].id for p in targets if p["image"].id not in done]}

    def do_applySettingsToProject(self, source: int, id: int, current: Any) -> dict[bool, list[int]]:
        return self.do_applySettingsToSet(source, "Project", [id], current=current)

    def do_applySettingsToDataset(self, source: int, id: int, current: Any) -> dict[bool, list[int]]:
        return self.do_applySettingsToSet(source, "Dataset", [id], current=current)

    def do_applySettingsToImages(self, source: int, ids: list[int], current: Any) -> dict[bool, list[int]]:
        return self.do_applySettingsToSet(source, "Image", ids, current=current)

    def do_applySettingsToImage(self, source: int, id: int, current: Any) -> bool:
        return bool(self.do_applySettingsToSet(source, "Image", [id], current=current)[True])

    def do_applySettingsToPixels(self, source: int, id: int, current: Any) -> bool:
        how = self._of(readable_pixels(self, source, current), current)
        target = readable_pixels(self, id, current)
        return bool(self._each([target], lambda pixels, _: _fitting(how, pixels), current))

    # ---- inside

    def _pixels(self, kind: str, ids: Iterable[int], current: Any) -> list[Row]:
        """All Pixels that lie in objects of a kind, and that the caller sees."""
        name = entity(kind).name
        if name not in _ABOVE and name != "Pixels":
            raise WrongUse(f"there are no rendering settings in a {name}")
        found = [readable(self, name, id, current) for id in ids]
        state, sees = self.house.state, self.house.rights.visible(self.caller(current))
        while found and found[0].kind != "Pixels":
            down, then = _ABOVE[found[0].kind]
            below = [row for above in found for row in state.many(above, down)]
            below = [row[then] for row in below] if then else below
            found = [row for row in dict.fromkeys(below) if row is not None and sees(row)]
        return found

    def _of(self, row: Row, current: Any) -> Settings:
        """How the caller sees an image."""
        found = settings.fallback(self.house.state, row, self.caller(current).person.id)
        return self._usual(row, current) if found is None else settings.read(self.house.state, found)

    def _usual(self, row: Row, _: Any) -> Settings:
        return settings.usual(self.house.state, self.house.images, row)

    def _min_max(self, row: Row, current: Any) -> Settings:
        old, new = self._of(row, current), self._usual(row, current)
        for number, channel in enumerate(new.channels):
            old = old.with_channel(number, low=channel.low, high=channel.high)
        return old

    def _owners(self, row: Row, current: Any) -> Settings:
        found = settings.find(self.house.state, row, row.owner)
        return self._usual(row, current) if found is None else settings.read(self.house.state, found)

    def _reset(self, pixels: list[Row], current: Any) -> list[int]:
        return self._each(pixels, self._usual, current)

    def _reset_one(self, pixels: list[Row], current: Any) -> None:
        for row in pixels:
            self._write(row, self._usual(row, current), current)

    def _each(self, pixels: list[Row], make: Callable[[Row, Any], Settings], current: Any) -> list[int]:
        """Write what `make` makes for each; answers the ids of the images for which that went well."""
        done = []
        for row in pixels:
            try:
                self._write(row, make(row, current), current)
            except PocketError:  # OMERO leaves out what fails, too
                continue
            done.append(row["image"].id)
        return done

    def _write(self, row: Row, how: Settings, current: Any) -> None:
        caller, state = self.caller(current), self.house.state
        if not self.house.rights.can_annotate(caller, row):
            raise WrongUse("this person may not keep settings for this image")
        with state.change():
            event = state.event(caller.person, row["details.group"], caller.session)
            settings.write(state, row, caller.person, how, event)


def _fitting(how: Settings, pixels: Row) -> Settings:
    """The same settings for another image; its own section and time point are kept within it."""
    if len(how.channels) != pixels["sizeC"]:
        raise WrongUse("the images have different numbers of channels")
    return replace(how, z=min(how.z, pixels["sizeZ"] - 1), t=min(how.t, pixels["sizeT"] - 1))
