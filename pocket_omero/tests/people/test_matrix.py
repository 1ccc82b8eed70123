# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules give just the rights that OMERO documents."""

from __future__ import annotations

from typing import Any

import pytest
from pocket_omero.errors import Forbidden
from pocket_omero.people import levels

from .documented import CASES, DOCUMENTED, LEVELS, WHO

pytestmark = pytest.mark.omero


def may(lab: Any, who: str, action: str, level: str) -> bool:
    """Whether `who` may do something to an image of anna's in a group of this level."""
    caller, rights = lab.caller(who, level), lab.rights
    image = lab.row("Image", "anna", level, name="hers")
    if action == "remove annotations":
        note = lab.row("TagAnnotation", "anna", level)
        return rights.can_delete(caller, lab.link("anna", image, note))
    if action == "view":
        return rights.can_read(caller, image)
    test = {
        "annotate": rights.can_annotate,
        "delete": rights.can_delete,
        "edit": rights.can_edit,
        "move": rights.can_chgrp,
        "mix": rights.can_link,
        "change ownership": rights.can_chown,
    }[action]
    return test(caller, image)


@pytest.mark.parametrize(("role", "action", "level", "allowed"), CASES)
def test_the_rights_are_those_that_omero_documents(
    lab: Any, role: str, action: str, level: str, allowed: bool
) -> None:
    assert may(lab, WHO[role], action, level) is allowed


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("role", [r for r in WHO if r != "themselves"])
def test_what_a_row_says_of_itself_is_what_the_rules_say(lab: Any, role: str, level: str) -> None:
    image = lab.row("Image", "anna", level, name="hers")
    caller = lab.caller(WHO[role], level)
    told = lab.rights.permissions(caller, image)
    assert str(told) == levels.LEVELS[level]
    rights = lab.rights
    assert told.canAnnotate() is rights.can_annotate(caller, image)
    assert told.canEdit() is rights.can_edit(caller, image)
    assert told.canDelete() is rights.can_delete(caller, image)
    assert told.canLink() is rights.can_link(caller, image)
    assert told.canChgrp() is rights.can_chgrp(caller, image)
    assert told.canChown() is rights.can_chown(caller, image)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("role", [r for r in WHO if r != "themselves"])
def test_a_new_link_needs_the_right_that_the_table_names(lab: Any, role: str, level: str) -> None:
    column = LEVELS.index(level)
    caller = lab.caller(WHO[role], level)
    image, dataset = (lab.row(kind, "anna", level, name="hers") for kind in ("Image", "Dataset"))
    mine = lab.row("TagAnnotation", WHO[role], level)
    for action, kind, ends in (
        ("annotate", "ImageAnnotationLink", (image, mine)),
        ("annotate", "Roi", (image,)),
        ("mix", "DatasetImageLink", (dataset, image)),
    ):
        allowed = DOCUMENTED[role][action][column] == "Y"
        if allowed:
            owner, group = lab.rights.details_of_new(caller, kind, linked=ends)
            assert (owner.id, group.id) == (caller.person.id, lab.groups[level].id)
        else:
            with pytest.raises(Forbidden):
                lab.rights.details_of_new(caller, kind, linked=ends)


def test_an_administrator_may_link_what_is_one_persons_for_that_person_in_a_private_group(lab: Any) -> None:
    image, dataset = (lab.row(kind, "anna", "private", name="hers") for kind in ("Image", "Dataset"))
    caller, anna = lab.caller("root", "private"), lab.person("anna")
    with pytest.raises(Forbidden, match="private group"):
        lab.rights.details_of_new(caller, "DatasetImageLink", linked=(dataset, image))
    owner, _ = lab.rights.details_of_new(caller, "DatasetImageLink", linked=(dataset, image), owner=anna.id)
    assert owner == anna
