# SPDX-License-Identifier: BSD-3-Clause
"""Removing what nobody needs any more: the only place, besides ``release``, where contents go.

What an Attempt that was not released needs or made is *pinned*.  Everything else may go at any time, as the
gate looks whether a content is there whenever it uses one: it is sent again.
"""

import os
import shutil
import time
from argparse import Namespace
from typing import Dict, Iterator, List, Set, Tuple

from slidegate_gate import folders
from slidegate_gate.errors import GateError
from slidegate_gate.home.config import key_layouts, locked_home, open_home
from slidegate_gate.serve import files, status, trees
from slidegate_gate.serve.layout import Layout
from slidegate_gate.serve.limits import Limits
from slidegate_gate.workflows.releases import find_releases

Needless = Iterator[Tuple[str, str]]  # (why, path)
PART_SECONDS = 24 * 3600
LOG_SECONDS = 30 * PART_SECONDS


def clean(asked: Namespace) -> None:
    """Remove what nobody needs, or with ``--dry-run`` only say what; print why, what and how much.

    Contents that are not pinned stay, the last used ones, up to ``--keep`` percent of the key's limit.
    """
    with locked_home(asked.home):
        names: Dict[Tuple[int, int], int] = {}
        found = [(why, path, _size(path, names)) for why, path in _needless(asked.home, asked.keep)]
        for why, path, size in found:
            print("{:>9.1f} MB  {}: {}".format(size / 1e6, why, path))
            if asked.dry_run:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    total = sum(size for _, _, size in found)
    print("{:>9.1f} MB  {}".format(total / 1e6, "could be freed" if asked.dry_run else "freed"))


def _needless(home: str, keep: int) -> Needless:
    layouts = key_layouts(home)
    plans = [plan for layout in layouts for _, plan in status.open_submissions(layout)]
    kept = {os.path.realpath(os.path.join(home, link)) for link in ("current", "previous")}
    programs = kept | {plan["program"] for plan in plans}
    runtimes = {one["runtime"] for one in find_releases(home)}
    for folder in ("", "releases", "runtimes", "versions"):
        for path in _inside(home, folder):
            if os.path.basename(path).startswith(".tmp-"):
                yield "left half-made", path
            elif folder == "runtimes" and os.path.basename(path) not in runtimes:
                yield "Runtime of no Release", path
            elif folder == "versions" and not (os.path.realpath(path) in programs or folders.is_used(path)):
                yield "version that no work needs", path
    for path in _inside(open_home(home)["state"], "scheduler", "logs"):
        if os.lstat(path).st_mtime < time.time() - LOG_SECONDS:
            yield "log of an old crew", path
    for layout in layouts:
        yield from _of_key(layout, keep)


def _of_key(layout: Layout, keep: int) -> Needless:
    needed = set(_pinned_trees(layout))
    for folder in _inside(layout.work):
        for path in _inside(folder):
            if os.path.exists(layout.released(os.path.basename(path))):
                yield "released work", path
    made = [os.path.join(layout.trees, name) for name in files.names_in(layout.trees)]
    for path in _inside(layout.parts) + sorted(set(_inside(layout.trees)) - set(made)):
        if os.lstat(path).st_mtime < time.time() - PART_SECONDS:
            yield "unfinished upload or folder", path
    for path in made:
        if os.path.basename(path) not in needed:
            yield "folder of an unpinned Tree", path
    yield from _least_used(layout, needed, keep)


def _pinned_trees(layout: Layout) -> Iterator[str]:
    for submission, plan in status.open_submissions(layout):
        yield plan["tree"]
        for entry in status.owned(layout, submission, plan):
            if not os.path.exists(layout.released(entry["attempt"])):
                yield from entry["inputs"].values()
                result = files.read_json(layout.result(entry["attempt"])) or {}
                yield from [result["tree"]] if result.get("tree") else []


def _least_used(layout: Layout, needed: Set[str], keep: int) -> Needless:
    pinned = set(needed)
    for tree in needed:
        try:
            pinned.update(blob for _, _, blob in trees.load_tree(layout, tree))
        except GateError:
            continue  # it vanished, so there is nothing to pin
    # Nobody can ask for the contents of a key that was removed.
    most = Limits(layout).values["bytes"] if layout.key in layout.config["keys"] else 0
    blobs = [(os.lstat(path), path) for folder in _inside(layout.blobs) for path in _inside(folder)]
    over = sum(trees.charge(info.st_size) for info, _ in blobs) - most * keep // 100
    for info, path in sorted(blobs, key=lambda each: max(each[0].st_atime, each[0].st_mtime)):
        if over > 0 and os.path.basename(path) not in pinned:
            over -= trees.charge(info.st_size)
            yield "least used content", path


def _inside(*parts: str) -> List[str]:
    folder = os.path.join(*parts)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names]


def _size(path: str, names: Dict[Tuple[int, int], int]) -> int:
    # A file is freed with the last of its names; `names` counts those that go.
    size = 0
    for each in [path] + [os.path.join(folder, name) for folder, _, found in os.walk(path) for name in found]:
        info = os.lstat(each)
        file = (info.st_dev, info.st_ino)
        names[file] = names.get(file, 0) + 1
        size += info.st_size if names[file] == info.st_nlink else 0
    return size
