# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with a group of each level, the same people in each, and clients that ask it for commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pocket_omero.people import roster
from pocket_omero.server import Server
from pocket_omero.state import Row

PEOPLE = """
groups:
  private: private
  read-only: read-only
  read-annotate: read-annotate
  read-write: read-write
people:
  anna: {password: anna, groups: [private, read-only, read-annotate, read-write]}
  ben: {password: ben, groups: [private, read-only, read-annotate, read-write]}
  olga: {password: olga, groups: [private, read-only, read-annotate, read-write],
         leads: [private, read-only, read-annotate, read-write]}
  mover: {password: mover, administrator: true, privileges: [Chgrp]}
  root: {password: root}
"""


class Bench:
    """Rows on a running server, and the clients of its people."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.state = server.house.state
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        """Log everybody out."""
        for client in self._clients.values():
            client.closeSession()

    def client(self, name: str) -> Any:
        """The client of somebody, logged in once."""
        if name not in self._clients:
            self._clients[name] = self.server.client(name, name)
        return self._clients[name]

    def person(self, name: str) -> Row:
        """A person, by login name."""
        row = roster.person(self.state, name)
        assert row is not None, name
        return row

    def group(self, name: str) -> Row:
        """A group, by name."""
        row = roster.group(self.state, name)
        assert row is not None, name
        return row

    def row(self, kind: str, owner: str = "anna", group: str = "read-annotate", **values: Any) -> Row:
        """A new row of somebody in a group."""
        if kind in ("Project", "Dataset", "Image", "OriginalFile"):
            values.setdefault("name", kind)
        owned = {"details.owner": self.person(owner), "details.group": self.group(group)}
        return self.state.new(kind, **owned, **values)

    def link(self, parent: Row, child: Row, owner: str = "anna") -> Row:
        """A link between two rows, in the group of the first."""
        ends = parent.kind + ("Annotation" if "Annotation" in child.kind else child.kind)
        group = self.state.get("ExperimenterGroup", parent.group)
        assert group is not None
        return self.row(ends + "Link", owner, group["name"], parent=parent, child=child)

    def image(self, owner: str = "anna", group: str = "read-annotate", **values: Any) -> Row:
        """An image with pixels and a channel."""
        image = self.row("Image", owner, group, **values)
        pixels = self.row("Pixels", owner, group, image=image)
        logical = self.row("LogicalChannel", owner, group)
        self.row("Channel", owner, group, pixels=pixels, logicalChannel=logical)
        return image

    def there(self, row: Row) -> bool:
        """Whether a row is still there."""
        return self.state.get(row.kind, row.id) is row

    def ask(self, name: str, request: Any, context: dict[str, str] | None = None) -> Any:
        """What the server answers to a command of somebody."""
        client = self.client(name)
        handle = client.sf.submit(request, context) if context else client.sf.submit(request)
        try:
            callback = client.waitOnCmd(handle, loops=50, ms=200, failonerror=False)
            return callback.getResponse()
        finally:
            handle.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("commands")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as server:
        made = Bench(server)
        yield made
        made.close()
