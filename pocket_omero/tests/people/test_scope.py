# SPDX-License-Identifier: GPL-2.0-or-later
"""omero.group and omero.user of a call: which rows are seen, and where new ones go."""

from __future__ import annotations

from typing import Any

import pytest
from pocket_omero.errors import Forbidden, Invalid
from pocket_omero.people import levels, roster
from pocket_omero.people.passwords import Passwords

pytestmark = pytest.mark.omero


def test_a_call_for_one_group_sees_no_row_of_another(lab: Any) -> None:
    here, there = (lab.row("Image", "anna", level, name="hers") for level in ("private", "read-only"))
    sees = lab.rights.visible(lab.caller("anna", "private"))
    assert sees(here)
    assert not sees(there)


def test_a_call_for_all_groups_sees_the_rows_of_all_of_them(lab: Any) -> None:
    rows = [lab.row("Image", "anna", level, name="hers") for level in levels.LEVELS]
    assert [lab.rights.can_read(lab.caller("anna"), row) for row in rows] == [True] * 4
    assert [lab.rights.can_read(lab.caller("ben"), row) for row in rows] == [False, True, True, True]


def test_somebody_elses_group_is_closed_to_all_but_administrators(lab: Any) -> None:
    with lab.state.change():
        club = roster.new_group(lab.state, "club", "read-write")
        roster.new_person(lab.state, "carl", default=club)
    lab.groups["club"] = club
    image = lab.row("Image", "carl", "club", name="his")
    with pytest.raises(Forbidden, match="not a member"):
        lab.caller("anna", "club")
    assert not lab.rights.can_read(lab.caller("anna"), image)
    assert lab.rights.can_read(lab.caller("Sudo", "club"), image)


def test_what_is_in_the_groups_system_and_user_is_seen_by_everybody(lab: Any) -> None:
    shared = [lab.state.get("ExperimenterGroup", i) for i in (levels.SYSTEM_GROUP, levels.USER_GROUP)]
    rows = [
        lab.state.new("OriginalFile", name="f", path="/", owner=lab.person("root"), group=g) for g in shared
    ]
    for caller in (lab.caller("anna", "private"), lab.caller("anna")):
        assert all(lab.rights.can_read(caller, row) for row in rows)
        assert not any(lab.rights.can_edit(caller, row) for row in rows)


def test_a_new_row_goes_to_the_group_of_the_call(lab: Any) -> None:
    owner, group = lab.rights.details_of_new(lab.caller("anna", "read-write"), "Dataset")
    assert (owner["omeName"], group["name"]) == ("anna", "read-write")


def test_a_call_for_all_groups_writes_nothing_that_is_linked_to_nothing(lab: Any) -> None:
    with pytest.raises(Forbidden, match="=-1"):
        lab.rights.details_of_new(lab.caller("anna"), "Dataset")
    with pytest.raises(Forbidden, match="=-1"):
        lab.rights.writable_group(lab.caller("anna"))


def test_a_call_for_all_groups_changes_no_row(lab: Any) -> None:
    image = lab.row("Image", "anna", "private", name="hers")
    with pytest.raises(Forbidden, match="Currently logged into group -1"):
        lab.rights.check_edit(lab.caller("anna"), image)
    lab.rights.check_edit(lab.caller("anna", "private"), image)


def test_a_call_for_all_groups_links_in_the_group_of_what_it_links(lab: Any) -> None:
    image, tag = (lab.row(kind, "anna", "read-only") for kind in ("Image", "TagAnnotation"))
    _, group = lab.rights.details_of_new(lab.caller("anna"), "ImageAnnotationLink", linked=(image, tag))
    assert group["name"] == "read-only"


def test_nothing_is_linked_across_groups(lab: Any) -> None:
    image, tag = lab.row("Image", "anna", "read-only"), lab.row("TagAnnotation", "anna", "private")
    for group in (None, "read-only", "private"):
        with pytest.raises(Forbidden, match="MIXED GROUP"):
            lab.rights.details_of_new(lab.caller("anna", group), "ImageAnnotationLink", linked=(image, tag))


def test_only_administrators_write_for_others(lab: Any) -> None:
    anna = lab.person("anna")
    with pytest.raises(Forbidden, match="set the Experimenter"):
        lab.rights.details_of_new(lab.caller("ben", "read-write"), "Dataset", owner=anna.id)
    owner, _ = lab.rights.details_of_new(lab.caller("WriteOwned", "read-write"), "Dataset", owner=anna.id)
    assert owner == anna


def test_only_administrators_call_as_somebody_else(lab: Any) -> None:
    anna = lab.person("anna")
    with pytest.raises(Forbidden, match="not an admin"):
        lab.caller("ben", "read-write", **{"omero.user": str(anna.id)})
    caller = lab.caller("root", "read-write", **{"omero.user": str(anna.id)})
    assert caller.person == anna
    assert lab.rights.details_of_new(caller, "Dataset")[0] == anna


def test_a_context_that_names_nothing_is_refused_and_one_that_is_no_number_passed_over(lab: Any) -> None:
    with pytest.raises(Invalid, match="No row"):
        lab.caller("anna", **{"omero.group": "99999"})
    assert lab.caller("anna", **{"omero.group": "everywhere"}).scope == lab.groups["private"].id


def test_the_guest_reads_and_writes_nothing_of_others_and_makes_nothing(lab: Any) -> None:
    image = lab.row("Image", "anna", "read-write", name="hers")
    guest = lab.caller("guest")
    assert not lab.rights.can_read(guest, image)
    with pytest.raises(Forbidden):
        lab.rights.details_of_new(guest, "Dataset")


def test_a_server_that_only_reads_lets_nobody_write(own_lab: Any) -> None:
    image = own_lab.row("Image", "anna", "private", name="hers")
    own_lab.rights.read_only = True
    caller = own_lab.caller("anna", "private")
    assert own_lab.rights.can_read(caller, image)
    told = own_lab.rights.permissions(caller, image)
    assert not (told.canEdit() or told.canDelete() or told.canAnnotate() or told.canLink() or told.canChgrp())
    with pytest.raises(Forbidden):
        own_lab.rights.details_of_new(caller, "Dataset")


def test_the_roster_is_founded_once_and_survives_a_restart(own_lab: Any, tmp_path: Any) -> None:
    from pocket_omero.state import State

    roster.found(own_lab.state)
    own_lab.state.close()
    again = State(tmp_path)
    roster.found(again)
    assert [row["omeName"] for row in again.all("Experimenter")][:2] == ["root", "guest"]
    assert [row["name"] for row in again.all("ExperimenterGroup")][:3] == ["system", "user", "guest"]
    assert len(again.all("AdminPrivilege")) == len(levels.PRIVILEGES)
    sudo = roster.person(again, "Sudo")
    assert sudo is not None
    assert roster.privileges(again, sudo) == {"Sudo"}
    again.close()


def test_passwords_are_kept_hashed_and_readable_by_the_server_only(tmp_path: Any) -> None:
    file = tmp_path / "passwords.json"
    Passwords(file).set(7, "omero")
    again = Passwords(file)
    assert again.check(7, "omero")
    assert not again.check(7, "omer0")
    assert not again.check(8, "omero")
    assert "omero" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    again.remove(7)
    assert not Passwords(file).has(7)
