# SPDX-License-Identifier: BSD-3-Clause
"""What people look at before they ask for a Run: folders, what images say of themselves, small pictures."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from slidegate.domain.errors import SlidegateError
from slidegate.domain.shelf_names import OMERO, parse_shelf_name, shown
from slidegate.domain.values import ImageRef, canonical_json, digest_of
from slidegate.sources.base import CONVERTER, ImageInfo, Overview
from slidegate.sources.overview import compose, jpeg, smaller
from slidegate.sources.shelves import Entry
from slidegate.worker.telling import in_words
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.errors import BadWish, OmeroNotBrowsed

_MOST_IMAGES = 500
_SIDES = (256, 1024)
_PAINTED = "1"  # counted up when the same image would get another picture


def browse(desk: Desk, asked: Asked) -> dict[str, Any]:
    """List a folder of a shelf; without one, the shelves."""
    at = asked.text("at", "")
    if at.partition(":")[0] == OMERO:
        raise OmeroNotBrowsed
    listing = desk.shelves.list(at)
    return {
        "at": listing.at,
        "trail": [_folder(entry) for entry in listing.trail],
        "folders": [_folder(entry) for entry in listing.folders],
        "images": [{"image": entry.at, "name": entry.name} for entry in listing.images],
        "truncated": listing.truncated,
    }


def _folder(entry: Entry) -> dict[str, str]:
    return {"at": entry.at, "name": entry.name}


def describe(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Say what images say of themselves; of one that cannot be used, why."""
    names = asked.texts("images", _MOST_IMAGES)
    refusals = _refusals(desk, asked.person, names)
    found = []
    for number, name in enumerate(names):
        asked.note("reading images", number, len(names))
        found.append(_described(desk, asked.person, name, refusals.get(name)))
    return {"images": found}


def _refusals(desk: Desk, person: str, names: Sequence[str]) -> dict[str, SlidegateError]:
    """Return why images in OMERO cannot be used by a person, asked of all at once."""
    refs = {}
    for name in names:
        with suppress(SlidegateError):  # said for that image when it is described
            refs[name] = desk.image(name)
    acting = desk.tools.acting
    mine = {ref for ref in refs.values() if acting is not None and ref.source == acting.name}
    if acting is None or not mine:
        return {}
    try:
        found = acting.refusals(person, mine, writing=True)
    except SlidegateError as error:
        found = dict.fromkeys(mine, error)
    return {name: found[ref] for name, ref in refs.items() if ref in found}


def _described(desk: Desk, person: str, name: str, refusal: SlidegateError | None) -> dict[str, Any]:
    try:
        if refusal is not None:
            raise refusal
        ref = desk.image(name)
        place = parse_shelf_name(name)
        if place.shelf == OMERO:  # which knows a name, and answers without opening a file
            info = desk.tools.source(ref, person).describe(ref)
            return {"image": name, "name": info.name, **_said(info)}
        people = shown(place.parts[-1]) + (f"#{place.choice}" if place.choice else "")
        return {"image": name, "name": people, **_about(desk, person, ref)}
    except Exception as error:  # noqa: BLE001  (one image that breaks keeps no other from being described)
        known: SlidegateError = in_words(error, "describing an image")
        problem = {"code": known.code, "message": known.message, "passes": known.transient}
        return {"image": name, "problem": problem}


def _about(desk: Desk, person: str, ref: ImageRef) -> dict[str, Any]:
    """Return what is known of an image, read only if it changed since it was read last."""
    source = desk.tools.source(ref, person)
    fingerprint = source.fingerprint(ref)
    note = f"descriptions/{digest_of([ref.source, ref.image, fingerprint, CONVERTER])}.json"
    known = desk.cache.note(note)
    if known is not None:
        return known
    found = _said(source.describe(ref))
    desk.cache.put(note, canonical_json(found))
    return found


def _said(info: ImageInfo) -> dict[str, Any]:
    return {
        "shape": list(info.shape),
        "dtype": info.dtype,
        "channels": list(info.channels),
        "pixel_size_um": info.pixel_size_um,
        "bytes": info.bytes,
    }


def thumbnail(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Make the small pictures of an image, of every size at once, and once for each state of it."""
    side = asked.body.get("side")
    if side not in _SIDES or side is True:
        raise BadWish(f"A thumbnail has a side of {' or '.join(map(str, _SIDES))} pixels.")
    ref = desk.image(asked.text("image"))
    source = desk.tools.source(ref, asked.person)
    fingerprint = source.fingerprint(ref)
    digests = {
        size: digest_of([ref.source, ref.image, fingerprint, CONVERTER, _PAINTED, size]) for size in _SIDES
    }
    known = desk.cache.note(f"descriptions/{digests[side]}.json")
    if known is not None and desk.cache.file(f"thumbnails/{digests[side]}.jpg") is not None:
        return known

    def noted(done: int, total: int) -> None:
        asked.note("reading the image", done, total)

    with desk.cache.making() as scratch:
        small = source.overview(ref, max(_SIDES), scratch, noted)
    found = {size: _kept(desk, digest, smaller(small, size)) for size, digest in digests.items()}
    return found[side]


def _kept(desk: Desk, digest: str, small: Overview) -> dict[str, Any]:
    """Keep a small picture and what is said of it."""
    file = f"thumbnails/{digest}.jpg"
    desk.cache.put(file, jpeg(compose(small.pixels)))
    height, width = small.pixels.shape[1:]
    found = {"file": file, "width": width, "height": height, "scale": small.scale}
    desk.cache.put(f"descriptions/{digest}.json", json.dumps(found).encode())
    return found
