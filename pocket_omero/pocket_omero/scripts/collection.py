# SPDX-License-Identifier: GPL-2.0-or-later
"""Which scripts a server offers to everybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import omero

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

__all__ = ["PYTHON", "Files", "Script", "found_scripts", "install_scripts", "is_official", "new_script"]

PYTHON = "text/x-python"  # the mimetype of a script's file
# Scripts for everybody belong to root, in the group that everybody is in.
_ROOT, _USERS = 0, 1


class Files(Protocol):
    """Where the bytes of OriginalFiles are."""

    def path(self, row: Row) -> Path:
        """Where those of `row` are."""

    def seal(self, row: Row) -> None:
        """Write down their number and hash."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script in a folder of this computer.

    Attributes
    ----------
    folder, name
        Under which clients list it: ``/omero/export_scripts/`` and ``Make_Movie.py``.
    file
        Where its text is.
    """

    folder: str
    name: str
    file: Path


def found_scripts(own: Path) -> Iterator[Script]:
    """Scripts for everybody: pocket OMERO's, those of packages such as omero-scripts, and those in `own`.

    Parameters
    ----------
    own
        A folder with more scripts, in folders or not; it may be missing.
    """
    here = Path(__file__).parent / "official"
    for file in sorted(here.glob("*.py")):
        yield Script("/pocket_omero/", file.name, file)
    for place in map(Path, omero.__path__):
        for file in sorted(place.glob("*_scripts/*.py")):
            if file.name != "__init__.py":
                yield Script(f"/omero/{file.parent.name}/", file.name, file)
    for file in sorted(own.rglob("*.py")):
        below = file.parent.relative_to(own).as_posix()
        yield Script("/" if below == "." else f"/{below}/", file.name, file)


def is_official(row: Row) -> bool:
    """Whether the server runs this script for everybody; users' own scripts need a processor of theirs."""
    return row["mimetype"] == PYTHON and row.owner == _ROOT and row.group == _USERS


def new_script(state: State, path: str, owner: Row | None, group: Row | None) -> Row:
    """Make the OriginalFile of a script.

    Parameters
    ----------
    path
        Folders and name, as clients list it.
    owner, group
        Whose it is; None: a script for everybody.
    """
    folder, _, name = path.strip("/").rpartition("/")
    with state.change():
        owner = owner or cast("Row", state.get("Experimenter", _ROOT))
        group = group or cast("Row", state.get("ExperimenterGroup", _USERS))
        return state.new(
            "OriginalFile",
            owner=owner,
            group=group,
            event=state.event(owner, group, None),
            name=name,
            path=f"/{folder}/" if folder else "/",
            mimetype=PYTHON,
            size=0,
        )


def install_scripts(state: State, files: Files, own: Path) -> None:
    """Make the scripts that are found known to the server. A repeat brings changed texts up to date."""
    with state.lock:
        rows = [row for row in state.where("OriginalFile", "mimetype", PYTHON) if is_official(row)]
        there = {row["path"] + row["name"]: row for row in rows}
    for script in found_scripts(own):
        path = script.folder + script.name
        row = there.get(path) or new_script(state, path, None, None)
        text = script.file.read_bytes()
        place = files.path(row)
        if not place.exists() or place.read_bytes() != text:
            place.write_bytes(text)
            with state.change():
                files.seal(row)
