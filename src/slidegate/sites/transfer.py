# SPDX-License-Identifier: BSD-3-Clause
"""Trees on their way: only what is missing, piece after piece without waiting, resumed where it stopped."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from slidegate.domain.values import Digest
from slidegate.sites.errors import BadAnswer, DamagedOnTheWay, DamagedResult, Refused
from slidegate.sites.gate import PIECE, Gate
from slidegate.sites.link import Frame
from slidegate.sites.trees import Entry, folders_of, hash_file, read_tree, tree_text

Progress = Callable[[int, int], None]
_ROUNDS = 4
_TREE_MOST = 32 << 20
_RESUMABLE = {"wrong-offset", "digest-mismatch"}


def _ignore(_done: int, _total: int) -> None:
    return


def put_tree(gate: Gate, folder: Path, entries: Sequence[Entry], progress: Progress = _ignore) -> int:
    """Bring a Tree to a site; safe to repeat, and continues where an earlier call stopped.

    Parameters
    ----------
    folder
        Where the files of the Tree lie. Files that are at the site already are not read, and need not exist.
    progress
        Called with bytes at the site and bytes in all.

    Returns
    -------
    How many bytes were sent.

    Raises
    ------
    DamagedOnTheWay
        A file is not what the Tree says of it, or what arrives is not what is in the file.
    LinkDown, Refused, FileNotFoundError
    """
    text = tree_text(entries)
    digest = hashlib.sha256(text).hexdigest()
    sizes = {sha256: size for _name, size, sha256 in entries} | {digest: len(text)}
    paths = {sha256: folder / name for name, _size, sha256 in entries}
    total = sum(sizes.values())
    sent = 0
    for _round in range(_ROUNDS):
        found = gate.presence(sizes.items())
        if not found.missing:
            return sent
        there = total - sum(sizes[sha] - found.partial.get(sha, 0) for sha in found.missing)
        pieces = _pieces(paths, text, digest, {sha: sizes[sha] for sha in found.missing}, found.partial)
        try:
            for size in _put(gate, pieces):
                sent += size
                there += size
                progress(min(there, total), total)
        except Refused as error:
            if error.code not in _RESUMABLE:
                raise
    raise DamagedOnTheWay


def _pieces(
    paths: Mapping[str, Path], text: bytes, tree: str, sizes: Mapping[str, int], partial: Mapping[str, int]
) -> Iterator[Frame]:
    """Yield the puts of all that is missing; the Tree's own text comes last."""
    for sha256, size in sizes.items():
        if sha256 != tree:
            yield from _file_pieces(paths[sha256], sha256, size, partial.get(sha256, 0))
    if tree in sizes:
        yield {"verb": "put", "digest": tree, "size": len(text), "offset": 0}, text


def _file_pieces(path: Path, sha256: str, size: int, offset: int) -> Iterator[Frame]:
    with path.open("rb") as file:
        file.seek(offset)
        while True:
            body = file.read(min(PIECE, size - offset))
            yield {"verb": "put", "digest": sha256, "size": size, "offset": offset}, body
            offset += len(body)
            if offset >= size or not body:
                return


def _put(gate: Gate, pieces: Iterator[Frame]) -> Iterator[int]:
    """Send pieces; yield the bytes of each that was taken."""
    lengths: list[int] = []

    def noted() -> Iterator[Frame]:
        for request, body in pieces:
            lengths.append(len(body))
            yield request, body

    for number, _answer in enumerate(gate.stream(noted())):
        yield lengths[number]


def read_entries(gate: Gate, tree: Digest) -> tuple[Entry, ...]:
    """Return the entries of a Tree at a site.

    Raises
    ------
    Gone
        It is not there.
    BadAnswer
        What the site sent is not that Tree, or not a proper one.
    """
    text = b""
    while True:
        request = {"verb": "read", "digest": tree, "offset": len(text), "length": PIECE}
        ((answer, body),) = gate.stream([(request, b"")])
        text += body
        if len(text) > _TREE_MOST:
            raise BadAnswer("The site sent a list of files that is longer than any can be.")
        if not body or len(text) >= answer["size"]:
            return read_tree(text, tree)


def fetch_tree(gate: Gate, tree: Digest, folder: Path, progress: Progress = _ignore) -> tuple[Entry, ...]:
    """Fetch a Tree into a folder; afterwards all of its files are there and match their SHA-256.

    Safe to repeat: files that are there and match are kept, what else is below ``folder`` is removed.

    Raises
    ------
    Gone
        Something of it is not at the site any more.
    DamagedResult
        A file did not match; it was not kept.
    """
    entries = read_entries(gate, tree)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _tidy(folder, entries)
    total = sum(size for _name, size, _sha256 in entries)
    wanted = [(name, size, sha) for name, size, sha in entries if not _is_there(folder / name, size, sha)]
    done = total - sum(size for _name, size, _sha256 in wanted)
    progress(done, total)
    for size in _fetch(gate, folder, wanted):
        done += size
        progress(done, total)
    return entries


def _tidy(folder: Path, entries: Sequence[Entry]) -> None:
    names = {name for name, _size, _sha256 in entries}
    folders = folders_of(names)
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_dir():
            if name not in names or path.is_symlink():
                path.unlink()
        elif name not in folders:
            shutil.rmtree(path)


def _is_there(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and hash_file(path) == sha256


def _fetch(gate: Gate, folder: Path, wanted: Sequence[Entry]) -> Iterator[int]:
    """Fetch files one after the other, asking ahead; a file gets its name when it is whole and matches."""
    answers = gate.stream(_reads(wanted))
    for name, size, sha256 in wanted:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(".part")
        hashed = hashlib.sha256()
        left = size
        with part.open("wb") as file:
            while True:
                answer, body = next(answers, ({}, b""))
                if answer.get("size") != size or len(body) != min(PIECE, left):
                    raise DamagedResult
                hashed.update(body)
                file.write(body)
                left -= len(body)
                yield len(body)
                if not left:
                    break
        if hashed.hexdigest() != sha256:
            part.unlink()
            raise DamagedResult
        part.replace(path)
    if next(answers, None) is not None:
        raise BadAnswer


def _reads(wanted: Sequence[Entry]) -> Iterator[Frame]:
    for _name, size, sha256 in wanted:
        for offset in range(0, size, PIECE) if size else (0,):
            yield {"verb": "read", "digest": sha256, "offset": offset, "length": PIECE}, b""
