# SPDX-License-Identifier: BSD-3-Clause
"""A preview: a workflow on a small region, at the embedded site, shown and forgotten.

It is one Attempt of one plan, handed to the gate as any other, but without a Run: the store holds nothing of
it but the wish. So it cannot appear among anybody's Runs, no worker publishes it, and there is nothing to
delete. It goes by a key of its own, so that nobody who watches the embedded site hears of it.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from slidegate_analysis.images import ImagesError, open_image, open_labels

from slidegate.domain.parameters import complete
from slidegate.domain.text import plain
from slidegate.domain.values import AttemptKey, Digest, Release, canonical_json, digest_of
from slidegate.sites import Gate
from slidegate.sites.transfer import fetch_tree, put_tree
from slidegate.sites.trees import describe_folder, tree_digest, tree_text
from slidegate.sources.overview import compose, png
from slidegate.worker.runs import choose_release
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.errors import BadWish, PreviewFailed, PreviewTookTooLong, RegionRefused

MOST_SIDE, LEAST_SIDE = 2048, 32
OUTLINE = (255, 84, 196)
"""Pink, as in reports: stands out from what is dark, blue, green or grey."""

HINT = (
    "This was computed from the region alone. What a workflow takes from the whole image, such as its "
    "background, may differ a little."
)

_SECONDS = 300.0
_POLL_SECONDS = 0.05
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_CODE = re.compile("[a-z0-9][a-z0-9-]{0,59}")
_SUMMARY_BYTES = 1 << 20

Bounds = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Work:
    """What the site is asked to do.

    Attributes
    ----------
    plan, tree
        The plan, and the text of the Tree that holds nothing else.
    """

    attempt: AttemptKey
    plan: bytes
    tree: bytes

    @classmethod
    def of(cls, asked: Asked, release: Release, image: Digest, values: Mapping[str, Any]) -> "_Work":
        """Return what a wish asks for; the same wish asks for the same."""
        attempt = AttemptKey(digest_of(["preview", asked.id]))
        one = {"attempt": attempt, "inputs": {"image": image}, "parameters": dict(values), "note": {}}
        note = {"preview": asked.id, "person": asked.person, "workflow": release.name}
        plan = canonical_json({"plan": 1, "release": release.digest, "note": note, "attempts": [one]})
        return cls(attempt, plan, tree_text([("plan.json", len(plan), hashlib.sha256(plan).hexdigest())]))


def preview(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Run a workflow on a region of an image and make a picture of what it finds; safe to repeat."""
    gate, note = desk.preview, f"descriptions/{digest_of(['preview', asked.id])}.json"
    known = desk.cache.note(note)
    if known is not None and desk.cache.file(f"previews/{asked.id}/picture.png") is not None:
        return known
    workflow = asked.text("workflow")
    if asked.body.get("version"):
        workflow = f"{workflow}@{asked.text('version')}"
    ref = desk.image(asked.text("image"))
    source = desk.tools.source(ref, asked.person)
    bounds = _bounds(asked.body.get("region"), source.describe(ref).shape)
    asked.note("getting ready")
    release = choose_release(gate.hello(), workflow, desk.runs.preferred)
    values = complete(release.schema, asked.mapping("parameters"))
    with desk.cache.making() as made:
        asked.note("reading the region")
        source.crop(ref, bounds, made / "image")
        entries = describe_folder(made / "image")
        put_tree(gate, made / "image", entries)
        work = _Work.of(asked, release, tree_digest(entries), values)
        tree = _computed(gate, asked, work)
        asked.note("drawing")
        fetch_tree(gate, tree, made / "result")
        answer = _draw(desk, asked, made / "image", made / "result", release)
        desk.cache.put(note, json.dumps(answer).encode())
        gate.release([work.attempt])  # last: it cannot be computed again under this name
    gate.close()
    return answer


def _bounds(region: object, shape: tuple[int, int, int]) -> Bounds:
    """Return (y0, y1, x0, x1) of a region given as [y0, x0, y1, x1], cut at the edge of the image.

    Raises
    ------
    BadWish, RegionRefused
    """
    if not isinstance(region, list) or len(region) != 4 or not all(_is_finite(side) for side in region):
        raise BadWish("A region is given as [y0, x0, y1, x1], in pixels of the full resolution.")
    y0, x0 = (max(0, math.floor(side)) for side in region[:2])
    y1, x1 = (min(most, math.ceil(side)) for side, most in zip(region[2:], shape[1:], strict=True))
    if min(y1 - y0, x1 - x0) < LEAST_SIDE or max(y1 - y0, x1 - x0) > MOST_SIDE:
        raise RegionRefused(
            f"A preview takes a region of {LEAST_SIDE} to {MOST_SIDE} pixels on a side, inside the image."
        )
    return y0, y1, x0, x1


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 30


def _computed(gate: Gate, asked: Asked, work: _Work) -> Digest:
    """Have it computed; returns the Tree of the result.

    Raises
    ------
    PreviewFailed, PreviewTookTooLong
    """
    gate.put_contents([work.plan, work.tree])
    asked.note("starting")
    answers = gate.submit(Digest(hashlib.sha256(work.tree).hexdigest()))["attempts"]
    until = time.monotonic() + _SECONDS
    cursor = ""
    said: Mapping[str, Any] = {"state": "queued"}
    while said["state"] not in _ENDED:
        asked.check()
        if time.monotonic() > until:
            _let_go(gate, work)
            raise PreviewTookTooLong
        time.sleep(_POLL_SECONDS)
        news = gate.status(cursor)
        cursor = news.cursor
        heard = next((one for one in news.attempts if one["attempt"] == work.attempt), None)
        if heard is None and news.complete and answers.get(work.attempt) != "accepted":
            raise PreviewFailed("The work was let go of before its result was seen. Ask again.")
        said = heard or said
        if said["state"] == "running":
            asked.note(plain(str(said.get("step") or "computing"))[:60], said.get("done"), said.get("total"))
        elif said["state"] == "queued":
            asked.note("waiting for a free core")
            if _is_over(news.crews, work):
                _let_go(gate, work)
                raise PreviewFailed("The work ended before anything was done.")
    if said["state"] == "succeeded":
        return Digest(said["tree"])
    gate.release([work.attempt])
    error = said.get("error") or {}
    raise _failed(str(error.get("code", "")), plain(str(error.get("message", ""))).strip())


def _is_over(crews: tuple[Mapping[str, Any], ...], work: _Work) -> bool:
    """Say whether the crews of a plan have ended; only what is new in an answer is looked at."""
    submission = hashlib.sha256(work.tree).hexdigest()[:32]
    mine = [crew for crew in crews if crew["submission"] == submission]
    return bool(mine) and all(crew["state"] == "ended" for crew in mine)


def _let_go(gate: Gate, work: _Work) -> None:
    gate.cancel([work.attempt])
    gate.release([work.attempt])


def _failed(code: str, message: str) -> PreviewFailed:
    error = PreviewFailed(message or None)
    if _CODE.fullmatch(code):
        error.code = code
    return error


def _draw(desk: Desk, asked: Asked, image: Path, result: Path, release: Release) -> dict[str, Any]:
    """Make the pictures and collect the facts."""
    outputs = {role: one for role, one in release.manifest.get("outputs", {}).items() if "type" in one}
    paths = {one["type"]: result / str(one.get("path", role)) for role, one in outputs.items()}
    try:
        region = open_image(image)
        height, width = region.shape[1:]
        planes = np.stack([region.read(c, 0, height, 0, width) for c in range(region.shape[0])])
        plain_picture = compose(planes)
        outlined = plain_picture
        if "labels" in paths:
            labels = open_labels(paths["labels"]).read(0, height, 0, width)
            outlined = np.where(edges(labels)[:, :, None], np.asarray(OUTLINE, np.uint8), plain_picture)
    except ImagesError as error:
        raise PreviewFailed(f"The workflow's result cannot be shown: {error}") from error
    names = {"picture": f"previews/{asked.id}/picture.png", "plain": f"previews/{asked.id}/plain.png"}
    desk.cache.put(names["plain"], png(plain_picture))
    desk.cache.put(names["picture"], png(outlined))
    facts = _facts(paths.get("summary"))
    return {**names, "width": width, "height": height, "facts": facts, "hint": HINT}


def edges(labels: np.ndarray) -> np.ndarray:
    """Return where the outlines of labelled objects are: their pixels beside a pixel of something else.

    Parameters
    ----------
    labels
        (y, x); 0 is background. The edge of the picture is no outline.
    """
    found = np.zeros(labels.shape, bool)
    below, beside = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= below
    found[:-1] |= below
    found[:, 1:] |= beside
    found[:, :-1] |= beside
    edge: np.ndarray = found & (labels > 0)
    return edge


def _facts(summary: Path | None) -> dict[str, Any]:
    """Return the plain facts of a result's summary: numbers, words, and groups of them; none without one."""
    try:
        if summary is None or summary.stat().st_size > _SUMMARY_BYTES:
            return {}
        found = json.loads(summary.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    facts = {name: value for name, value in found.items() if _is_fact(value)}
    groups = {
        name: {inner: fact for inner, fact in value.items() if _is_fact(fact)}
        for name, value in found.items()
        if isinstance(value, dict)
    }
    return facts | groups


def _is_fact(value: object) -> bool:
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and len(value) < 200)
