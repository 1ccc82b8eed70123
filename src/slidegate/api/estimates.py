# SPDX-License-Identifier: BSD-3-Clause
"""How long something may take, from what was measured before; nothing where nothing was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate.domain.values import RunId
from slidegate.store import Store
from slidegate.store.offers import Offer

_RUNS = 3
_EVENTS = 500
_BYTES_PER_PIXEL = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "float32": 4}


@dataclass(frozen=True, slots=True)
class Speed:
    """Bytes per second of images that were brought, and that were computed, one after the other.

    Attributes
    ----------
    images
        How many images that was measured on.
    """

    staging: float | None
    computing: float | None
    images: int


def estimate(
    store: Store, offer: Offer, images: int, described: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Estimate a launch.

    Parameters
    ----------
    images
        How many there are.
    described
        What is known of some of them, as a worker describes images.
    """
    known = [one for one in described if "problem" not in one and one.get("bytes") is not None]
    size = _scaled([float(one["bytes"]) for one in known], images)
    pixels = _scaled([_pixels(one) for one in known], images)
    speed = _speed(store, offer)
    return {
        "images": images,
        "known_images": len(known),
        "bytes": None if size is None else round(size),
        "pixels": None if pixels is None else round(pixels),
        "staging_seconds": _seconds(size, speed.staging),
        "computing_seconds": _seconds(size, speed.computing),
        "basis": _basis(offer, images, len(known), speed),
    }


def _pixels(image: Mapping[str, Any]) -> float:
    shape = image.get("shape") or [0, 0]
    return float(shape[-1]) * float(shape[-2])


def _scaled(values: Sequence[float], images: int) -> float | None:
    return sum(values) * images / len(values) if values else None


def _seconds(size: float | None, speed: float | None) -> float | None:
    return None if size is None or not speed else round(size / speed, 1)


def _speed(store: Store, offer: Offer) -> Speed:
    """Measure the newest Runs of the workflow that succeeded at the site."""
    rows, _ = store.pages.runs_page(state="succeeded", workflow=offer.release.name, limit=20)
    moved = staging = computing = 0.0
    images = 0
    for row in [row for row in rows if row.site == offer.site][:_RUNS]:
        took = _durations(store, row.run)
        size = store.pages.costs(row.run).bytes_moved
        if size:
            moved, images = moved + size, images + row.tasks
            staging, computing = staging + took["staging"], computing + took["computing"]
    return Speed(moved / staging if staging else None, moved / computing if computing else None, images)


def _durations(store: Store, run: RunId) -> dict[str, float]:
    """Return for how many seconds a Run's first images were brought, and computed."""
    began: dict[str, float] = {}
    found = {"staging": 0.0, "computing": 0.0}
    for row in store.pages.events_page(run, 0, _EVENTS):
        task, kind = str(getattr(row.event, "task", "")), row.event.kind
        if kind in ("staging-began", "started"):
            began[task] = row.at
        elif kind in ("staged", "computed") and task in began:
            found["staging" if kind == "staged" else "computing"] += row.at - began.pop(task)
    return found


def _basis(offer: Offer, images: int, known: int, speed: Speed) -> str:
    if not known:
        size = "the size of the images is not known yet"
    elif known < images:
        size = f"size by {known} of the {images} images"
    else:
        size = "size by the images themselves"
    if not speed.images:
        return f"{size}; no time, as {offer.release.name} has not finished at this site yet"
    return f"{size}; time by {speed.images} earlier images of {offer.release.name} at this site"
