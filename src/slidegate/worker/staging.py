# SPDX-License-Identifier: BSD-3-Clause
"""Bringing an image to a site: nothing is read or sent that is known or there already."""

import shutil
from contextlib import suppress
from pathlib import Path

from slidegate.domain.errors import SlidegateError, UnknownRun
from slidegate.domain.events import Staged
from slidegate.domain.states import FINISHED, State
from slidegate.domain.values import Digest, ImageRef, TaskId, digest_of
from slidegate.sites import Gate
from slidegate.sites.errors import DamagedOnTheWay
from slidegate.sites.transfer import put_tree
from slidegate.sites.trees import describe_folder, tree_digest, tree_text
from slidegate.sources.base import CONVERTER, ImageSource
from slidegate.sources.errors import DiskFullError
from slidegate.store.images import StagedImage
from slidegate.store.queue import Claim
from slidegate.worker.errors import ImageChanged, InOtherHands, RegionsMissing
from slidegate.worker.holding import Holding
from slidegate.worker.regions import RegionsTree, bring_regions, need_regions, read_regions
from slidegate.worker.tools import Tools, ref_of


def stage(tools: Tools, claim: Claim, hold: Holding) -> None:
    """Bring the image of a Task, and the regions on it, to its Run's site and say so.

    Safe to repeat after being killed anywhere: a conversion that was not finished goes on from what its
    source has kept, one that was finished is used, and what the site has of it is not sent again.

    Raises
    ------
    ImageChanged
        The image is not the one that the Run was asked for, or the regions are not those.
    SlidegateError
        The Run's person may not read it any more, or not have results written.
    InOtherHands
        Another worker of this computer stages the same image just now.
    """
    row = claim.row
    ref = ref_of(row)
    run = tools.store.runs.run(claim.run)
    tools.check_rights(run["person"], [ref], run["out"])
    source = tools.source(ref, run["person"])
    fingerprint = source.fingerprint(ref)
    with tools.places.alone(digest_of([ref.source, ref.image, fingerprint])) as alone:
        if not alone:
            raise InOtherHands
        _check_content(tools, claim, source, fingerprint, hold)
        regions = _regions(tools, claim, source, run["release"])
        gate = tools.gate(run["site"])
        tree = _bring(tools, claim, source, fingerprint, gate, hold)
        if regions is not None:
            bring_regions(gate, regions)
        tools.append(claim, Staged(claim.task, State.STAGING, tree))
        _put_away(tools, tree)


def _bring(
    tools: Tools, claim: Claim, source: ImageSource, fingerprint: str, gate: Gate, hold: Holding
) -> Digest:
    """Bring what the site misses of an image; return the Tree that it is there."""
    ref = ref_of(claim.row)
    known = tools.store.images.staged(ref, fingerprint, CONVERTER)
    if known is None:
        known = _convert(tools, claim, source, ref, fingerprint, hold)
    if gate.missing(known.tree, len(tree_text(known.entries)), known.entries):
        folder = tools.places.converted(known.tree)
        if not _is_whole(folder, known):
            shutil.rmtree(folder, ignore_errors=True)
            known = _convert(tools, claim, source, ref, fingerprint, hold)
            folder = tools.places.converted(known.tree)
        _send(gate, folder, known, hold)
    return known.tree


def _regions(tools: Tools, claim: Claim, source: ImageSource, release: str) -> RegionsTree | None:
    """Return the regions that go with an image; None where the Run was asked for without any."""
    asked = claim.row["regions"]
    if asked is not None:
        return read_regions(source, ref_of(claim.row), asked)
    known = tools.store.releases.get(Digest(release))
    if known is not None and need_regions(known.manifest):
        raise RegionsMissing
    return None


def _put_away(tools: Tools, tree: Digest) -> None:
    """Give a converted image that is at its site to the pages, which show it; without pages, remove it."""
    folder = tools.places.converted(tree)
    if tools.cache is not None and folder.is_dir():
        with suppress(OSError):  # without it, the pages fetch or convert it again
            tools.cache.keep_tree(folder, tree)
    shutil.rmtree(folder, ignore_errors=True)


def _send(gate: Gate, folder: Path, known: StagedImage, hold: Holding) -> None:
    """Send what the site misses; a folder that a power cut damaged goes, and is converted again next time."""
    try:
        put_tree(gate, folder, known.entries, hold.note("sending"))
    except DamagedOnTheWay:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_content(tools: Tools, claim: Claim, source: ImageSource, fingerprint: str, hold: Holding) -> None:
    """Compare what the image holds now with what it held when asked for; usually reads nothing."""
    if fingerprint == claim.row["fingerprint"]:
        return
    ref = ref_of(claim.row)
    content = content_of(tools, source, ref, fingerprint, hold)
    if content != claim.row["content"]:
        raise ImageChanged


def content_of(
    tools: Tools, source: ImageSource, ref: ImageRef, fingerprint: str, hold: Holding | None = None
) -> Digest:
    """Return an image's content digest, reading the image only if it is not known at this fingerprint."""
    found = tools.store.images.content(ref, fingerprint)
    if found is None:
        found = Digest(source.content_digest(ref, None if hold is None else hold.note("reading")))
        tools.store.images.remember_content(ref, fingerprint, found)
    return found


def _convert(
    tools: Tools, claim: Claim, source: ImageSource, ref: ImageRef, fingerprint: str, hold: Holding
) -> StagedImage:
    """Convert an image into ``staging/<tree>`` and remember what it became."""
    making = tools.places.converting(claim.task, fingerprint)
    making.mkdir(parents=True, exist_ok=True, mode=0o700)
    made, parts = making / "image", making / "parts"
    try:
        if not (made.is_dir() and parts.is_dir()):  # where both are, it is whole and on the disk
            for left in making.iterdir():
                if left != parts:
                    shutil.rmtree(left, ignore_errors=True)
            source.stage(ref, made, hold.note("converting"), parts=parts)
        entries = describe_folder(made)
        tree = tree_digest(entries)
        tools.store.images.remember_staged(ref, fingerprint, CONVERTER, tree, entries)
        _adopt(made, tools.places.converted(tree))
        shutil.rmtree(making, ignore_errors=True)
    except SlidegateError as error:
        if error.code == DiskFullError.code:  # what is kept takes room from others
            shutil.rmtree(making, ignore_errors=True)
        raise
    finally:
        with suppress(OSError):  # most sources keep nothing
            making.rmdir()
    return StagedImage(tree, entries)


def forget_begun(tools: Tools) -> None:
    """Remove what was kept of images whose Tasks have ended. Safe to repeat."""
    for task, path in tools.places.begun():
        if not _goes_on(tools, TaskId(task)):
            shutil.rmtree(path, ignore_errors=True)


def _goes_on(tools: Tools, task: TaskId) -> bool:
    with suppress(UnknownRun):
        return State(tools.store.runs.task(task)["state"]) not in FINISHED
    return False


def _adopt(made: Path, target: Path) -> None:
    """Give a converted image its name; an equal one that is there already is used by others, and stays."""
    if not target.exists():
        made.rename(target)


def _is_whole(folder: Path, known: StagedImage) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size, _sha256 in known.entries
    )
