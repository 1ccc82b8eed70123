# SPDX-License-Identifier: BSD-3-Clause
"""The image behind a result, where the api can read it."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from slidegate.domain.errors import SlidegateError
from slidegate.domain.run import kept_result
from slidegate.domain.values import Digest, RunId, TaskId
from slidegate.sites.errors import Gone
from slidegate.sites.transfer import fetch_tree
from slidegate.sites.trees import describe_folder, tree_digest
from slidegate.sources.base import CONVERTER
from slidegate.sources.errors import SourceError
from slidegate.worker.collecting import outputs_of
from slidegate.worker.errors import NoSpaceHere
from slidegate.worker.room import free_bytes
from slidegate.worker.tools import ref_of
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.errors import PictureGone

SPARE_BYTES = 5_000_000_000
"""What stays free on the disk of the cache: an image can be many gigabytes."""


def picture(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Have the image of a Task in the cache: converted again, or fetched from the site if it has changed."""
    tools = desk.tools
    row = tools.store.runs.task(TaskId(asked.text("task")))
    tree = None if row["input"] is None else Digest(row["input"])
    if tree is None or desk.cache.tree(tree) is None:
        tree = _made(desk, asked, row, tree)
    return {"tree": tree, "labels": _has_labels(desk, row)}


def _made(desk: Desk, asked: Asked, row: Mapping[str, Any], wanted: Digest | None) -> Digest:
    """Put the image into the cache; returns its Tree."""
    with desk.cache.making() as made:
        if free_bytes(made) < SPARE_BYTES:
            raise NoSpaceHere
        folder = made / "image"
        trouble: SlidegateError = PictureGone()
        try:
            found = _convert(desk, asked, row, folder)
        except SourceError as error:
            if wanted is None:
                raise
            trouble = error if error.transient else trouble
        else:
            if wanted in (None, found):
                desk.cache.keep_tree(folder, found)
                return found
        shutil.rmtree(folder, ignore_errors=True)
        gate = desk.tools.gate(desk.tools.store.runs.run(RunId(row["run"]))["site"])
        try:
            fetch_tree(gate, wanted, folder, lambda done, total: asked.note("fetching", done, total))
        except Gone:
            raise trouble from None
        desk.cache.keep_tree(folder, wanted)
        return wanted


def _convert(desk: Desk, asked: Asked, row: Mapping[str, Any], folder: Path) -> Digest:
    """Convert the image as it is now; returns its Tree."""
    ref = ref_of(row)
    source = desk.tools.source(ref, asked.person)
    fingerprint = source.fingerprint(ref)
    source.stage(ref, folder, lambda done, total: asked.note("converting", done, total))
    entries = describe_folder(folder)
    tree = tree_digest(entries)
    desk.tools.store.images.remember_staged(ref, fingerprint, CONVERTER, tree, entries)
    return tree


def _has_labels(desk: Desk, row: Mapping[str, Any]) -> bool:
    """Say whether a label image lies with the result that was published, or with the copy of it here."""
    if row["published"] is None:
        return False
    outputs = outputs_of(desk.tools, desk.tools.store.runs.run(RunId(row["run"])))
    kept = desk.cache.tree(kept_result(row["run"], row["id"], row["output"]))
    where = kept or Path(row["published"])
    with suppress(OSError):
        return any((where / one.path).is_dir() for one in outputs.values() if one.type == "labels")
    return False
