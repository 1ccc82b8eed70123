# SPDX-License-Identifier: BSD-3-Clause
"""Trees as folders, and folders as Trees: what jobs do with contents.  No key can reach this.

A *materialised* Tree is a folder of hard links to blobs.  Like blobs it may be purged without notice, in part
or wholly; so each file's size is looked at when the Tree is used, and what is missing is linked again.
"""

import errno
import os
import shutil
import stat
from typing import Dict, Iterable, List, Tuple

from .errors import BadOutput, MissingBlobs
from .protocol.canonical import digest_of
from .serve import files, trees
from .serve.layout import Layout

__all__ = ["add_bytes", "link_output", "link_outputs", "materialise", "write_tree"]

AT_ONCE = 8


def materialise(layout: Layout, digest: str) -> str:
    """Return the folder that holds the files of a Tree; make it, or what is missing of it.

    Raises MissingBlobs where a file is neither there nor among the blobs.  Safe to repeat, and for any
    number of processes at once.
    """
    entries = trees.load_tree(layout, digest)
    home = os.path.join(layout.trees, digest)
    files.make_dirs(layout.trees)
    target = home if os.path.isdir(home) else files.temporary(layout.trees)
    wanted = [entry for entry in entries if trees.file_size(os.path.join(target, entry[0])) != entry[1]]
    missing = trees.missing_of(layout, wanted)
    if missing:
        raise MissingBlobs(missing=missing)
    os.makedirs(target, mode=0o700, exist_ok=True)
    for name, _, blob in wanted:
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        new = files.temporary(os.path.dirname(path))
        try:
            _link(layout.blob(blob), new)
        except FileNotFoundError:  # purged just now
            raise MissingBlobs(missing=[blob])
        os.replace(new, path)
    if target != home:
        try:
            os.rename(target, home)
        except OSError:  # another process was faster; its folder is equal
            shutil.rmtree(target)
            if not os.path.isdir(home):
                raise
    return home


def _link(blob: str, new: str) -> None:
    """Give a blob one name more; where its file has as many as a file may have, a copy takes its place."""
    try:
        os.link(blob, new)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        name = files.temporary(os.path.dirname(blob))
        shutil.copyfile(blob, name)
        os.chmod(name, 0o400)
        os.link(name, new)
        os.replace(name, blob)


def link_outputs(layout: Layout, found: Dict[str, str]) -> List[trees.Entry]:
    """Make files, name -> path, blobs as `link_output` does; return their entries for a Tree.

    Several at a time: most of it is waiting for the disk.
    """
    from concurrent.futures import ThreadPoolExecutor  # slow to load, and members that commit are few

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = pool.map(lambda path: link_output(layout, path), found.values())
        return [(name, size, digest) for name, (size, digest) in zip(found, made)]


def link_output(layout: Layout, path: str) -> Tuple[int, str]:
    """Make the file that a job wrote at `path` a blob, without copying it; return size and digest.

    The file stays where it is and becomes read-only.  Safe to repeat.  Raises BadOutput where another file
    takes its place meanwhile.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb"):
        opened = os.fstat(handle)
        if not stat.S_ISREG(opened.st_mode):
            raise BadOutput("{} is no plain file.".format(os.path.basename(path)))
        hashed, size = trees.hash_of(handle)
        os.fsync(handle)
    digest = hashed.hexdigest()
    if not trees.held(layout, digest, size):
        files.make_dirs(layout.parts)
        name = files.temporary(layout.parts)
        os.link(path, name)
        if not os.path.samestat(opened, os.lstat(name)):  # what was hashed is what must be kept
            os.unlink(name)
            raise BadOutput("{} was replaced while it was read.".format(os.path.basename(path)))
        _adopt(layout, name, digest)
    return size, digest


def write_tree(layout: Layout, entries: Iterable[trees.Entry]) -> str:
    """Store the Tree of these entries and return its digest."""
    return add_bytes(layout, trees.tree_bytes(sorted(entries)))


def add_bytes(layout: Layout, data: bytes) -> str:
    """Store a small content; return its digest.  Safe to repeat."""
    digest = digest_of(data)
    if not trees.held(layout, digest, len(data)):
        files.make_dirs(layout.parts)
        path = files.temporary(layout.parts)
        with open(path, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _adopt(layout, path, digest)
    return digest


def _adopt(layout: Layout, path: str, digest: str) -> None:
    os.chmod(path, 0o400)  # it was flushed
    trees.adopt(layout, path, digest)
    files.fsync_dir(os.path.dirname(layout.blob(digest)))
