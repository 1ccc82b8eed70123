# SPDX-License-Identifier: GPL-2.0-or-later
"""omero.group, omero.user and single privileges, as a real client meets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import omero
import pytest
from omero.model import DatasetI, DatasetImageLinkI, ExperimenterI, ImageI
from omero.rtypes import rstring
from omero.sys import Principal
from pocket_omero.people import roster
from pocket_omero.server import Server
from pocket_omero.state import Row

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PEOPLE = """
groups:
  lab: read-annotate
  hidden: private
people:
  anna: {password: anna, groups: [lab, hidden]}
  ben: {password: ben, groups: [lab, hidden]}
  olga: {password: olga, groups: [lab, hidden], leads: [lab]}
  aide: {password: aide, administrator: true, privileges: [Sudo]}
  writer: {password: writer, administrator: true, privileges: [WriteOwned]}
"""
ALL = {"omero.group": "-1"}


class Visit:
    """The clients of some people, and rows of anna's in two groups."""

    def __init__(self, server: Server) -> None:
        self.server, self.state = server, server.house.state
        names = ("anna", "ben", "olga", "aide", "writer")
        self.clients = {name: server.client(name, name) for name in names}
        self.rows = {(kind, g): self.row(kind, g) for kind in ("Image", "Dataset") for g in ("lab", "hidden")}

    def row(self, kind: str, group: str) -> Row:
        """A new row of anna's."""
        owned = {"owner": roster.person(self.state, "anna"), "group": roster.group(self.state, group)}
        return self.state.new(kind, name=kind, **owned)

    def group(self, name: str) -> str:
        """The id of a group, as contexts have it."""
        row = roster.group(self.state, name)
        assert row is not None
        return str(row.id)

    def images(self, name: str, context: dict[str, str]) -> list[int]:
        """The ids of the images that somebody sees."""
        found = self.clients[name].sf.getQueryService().findAllByQuery("from Image", None, context)
        return sorted(image.id.val for image in found)

    def save(self, name: str, obj: Any, context: dict[str, str]) -> Any:
        """Save as somebody."""
        return self.clients[name].sf.getUpdateService().saveAndReturnObject(obj, context)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("scope")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as server:
        made = Visit(server)
        yield made
        for client in made.clients.values():
            client.closeSession()


def dataset() -> Any:
    made = DatasetI()
    made.name = rstring("new")
    return made


def test_a_call_sees_one_group_or_all_and_each_what_they_may(visit: Visit) -> None:
    lab, hidden = (visit.rows["Image", name].id for name in ("lab", "hidden"))
    both = sorted([lab, hidden])
    assert visit.images("anna", {}) == [lab]
    assert visit.images("anna", {"omero.group": visit.group("hidden")}) == [hidden]
    assert visit.images("anna", ALL) == both
    assert visit.images("ben", ALL) == [lab]
    assert visit.images("olga", ALL) == [lab]
    assert visit.images("aide", ALL) == both
    assert visit.images("aide", {"omero.group": visit.group("hidden")}) == [hidden]


def test_nothing_new_is_saved_for_all_groups_at_once(visit: Visit) -> None:
    with pytest.raises(omero.SecurityViolation):
        visit.save("anna", dataset(), ALL)
    saved = visit.save("anna", dataset(), {"omero.group": visit.group("hidden")})
    assert str(saved.details.group.id.val) == visit.group("hidden")


def test_a_link_finds_its_group_by_what_it_joins(visit: Visit) -> None:
    link = DatasetImageLinkI()
    link.parent = DatasetI(visit.rows["Dataset", "hidden"].id, False)
    link.child = ImageI(visit.rows["Image", "hidden"].id, False)
    saved = visit.save("anna", link, ALL)
    assert str(saved.details.group.id.val) == visit.group("hidden")
    link.child = ImageI(visit.rows["Image", "lab"].id, False)
    with pytest.raises(omero.SecurityViolation):
        visit.save("anna", link, ALL)


def test_a_row_is_changed_in_its_own_group_only(visit: Visit) -> None:
    query = visit.clients["anna"].sf.getQueryService()
    image = query.get("Image", visit.rows["Image", "hidden"].id, ALL)
    image.name = rstring("renamed")
    for context in (ALL, {"omero.group": visit.group("lab")}):
        with pytest.raises(omero.SecurityViolation, match="Currently logged into group"):
            visit.save("anna", image, context)
    visit.save("anna", image, {"omero.group": visit.group("hidden")})
    assert visit.rows["Image", "hidden"]["name"] == "renamed"


def test_what_a_row_says_of_itself_depends_on_who_asks(visit: Visit) -> None:
    number = visit.rows["Image", "lab"].id
    answers = {}
    for name in ("anna", "ben", "olga", "aide", "writer"):
        told = visit.clients[name].sf.getQueryService().get("Image", number, ALL).details.permissions
        answers[name] = (told.canEdit(), told.canAnnotate(), told.canDelete())
    assert answers == {
        "anna": (True, True, True),
        "ben": (False, True, False),
        "olga": (True, True, True),
        "aide": (False, False, False),  # sees all, may do nothing: not even as a member
        "writer": (True, True, False),
    }


def test_an_administrator_who_may_write_makes_rows_for_others(visit: Visit) -> None:
    anna = roster.person(visit.state, "anna")
    assert anna is not None
    new = dataset()
    new.details.owner = ExperimenterI(anna.id, False)
    context = {"omero.group": visit.group("hidden")}
    assert visit.save("writer", new, context).details.owner.id.val == anna.id
    assert (
        visit.save("writer", dataset(), context | {"omero.user": str(anna.id)}).details.owner.id.val
        == anna.id
    )
    for name in ("ben", "aide"):
        with pytest.raises(omero.SecurityViolation):
            visit.save(name, new, context)


def test_who_has_sudo_alone_opens_sessions_for_others_and_is_they_there(visit: Visit) -> None:
    principal = Principal("anna", "lab", "User", None)
    service = visit.clients["aide"].sf.getSessionService()
    key = service.createSessionWithTimeouts(principal, 0, 60_000).uuid.val
    client = visit.server.client(key, key)
    context = client.sf.getAdminService().getEventContext()
    assert (context.userName, context.sudoerName.val, context.isAdmin) == ("anna", "aide", False)
    saved = client.sf.getUpdateService().saveAndReturnObject(dataset())
    assert saved.details.owner.id.val == context.userId
    client.closeSession()
    for name in ("writer", "ben"):
        with pytest.raises(omero.SecurityViolation):
            visit.clients[name].sf.getSessionService().createSessionWithTimeouts(principal, 0, 60_000)


def test_the_owner_of_a_group_opens_sessions_for_its_members_in_that_group(visit: Visit) -> None:
    service = visit.clients["olga"].sf.getSessionService()
    key = service.createSessionWithTimeouts(Principal("anna", "lab", "User", None), 0, 60_000).uuid.val
    client = visit.server.client(key, key)
    query = client.sf.getQueryService()
    assert query.find("Image", visit.rows["Image", "lab"].id) is not None
    for elsewhere in ({"omero.group": visit.group("hidden")}, ALL):
        with pytest.raises(omero.SecurityViolation, match="cannot change context"):
            query.find("Image", visit.rows["Image", "hidden"].id, elsewhere)
    client.closeSession()
