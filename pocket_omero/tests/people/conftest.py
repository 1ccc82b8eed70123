# SPDX-License-Identifier: GPL-2.0-or-later
"""A laboratory: four groups, one of each level, with the same people in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pocket_omero.people import levels, roster
from pocket_omero.people.caller import Caller
from pocket_omero.people.rights import Rights
from pocket_omero.state import Row, State


@dataclass
class Desk:
    """Where somebody sits: what `Rights.caller` asks of a session."""

    person: Row
    group: Row
    row: Row | None = None
    sudoer: Row | None = None


class Lab:
    """People and rows.

    In each group are anna, whose data it is; ben, a member; and olga, who owns the group. In none of them,
    but in ``system``, are root, and restricted administrators with a single privilege each, named after it.
    """

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        roster.found(self.state)
        self.rights = Rights(self.state)
        with self.state.change():
            self.groups = {name: roster.new_group(self.state, name, name) for name in levels.LEVELS}
            everywhere = list(self.groups.values())
            for name in ("anna", "ben", "olga"):
                roster.new_person(self.state, name, default=everywhere[0], groups=everywhere[1:])
            for group in everywhere:
                roster.join(self.state, self.person("olga"), group, leads=True)
            for privilege in levels.PRIVILEGES:
                roster.new_person(self.state, privilege, admin=True, privileges=[privilege])

    def person(self, name: str) -> Row:
        """A person, by login name."""
        row = roster.person(self.state, name)
        assert row is not None, name
        return row

    def caller(self, name: str, group: str | None = None, **ctx: str) -> Caller:
        """Somebody who calls: in a group, or in all (``-1``) where none is named."""
        person = self.person(name)
        context = {"omero.group": str(self.groups[group].id) if group else "-1"} | ctx
        return self.rights.caller(Desk(person, roster.default_group(self.state, person)), context)

    def row(self, kind: str, owner: str, group: str, **values: object) -> Row:
        """A row of somebody in a group."""
        return self.state.new(kind, owner=self.person(owner), group=self.groups[group], **values)

    def link(self, owner: str, parent: Row, child: Row) -> Row:
        """A link between two rows, in the group of the first."""
        kind = (
            f"{parent.kind}AnnotationLink" if "Annotation" in child.kind else f"{parent.kind}{child.kind}Link"
        )
        group = self.state.get("ExperimenterGroup", parent.group)
        return self.state.new(kind, parent=parent, child=child, owner=self.person(owner), group=group)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for all tests of a file."""
    made = Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.state.close()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """One for a test that changes it."""
    made = Lab(tmp_path)
    yield made
    made.state.close()
