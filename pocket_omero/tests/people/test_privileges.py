# SPDX-License-Identifier: GPL-2.0-or-later
"""Administrators with single privileges: full administrators in what they have, members of no group else.

After the page *Administrators with restricted privileges* of OMERO's documentation; it rests on reading.
"""

from __future__ import annotations

from typing import Any

import pytest
from pocket_omero.errors import Forbidden, WrongUse
from pocket_omero.people import levels, roster

pytestmark = pytest.mark.omero

LEVELS = tuple(levels.LEVELS)

# What a single privilege lets do with an image, a file and a person of others, in groups of any level.
GIVES = {
    "WriteOwned": {"image": {"edit", "annotate", "link"}},
    "DeleteOwned": {"image": {"delete"}},
    "Chgrp": {"image": {"chgrp"}, "file": {"chgrp"}},
    "Chown": {"image": {"chown"}, "file": {"chown"}},
    "WriteFile": {"file": {"edit", "annotate", "link"}},
    "DeleteFile": {"file": {"delete"}},
    "ModifyUser": {"person": {"edit", "delete"}},
    "ModifyGroup": {"group": {"edit", "delete"}},
    "ModifyGroupMembership": {"membership": {"edit", "delete"}},
}
ACTIONS = ("edit", "annotate", "link", "delete", "chgrp", "chown")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("privilege", levels.PRIVILEGES)
def test_a_single_privilege_gives_just_what_it_is_named_after(lab: Any, privilege: str, level: str) -> None:
    caller = lab.caller(privilege, level)
    rows = {
        "image": lab.row("Image", "anna", level, name="hers"),
        "file": lab.row("OriginalFile", "anna", level, name="hers", path="/"),
        "person": lab.person("ben"),
        "group": lab.groups["private"],
        "membership": roster.memberships(lab.state, lab.person("ben"))[0],
    }
    for what, row in rows.items():
        given = GIVES.get(privilege, {}).get(what, set())
        if level == "private":
            given = given - {"annotate", "link"}  # nobody mixes people's data in a private group
        if what in ("person", "group", "membership"):
            given = given | {"annotate", "link"}  # whoever sees a person or a group may link to it
        allowed = {name for name in ACTIONS if getattr(lab.rights, f"can_{name}")(caller, row)}
        assert allowed == given, what


@pytest.mark.parametrize("privilege", levels.PRIVILEGES)
def test_administrators_see_all_data_whatever_their_privileges(lab: Any, privilege: str) -> None:
    rows = [lab.row("Image", "anna", level, name="hers") for level in LEVELS]
    sees = lab.rights.visible(lab.caller(privilege))
    assert all(map(sees, rows))


def test_who_acts_for_somebody_has_no_privilege_that_they_had_not_before(lab: Any) -> None:
    from pocket_omero.people.rights import Rights

    root, system = lab.person("root"), lab.state.get("ExperimenterGroup", levels.SYSTEM_GROUP)

    class Desk:
        person, group, row, sudoer = root, system, None, lab.person("Sudo")

    assert isinstance(lab.rights, Rights)
    assert lab.rights.caller(Desk(), {}).privileges == {"Sudo"}


def test_the_owner_of_a_group_acts_for_a_member_in_that_group_only(lab: Any) -> None:
    with lab.state.change():
        lead = roster.new_person(lab.state, "lead", default=lab.groups["read-only"])
        roster.join(lab.state, lead, lab.groups["read-only"], leads=True)

    class Desk:
        person, group, row, sudoer = lab.person("anna"), lab.groups["read-only"], None, lead

    caller = lab.rights.caller(Desk(), {})
    assert caller.member_of == {lab.groups["read-only"].id, levels.USER_GROUP}
    for elsewhere in (str(lab.groups["private"].id), "-1"):
        with pytest.raises(Forbidden, match="cannot change context"):
            lab.rights.caller(Desk(), {"omero.group": elsewhere})


def test_privileges_are_kept_as_omero_keeps_them(lab: Any) -> None:
    config = dict(lab.person("Sudo")["config"])
    assert config["AdminPrivilege:Chown"] == "false"
    assert "AdminPrivilege:Sudo" not in config
    assert roster.privileges(lab.state, lab.person("root")) == levels.ALL_PRIVILEGES
    assert roster.privileges(lab.state, lab.person("anna")) == frozenset()


def test_root_keeps_all_privileges_and_nobody_gets_an_unknown_one(lab: Any) -> None:
    with pytest.raises(WrongUse, match="root"):
        roster.set_privileges(lab.state, lab.person("root"), ["Sudo"])
    with pytest.raises(WrongUse, match="Dance"):
        roster.set_privileges(lab.state, lab.person("Sudo"), ["Dance"])
