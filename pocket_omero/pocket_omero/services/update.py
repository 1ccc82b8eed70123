# SPDX-License-Identifier: GPL-2.0-or-later
"""IUpdate: saves graphs of objects, and deletes single rows."""

from collections.abc import Sequence
from typing import Any

import omero.all

from pocket_omero.errors import Invalid, WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.state.convert import from_wire
from pocket_omero.state.model import kind_of
from pocket_omero.state.saving import Saved, reloaded, save_graph

__all__ = ["Update"]


class Update(Service, omero.api.IUpdate, name="omero.api.IUpdate"):
    """Saves; several objects in one call are saved all or not at all."""

    def _save(self, objects: Sequence[Any], current: Any) -> list[Saved]:
        if any(obj is None for obj in objects):
            raise WrongUse("Argument to save cannot be null.")
        caller, state = self.caller(current), self.house.state
        with state.change():
            return [save_graph(state, obj, caller, self.house.rights) for obj in objects]

    def _returned(self, objects: Sequence[Any], current: Any) -> list[Any]:
        with self.house.state.lock:
            graphs = self._save(objects, current)
            reply = self.reply(current)
            return [reloaded(reply, saved, obj) for saved, obj in zip(graphs, objects, strict=True)]

    def do_saveObject(self, obj: Any, current: Any) -> None:
        self._save([obj], current)

    def do_saveCollection(self, objects: Sequence[Any], current: Any) -> None:
        self._save(objects, current)

    def do_saveArray(self, objects: Sequence[Any], current: Any) -> None:
        self._save(objects, current)

    def do_saveAndReturnObject(self, obj: Any, current: Any) -> Any:
        return self._returned([obj], current)[0]

    def do_saveAndReturnArray(self, objects: Sequence[Any], current: Any) -> list[Any]:
        return self._returned(objects, current)

    def do_saveAndReturnIds(self, objects: Sequence[Any], current: Any) -> list[int]:
        return [saved[id(obj)].id for saved, obj in zip(self._save(objects, current), objects, strict=True)]

    def do_deleteObject(self, obj: Any, current: Any) -> None:
        if obj is None:
            return
        row_id = from_wire(obj._id)
        if row_id is None:
            raise WrongUse("Non-managed IObject entity cannot be deleted. Must have an id.")
        state, kind = self.house.state, kind_of(obj)
        with state.change():
            row = state.get(kind, row_id)
            if row is None:
                raise Invalid(f"No row with the given identifier exists: {kind}#{row_id}")
            self.house.rights.check_delete(self.caller(current), row)
            state.delete(row)
        if row.kind == "OriginalFile":
            self.house.files.delete(row.id)
        elif row.kind == "Pixels":
            self.house.images.delete(row.id)
