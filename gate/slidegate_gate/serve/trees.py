# SPDX-License-Identifier: BSD-3-Clause
"""Contents: how they arrive and how they are found again.

A *blob* is a file named by the SHA-256 of its bytes.  A *Tree* is a blob that lists names, sizes, digests::

    {"tree":1,"entries":[["plan.json",311,"9f2c..."],...]}        canonical JSON, sorted by name

so one digest names a whole folder.  Blobs are private to a key.  A blob gets its name only when it is
complete and matches its digest; a name therefore never shows a part of a content.

Blobs lie where files may be purged without notice.  So nothing remembers that a blob is here: whenever one
is used, its file is looked at, and a missing one or one of another size is simply missing and sent again.

An upload does not wait for the disk, so a power cut may leave a blob of the right size with other bytes.  Its
owner may therefore still write to it: that marks it as untried.  Before work that needs it is accepted, it is
read; what is spoiled is missing, and what is good is flushed and made read-only.

An upload continues where its part file ends.  The process that appends to a part holds a lock on it, and
hashes what it appends; a new process that continues an upload first hashes what is there.  Killed at any
time, a part is a beginning of the content, or it is found to be none at the end and thrown away.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from ..errors import BadRequest, BadTree, Busy, DigestMismatch, Gone, MissingBlobs, WrongOffset
from ..protocol import frames, messages
from ..protocol.canonical import canonical, digest_of
from .layout import Layout

Entry = Tuple[str, int, str]
MAX_TREE = 32 << 20
PIECE = 128 << 10
SMALLEST_CHARGE = 4096


def charge(size: int) -> int:
    """Return for how many bytes a file counts; an empty one takes its place, too."""
    return max(size, SMALLEST_CHARGE)


def file_size(path: str) -> Optional[int]:
    """Return the size of a plain file, or None where there is none or something else."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_size
    return None


def held(layout: Layout, digest: str, size: int) -> bool:
    """Say whether the blob is here, as far as its size tells."""
    return file_size(layout.blob(digest)) == size


def have(layout: Layout, wanted: Iterable[Tuple[str, int]]) -> Dict[str, Any]:
    """Return which blobs are missing, and for those that are partly here how many bytes."""
    missing = {digest: size for digest, size in wanted if not held(layout, digest, size)}
    parts = {digest: file_size(layout.part(digest)) or 0 for digest in missing}
    partial = {digest: part for digest, part in parts.items() if 0 < part < missing[digest]}
    return {"missing": list(missing), "partial": partial}


class Uploads:
    """The content that one connection is sending; there is at most one at a time."""

    def __init__(self, layout: Layout, make_room: Callable[[int], None]) -> None:
        """`make_room` is asked before so many bytes are written, and raises where they may not be."""
        self._layout = layout
        self._make_room = make_room
        self._digest, self._handle = "", -1
        self._hash, self._size = hashlib.sha256(), 0
        self._writer = ThreadPoolExecutor(1)

    def put(self, digest: str, size: int, offset: int, piece: memoryview) -> Tuple[int, bool]:
        """Append a piece; return where the next begins and whether the blob is complete.  Safe to repeat.

        Raises WrongOffset where the part ends elsewhere, Busy where another connection is sending the same
        content, DigestMismatch where the complete content is not what its digest says.
        """
        if offset + len(piece) > size:
            raise BadRequest("The piece does not lie inside the content.", field="offset")
        known = digest == self._digest
        begun = self._size if known else file_size(self._layout.part(digest)) or 0
        if begun < size:  # else an earlier gate was killed just before it committed
            if offset != begun:
                raise WrongOffset(next=begun)
            self._make_room(charge(offset + len(piece)) - (charge(offset) if offset else 0))
        try:
            if not known:
                self._open(digest)
            if self._size != begun:
                raise Busy()
            if begun < size:
                writing = self._writer.submit(self._write, piece, offset)
                self._hash.update(piece)
                writing.result()
                self._size += len(piece)
            return (size, self._commit()) if self._size >= size else (self._size, False)
        except (OSError, DigestMismatch):
            self.close()
            raise

    def close(self) -> None:
        """Stop sending; the part stays and can be continued by anybody with this key."""
        if self._handle >= 0:
            os.close(self._handle)
        self._digest, self._handle = "", -1

    def _open(self, digest: str) -> None:
        self.close()
        path = self._layout.part(digest)
        os.makedirs(self._layout.parts, 0o700, exist_ok=True)
        if file_size(path) is None and os.path.lexists(path):
            os.unlink(path)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        same = False
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(self._handle), os.lstat(path))
        if not same:  # another connection is sending it, or has committed or removed it just now
            self.close()
            raise Busy()
        self._hash, self._size = hash_of(self._handle)
        self._digest = digest

    def _write(self, piece: memoryview, offset: int) -> None:
        done = 0
        while done < len(piece):
            done += os.pwrite(self._handle, piece[done:], offset + done)

    def _commit(self) -> bool:
        path = self._layout.part(self._digest)
        if self._hash.hexdigest() != self._digest:
            os.unlink(path)
            raise DigestMismatch()
        adopt(self._layout, path, self._digest)
        self.close()
        return True


def adopt(layout: Layout, path: str, digest: str) -> None:
    """Give a complete file its name as a blob."""
    os.makedirs(os.path.dirname(layout.blob(digest)), 0o700, exist_ok=True)
    os.rename(path, layout.blob(digest))


def hash_of(handle: int) -> Tuple[Any, int]:
    """Read an open file from its beginning; return its hash, which can be continued, and its size."""
    hashed, size = hashlib.sha256(), 0
    while True:
        piece = os.pread(handle, PIECE, size)
        if not piece:
            return hashed, size
        hashed.update(piece)
        size += len(piece)


def _is_good(layout: Layout, digest: str, size: int) -> bool:
    """Say whether a blob is here and is what its name says; read it if it is untried, and flush it."""
    path = layout.blob(digest)
    with contextlib.suppress(FileNotFoundError):
        if not held(layout, digest, size):
            return False
        if not os.lstat(path).st_mode & stat.S_IWUSR:
            return True
        with open(path, "rb") as file:
            if hash_of(file.fileno())[0].hexdigest() == digest:
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o400)
                return True
        os.unlink(path)
    return False


def tree_bytes(entries: List[Entry]) -> bytes:
    """Return the one way to write a Tree."""
    return canonical({"tree": 1, "entries": [list(entry) for entry in entries]})


def load_tree(layout: Layout, digest: str) -> List[Entry]:
    """Return the entries of a Tree.

    Raises MissingBlobs where it is not here, BadTree where it is not the one canonical way to write a Tree or
    has names that do not fit into one folder.
    """
    data = read_checked(layout, digest, MAX_TREE)
    try:
        entries = [(name, size, blob) for name, size, blob in frames.parse_object(data)["entries"]]
        names = [name for name, _, _ in entries]
        folders = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
        plain = tree_bytes(entries) == data and all(map(messages.is_entry, entries))
        good = plain and names == sorted(set(names)) and not folders & set(names)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise BadTree("The Tree {} is not written as a Tree must be.".format(digest))
    return entries


def missing_of(layout: Layout, entries: Iterable[Entry]) -> List[str]:
    """Return the digests of those entries whose blobs are not here or are spoiled."""
    wanted = {(blob, size) for _, size, blob in entries}
    return sorted(blob for blob, size in wanted if not _is_good(layout, blob, size))


def read_checked(layout: Layout, digest: str, most: int) -> bytes:
    """Return a small content, verified; raise MissingBlobs where it is not here or is spoiled."""
    try:
        size, data = read_piece(layout.blob(digest), 0, most)
    except Gone:
        raise MissingBlobs(missing=[digest])
    if size > most:
        raise BadTree("The content {} is too large to be a list.".format(digest))
    if digest_of(data) != digest:
        os.unlink(layout.blob(digest))
        raise MissingBlobs(missing=[digest])
    return data


def read_piece(path: str, offset: int, length: int) -> Tuple[int, bytes]:
    """Return the size of a plain file and its bytes from `offset`, at most `length`; or raise Gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise Gone()
    with os.fdopen(handle, "rb"):
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Gone()
        return found.st_size, os.pread(handle, length, offset)
