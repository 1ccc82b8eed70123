# SPDX-License-Identifier: GPL-2.0-or-later
"""The OMERO.grid: tables, and the one repository there is."""

from __future__ import annotations

import time
import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import omero.grid

from pocket_omero.commands import delete
from pocket_omero.errors import Forbidden, Invalid
from pocket_omero.ice.dispatch import Service, Stateful
from pocket_omero.people.levels import ROOT, USER_GROUP
from pocket_omero.tables import Sheet

if TYPE_CHECKING:
    from pocket_omero.state import Row

__all__ = ["SharedResources", "Table"]

TABLE = "OMERO.tables"  # the mimetype of a table's file
REPOSITORY = "Repository"


class SharedResources(Service, omero.grid.SharedResources, name="omero.grid.SharedResources"):
    """Where clients get tables from."""

    def do_areTablesEnabled(self, current: Any) -> bool:
        return True

    def do_repositories(self, current: Any) -> Any:
        """One repository by name: nothing is imported through it."""
        state = self.house.state
        with state.change():
            there = state.where("OriginalFile", "mimetype", REPOSITORY)
            row = there[0] if there else self._new_repository()
            return omero.grid.RepositoryMap([self.reply(current).load(row)], [None])

    def _new_repository(self) -> Any:
        state = self.house.state
        root = cast("Row", state.get("Experimenter", ROOT))
        users = cast("Row", state.get("ExperimenterGroup", USER_GROUP))
        return state.new(
            "OriginalFile",
            owner=root,
            group=users,
            event=state.event(root, users, None),
            name="ManagedRepository",
            path="/",
            mimetype=REPOSITORY,
        )

    def do_newTable(self, repository: int, path: str, current: Any) -> Any:
        """Make an empty table, in the group of the call."""
        if not path:
            raise Invalid("A table needs a name")
        caller = self.caller(current)
        group = self.house.rights.writable_group(caller)
        place = PurePosixPath(path)
        now = int(time.time() * 1000)
        state = self.house.state
        with state.change():
            row = state.new(
                "OriginalFile",
                owner=caller.person,
                group=group,
                event=state.event(caller.person, group, caller.session),
                name=place.name,
                path=f"{place.parent}/".replace("./", "") or "/",
                mimetype=TABLE,
                size=0,
                atime=now,
                mtime=now,
                ctime=now,
            )
        return self._open(row, True, current)

    def do_openTable(self, file: Any, current: Any) -> Any:
        """Open a table that is there. Null where the file is no table, as OMERO answers."""
        if file is None or file.id is None:
            raise Invalid("A table is opened by the id of its file")
        caller = self.caller(current)
        row = self.house.state.get("OriginalFile", file.id.val)
        if row is None or not self.house.rights.can_read(caller, row):
            raise Invalid(f"There is no OriginalFile {file.id.val}, or it may not be read")
        if row["mimetype"] != TABLE:
            return None
        return self._open(row, self.house.rights.can_edit(caller, row), current)

    def _open(self, row: Any, writable: bool, current: Any) -> Any:
        sheet = Sheet(self.house.files.path(row))
        servant = Table(self.house, self.session, f"{uuid.uuid4()}/Table", row, sheet, writable)
        return self.offer(servant, current, omero.grid.TablePrx)


class Table(Stateful, omero.grid.Table):
    """An open table of one client.

    Parameters
    ----------
    row
        The OriginalFile that it is.
    sheet
        Its columns and rows.
    writable
        Whether the caller may change it.
    """

    def __init__(
        self, house: Any, session: Any, identity: str, row: Any, sheet: Sheet, writable: bool
    ) -> None:
        super().__init__(house, session, identity)
        self._row, self._sheet, self._writable = row, sheet, writable

    def _writing(self) -> Sheet:
        if not self._writable:
            raise Forbidden(f"You may read the table in OriginalFile {self._row.id}, and not write to it")
        return self._sheet

    def dispose(self) -> None:
        """Let go of the file, and write down how large it has become. Repeats are harmless."""
        if self._sheet.close() and self.house.state.get("OriginalFile", self._row.id) is not None:
            with self.house.state.change():
                self.house.files.seal(self._row)

    def do_getOriginalFile(self, current: Any) -> Any:
        return self.reply(current).load(self._row)

    def do_getHeaders(self, current: Any) -> list[Any]:
        return self._sheet.headers(current)

    def do_getNumberOfRows(self, current: Any) -> int:
        return self._sheet.rows()

    def do_getWhereList(
        self, condition: str, variables: Any, start: int, stop: int, step: int, current: Any
    ) -> list[int]:
        return self._sheet.where(condition, variables, start, stop, step)

    def do_readCoordinates(self, rows: list[int], current: Any) -> Any:
        return self._sheet.coordinates(rows, current)

    def do_read(self, columns: list[int], start: int, stop: int, current: Any) -> Any:
        return self._sheet.read(columns, start, stop, current)

    def do_slice(self, columns: list[int], rows: list[int], current: Any) -> Any:
        return self._sheet.slice(columns, rows, current)

    def do_initialize(self, columns: list[Any], current: Any) -> None:
        self._writing().initialize(columns)

    def do_addData(self, columns: list[Any], current: Any) -> None:
        self._writing().append(columns)

    def do_update(self, data: Any, current: Any) -> None:
        self._writing().update(data)

    def do_delete(self, current: Any) -> None:
        """Delete the table's file; what is linked to it goes with it, as with `Delete2`."""
        self._writing().close()
        self.withdraw(self, current)
        delete(self, {"OriginalFile": [self._row.id]}, current)

    def do_getMetadata(self, key: str, current: Any) -> Any:
        return self._sheet.metadata().get(key)

    def do_getAllMetadata(self, current: Any) -> dict[str, Any]:
        return self._sheet.metadata()

    def do_setMetadata(self, key: str, value: Any, current: Any) -> None:
        self._writing().set_metadata({key: value}, replace=False)

    def do_setAllMetadata(self, values: dict[str, Any], current: Any) -> None:
        self._writing().set_metadata(values, replace=True)
