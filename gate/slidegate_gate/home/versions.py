# SPDX-License-Identifier: BSD-3-Clause
"""The gate's own files in its home: a folder for each version, which never changes, and which one is current.

``<home>/versions/<version>+<digest>`` holds the sources as plain files.  Submissions run to their end with
the version that accepted them, so versions lie beside each other.  ``<home>/current`` points to the one that
new calls use, ``<home>/previous`` to the one before it.
"""

import compileall
import contextlib
import os
from typing import Dict, Iterator, Tuple

import slidegate_gate

from .. import folders
from ..protocol.canonical import canonical, digest_of
from ..serve import files

__all__ = ["copy_into", "folder_of", "is_unchanged", "number_of", "switch"]


def copy_into(home: str) -> str:
    """Put a copy of the running gate beside the other versions; return its name.

    Safe to repeat, which mends a copy that was altered.  The caller holds the home's lock.
    """
    package = os.path.dirname(os.path.abspath(slidegate_gate.__file__))
    sources = {name: data for name, data in _contents(package) if name.endswith(".py")}
    contents = {os.path.join("slidegate_gate", name): data for name, data in sources.items()}
    contents["__main__.py"] = sources["__main__.py"]
    version = "{}+{}".format(slidegate_gate.__version__, _digest(contents))
    target = os.path.join(home, "versions", version)
    if os.path.isdir(target) and not is_unchanged(target):
        os.rename(target, files.temporary(os.path.dirname(target)))
    if not os.path.isdir(target):
        made = files.temporary(os.path.dirname(target))
        folders.write(made, contents)
        compileall.compile_dir(made, ddir=target, quiet=2)
        folders.publish(made, target)
    return version


def switch(home: str, version: str) -> bool:
    """Make a version the current one, and the current one the previous; say whether that changed anything."""
    before = os.path.basename(folder_of(home))
    if before == version:
        return False
    for link, name in (("previous", before), ("current", version)):
        if name:
            made = files.temporary(home)
            os.symlink(os.path.join("versions", name), made)
            os.replace(made, os.path.join(home, link))
    files.fsync_dir(home)
    return True


def folder_of(home: str, link: str = "current") -> str:
    """Return the folder of the current (or previous) version, "" where there is none."""
    with contextlib.suppress(OSError):
        folder = os.path.join(home, os.readlink(os.path.join(home, link)))
        return folder if os.path.isdir(folder) else ""
    return ""


def number_of(folder: str) -> Tuple[int, ...]:
    """Return the number in a version's name, to compare it: (0, 1, 0) for ``.../0.1.0+abc``."""
    number = os.path.basename(folder).partition("+")[0]
    return tuple(int(part) for part in number.split(".") if part.isdigit())


def is_unchanged(folder: str) -> bool:
    """Say whether a version still holds exactly the files that its name was made from.

    Compiled files are not part of the name.  Python takes them in place of their sources, so they are made
    anew here.
    """
    same = _digest(dict(_contents(folder))) == os.path.basename(folder).partition("+")[2]
    if same and not compileall.compile_dir(folder, force=True, quiet=2):
        raise OSError("{} cannot be compiled: is there room?".format(folder))
    return same


def _contents(top: str) -> Iterator[Tuple[str, bytes]]:
    for folder, inside, names in os.walk(top):
        inside[:] = [name for name in inside if name != "__pycache__"]
        for path in [os.path.join(folder, name) for name in names]:
            with open(path, "rb") as file:
                yield os.path.relpath(path, top), file.read()


def _digest(contents: Dict[str, bytes]) -> str:
    named = sorted((name, digest_of(data)) for name, data in contents.items())
    return digest_of(canonical(named))[:12]
