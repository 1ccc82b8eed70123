# SPDX-License-Identifier: GPL-2.0-or-later
"""People and groups changed in OMERO.web's own administration pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pocket_omero.people import levels, roster
from pocket_omero.server import Server
from pocket_omero.web import running_web

from ..clients.visit import Visit, why

pytestmark = [pytest.mark.omero, pytest.mark.slow, pytest.mark.needs("omero-web", "requests")]

PEOPLE = """
groups: {lab: read-annotate, hidden: private}
people:
  anna: {name: Anna Adams, password: anna, groups: [lab, hidden]}
  olga: {name: Olga Owner, password: olga, groups: [lab, hidden], leads: [lab]}
  root: {password: root}
"""


class Office:
    """A server, its OMERO.web, and what is in the state."""

    def __init__(self, server: Server, web: Any) -> None:
        self.server, self.state = server, server.house.state
        self.root = Visit(web, ("root", "root"))
        self.olga = Visit(web, ("olga", "olga"))

    def send(self, path: str, **fields: Any) -> None:
        """Send a form as root, which leads to a list."""
        answer = self.root.submit(path, fields)
        assert answer.ok and answer.url.endswith(("groups/", "experimenters/")), why(answer)

    def ids(self, *groups: str) -> list[str]:
        """The ids of groups, as forms have them."""
        rows = [roster.group(self.state, name) for name in groups]
        return [str(row.id) for row in rows if row is not None]

    def groups(self, name: str) -> set[str]:
        """The groups of somebody."""
        who = roster.person(self.state, name)
        assert who is not None
        return {row["parent"]["name"] for row in roster.memberships(self.state, who)}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder: Path = tmp_path_factory.mktemp("office")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as server, running_web(server, tmp_path_factory.mktemp("web")) as web:
        yield Office(server, web)


def test_a_group_is_made_and_changed(office: Office) -> None:
    anna, olga = (roster.person(office.state, name) for name in ("anna", "olga"))
    assert anna is not None and olga is not None
    owners, members = [str(anna.id)], [str(olga.id)]
    office.send(
        "/webadmin/group/create/",
        name="club",
        description="d",
        permissions="2",
        owners=owners,
        members=members,
    )
    club = roster.group(office.state, "club")
    assert club is not None
    assert roster.level_of(club) == levels.READ_ANNOTATE
    maps = office.state.many(club, "groupExperimenterMap")
    assert {m["child"]["omeName"]: m["owner"] for m in maps} == {"anna": True, "olga": False}
    path = f"/webadmin/group/save/{club.id}/"
    office.send(
        path, name="choir", description="d", permissions="1", owners=members, members=owners + members
    )
    assert (club["name"], roster.level_of(club)) == ("choir", levels.READ_ONLY)
    maps = office.state.many(club, "groupExperimenterMap")
    assert {m["child"]["omeName"]: m["owner"] for m in maps} == {"anna": False, "olga": True}


def test_a_person_is_made_logs_in_and_is_switched_off(office: Office) -> None:
    fields = {
        "omename": "zoe",
        "first_name": "Zoe",
        "last_name": "Zen",
        "email": "z@example.org",
        "institution": "",
    }
    lab, hidden = office.ids("lab", "hidden")
    secret = {"password": "zoe-secret", "confirmation": "zoe-secret"}
    groups = {"role": "user", "default_group": lab, "other_groups": [lab, hidden]}
    office.send("/webadmin/experimenter/create/", **fields, **secret, **groups, active="on")
    assert office.groups("zoe") == {"lab", "hidden", "user"}
    office.server.client("zoe", "zoe-secret").closeSession()
    zoe = roster.person(office.state, "zoe")
    assert zoe is not None
    groups["other_groups"] = [lab]
    office.send(f"/webadmin/experimenter/save/{zoe.id}/", **fields | {"last_name": "Zenith"}, **groups)
    assert zoe["lastName"] == "Zenith"
    assert office.groups("zoe") == {"lab"}


def test_an_administrator_with_single_privileges_is_made_and_changed(office: Office) -> None:
    fields = {"omename": "aide", "first_name": "A", "last_name": "B", "email": "", "institution": ""}
    (lab,) = office.ids("lab")
    more = {"role": "restricted_administrator", "active": "on", "default_group": lab, "other_groups": [lab]}
    secret = {"password": "aide-secret", "confirmation": "aide-secret"}
    office.send("/webadmin/experimenter/create/", **fields, **more, **secret, Sudo="on", Chgrp="on")
    aide = roster.person(office.state, "aide")
    assert aide is not None
    assert roster.privileges(office.state, aide) == {"Sudo", "Chgrp"}
    office.send(f"/webadmin/experimenter/save/{aide.id}/", **fields, **more, ModifyUser="on")
    assert roster.privileges(office.state, aide) == {"ModifyUser"}


def test_a_forgotten_password_is_set_anew_by_an_administrator_who_gives_their_own(office: Office) -> None:
    anna = roster.person(office.state, "anna")
    assert anna is not None
    path, new = f"/webadmin/change_password/{anna.id}/", {"password": "second", "confirmation": "second"}
    answer = office.root.submit(path, new | {"old_password": "wrong"})
    assert not office.server.house.passwords.check(anna.id, "second"), why(answer)
    answer = office.root.submit(path, new | {"old_password": "root"})
    assert office.server.house.passwords.check(anna.id, "second"), why(answer)


def test_people_change_their_own_names_and_see_no_administration(office: Office) -> None:
    (lab,) = office.ids("lab")
    fields = {"omename": "olga", "first_name": "Olga", "last_name": "Orff", "email": "o@example.org"}
    answer = office.olga.submit(
        "/webadmin/myaccount/save/", fields | {"institution": "", "default_group": lab}
    )
    assert answer.ok, why(answer)
    olga = roster.person(office.state, "olga")
    assert olga is not None
    assert olga["lastName"] == "Orff"
    assert office.olga.go("/webadmin/groups/").status_code == 404
