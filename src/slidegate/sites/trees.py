# SPDX-License-Identifier: BSD-3-Clause
"""Trees on this computer: folders described by their names, sizes and SHA-256.

A Tree's text is ``{"tree":1,"entries":[[name,size,sha256],...]}`` in canonical JSON, sorted by name; the
SHA-256 of that text names the Tree.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from slidegate.domain.values import Digest, canonical_json
from slidegate.sites.errors import BadAnswer

Entry = tuple[str, int, str]
_PART = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_NAME = re.compile(f"{_PART}(/{_PART}){{0,11}}")
_SHA256 = re.compile("[0-9a-f]{64}")
_LONGEST = 512
_CHUNK = 1 << 20


def tree_text(entries: Iterable[Entry]) -> bytes:
    """Return the text of the Tree with these entries."""
    return canonical_json({"tree": 1, "entries": [list(entry) for entry in sorted(entries)]})


def tree_digest(entries: Iterable[Entry]) -> Digest:
    """Return the name of the Tree with these entries."""
    return Digest(hashlib.sha256(tree_text(entries)).hexdigest())


def is_name(name: object) -> bool:
    """Say whether a name may stand in a Tree: below the folder, plain characters, not hidden."""
    return isinstance(name, str) and len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def read_tree(text: bytes, digest: Digest) -> tuple[Entry, ...]:
    """Read a Tree that a site sent, trusting nothing in it.

    Raises
    ------
    BadAnswer
        It is not the Tree of that name, or a name in it could lead out of its folder.
    """
    if hashlib.sha256(text).hexdigest() != digest:
        raise BadAnswer("The site sent another list of files than the one that was asked for.")
    try:
        value = json.loads(text)
        entries = tuple((name, size, sha256) for name, size, sha256 in value["entries"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAnswer("The site sent a list of files that cannot be read.") from error
    names = {name for name, _size, _sha256 in entries if isinstance(name, str)}
    good = all(
        is_name(name) and type(size) is int and size >= 0 and _SHA256.fullmatch(str(sha256))
        for name, size, sha256 in entries
    )
    if not good or tree_text(entries) != text or len(names) != len(entries) or names & folders_of(names):
        raise BadAnswer("The site sent a list of files with a name that is not allowed.")
    return entries


def folders_of(names: Iterable[str]) -> set[str]:
    """Return the folders that files of these names lie in."""
    return {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}


def describe_folder(folder: Path) -> tuple[Entry, ...]:
    """Return the entries of the Tree that a folder of plain files is; reads every byte once."""
    entries = []
    for path in sorted(found for found in folder.rglob("*") if not found.is_dir()):
        name = path.relative_to(folder).as_posix()
        if not is_name(name) or path.is_symlink():
            raise BadAnswer(f"A file of this name cannot be sent to a site: {name!r}.")
        entries.append((name, path.stat().st_size, hash_file(path)))
    return tuple(sorted(entries))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
