# SPDX-License-Identifier: GPL-2.0-or-later
"""Chgrp2, Chown2 and Chmod2, asked for by a real client."""

from __future__ import annotations

from typing import Any

import pytest
from omero.cmd import (
    ERR,
    Chgrp2,
    Chgrp2Response,
    Chmod2,
    Chmod2Response,
    Chown2,
    Chown2Response,
    GraphException,
)
from pocket_omero.people import levels, roster

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]


def move(bench: Any, to: str, *, dry: bool = False, **named: list[int]) -> Any:
    return Chgrp2(targetObjects=dict(named), groupId=bench.group(to).id, dryRun=dry)


def give(bench: Any, to: str, **named: list[int]) -> Any:
    return Chown2(targetObjects=dict(named), userId=bench.person(to).id, dryRun=False)


def test_a_dataset_moves_with_its_images_and_what_is_on_them(bench: Any) -> None:
    dataset, image = bench.row("Dataset"), bench.image()
    note = bench.row("MapAnnotation", ns="n")
    links = [bench.link(dataset, image), bench.link(image, note)]
    pixels = bench.state.many(image, "pixels")[0]
    response = bench.ask("anna", move(bench, "read-write", Dataset=[dataset.id]))
    assert isinstance(response, Chgrp2Response)
    assert response.includedObjects["ome.model.core.Image"] == [image.id]
    assert response.deletedObjects == {}
    there = bench.group("read-write").id
    assert {row.group for row in (dataset, image, note, pixels, *links)} == {there}


def test_a_link_to_what_stays_is_cut(bench: Any) -> None:
    dataset, image, other = bench.row("Dataset"), bench.image(), bench.image()
    tag = bench.row("TagAnnotation", textValue="t")
    cut, kept = bench.link(dataset, image), bench.link(other, tag)
    lost = bench.link(image, tag)
    response = bench.ask("anna", move(bench, "read-only", Image=[image.id]))
    assert response.deletedObjects == {
        "ome.model.annotations.ImageAnnotationLink": [lost.id],
        "ome.model.containers.DatasetImageLink": [cut.id],
    }
    assert image.group == bench.group("read-only").id
    assert tag.group == dataset.group == bench.group("read-annotate").id
    assert bench.there(kept)


def test_what_others_did_to_an_image_does_not_follow_it_into_a_private_group(bench: Any) -> None:
    image = bench.image()
    note, mine = (
        bench.row("CommentAnnotation", "ben", textValue="c"),
        bench.row("CommentAnnotation", textValue="d"),
    )
    bench.link(image, note, owner="ben")
    bench.link(image, mine)
    roi = bench.row("Roi", "ben", image=image)
    bench.ask("anna", move(bench, "private", Image=[image.id]))
    assert not bench.there(note)
    assert mine.group == image.group == bench.group("private").id
    assert all(row.owner == image.owner for row in bench.state.where("Roi", "image", image))
    assert not bench.there(roi) or roi["image"] is None


def test_images_of_one_fileset_move_together_or_not_at_all(bench: Any) -> None:
    fileset = bench.row("Fileset", templatePrefix="x")
    images = [bench.image(fileset=fileset) for _ in range(2)]
    response = bench.ask("anna", move(bench, "read-only", Image=[images[0].id]))
    assert isinstance(response, GraphException)
    assert "within Fileset" in response.message
    bench.ask("anna", move(bench, "read-only", Image=[i.id for i in images]))
    assert fileset.group == bench.group("read-only").id


def test_only_owners_and_those_with_the_privilege_move_data(bench: Any) -> None:
    image = bench.image("anna", "read-write")
    for who in ("ben", "olga"):
        response = bench.ask(who, move(bench, "read-only", Image=[image.id]))
        assert f"not permitted to move Image[{image.id}]" in response.message
    for who in ("mover", "root"):
        assert isinstance(bench.ask(who, move(bench, "read-only", Image=[image.id])), Chgrp2Response)


def test_nobody_moves_data_to_a_group_they_are_not_in(bench: Any) -> None:
    with bench.state.change():
        roster.new_group(bench.state, "elsewhere", "read-only")
    image = bench.image()
    response = bench.ask("anna", move(bench, "elsewhere", Image=[image.id]))
    assert isinstance(response, ERR)
    assert response.parameters["message"] == "not a member of the chgrp destination group"
    assert isinstance(bench.ask("mover", move(bench, "elsewhere", Image=[image.id])), Chgrp2Response)


def test_a_dry_run_of_a_move_changes_nothing(bench: Any) -> None:
    image = bench.image()
    response = bench.ask("anna", move(bench, "read-only", dry=True, Image=[image.id]))
    assert response.includedObjects["ome.model.core.Image"] == [image.id]
    assert image.group == bench.group("read-annotate").id


def test_the_owner_of_a_group_gives_data_to_a_member(bench: Any) -> None:
    dataset, image = bench.row("Dataset"), bench.image()
    link, theirs = bench.link(dataset, image), bench.row("CommentAnnotation", "olga", textValue="c")
    bench.link(image, theirs, owner="olga")
    response = bench.ask("olga", give(bench, "ben", Dataset=[dataset.id]))
    assert isinstance(response, Chown2Response)
    assert {row.owner for row in (dataset, image, link)} == {bench.person("ben").id}
    assert theirs.owner == bench.person("olga").id


def test_members_give_nothing_away_not_even_their_own(bench: Any) -> None:
    image = bench.image()
    response = bench.ask("anna", give(bench, "ben", Image=[image.id]))
    assert f"not permitted to give Image[{image.id}]" in response.message
    assert image.owner == bench.person("anna").id


def test_owners_of_a_group_give_data_to_its_members_only(bench: Any) -> None:
    image = bench.image()
    assert isinstance(bench.ask("olga", give(bench, "mover", Image=[image.id])), GraphException)
    assert isinstance(bench.ask("root", give(bench, "mover", Image=[image.id])), Chown2Response)


def test_all_that_somebody_owns_is_given_to_another(bench: Any) -> None:
    with bench.state.change():
        roster.new_person(bench.state, "leaver", default=bench.group("read-only"))
    images = [bench.image("leaver", "read-only") for _ in range(2)]
    request = Chown2(targetUsers=[bench.person("leaver").id], userId=bench.person("ben").id, dryRun=False)
    assert isinstance(bench.ask("root", request), Chown2Response)
    assert {row.owner for row in images} == {bench.person("ben").id}
    assert bench.state.where("Pixels", "details.owner", bench.person("leaver")) == []


def test_a_group_that_becomes_private_keeps_no_link_between_peoples_data(bench: Any) -> None:
    with bench.state.change():
        club = roster.new_group(bench.state, "club", "read-annotate")
        for name in ("anna", "ben", "olga"):
            roster.join(bench.state, bench.person(name), club, leads=name == "olga")
    image, tag = bench.image("anna", "club"), bench.row("TagAnnotation", "ben", "club", textValue="t")
    mixed, own = (
        bench.link(image, tag, owner="ben"),
        bench.row("TagAnnotation", "anna", "club", textValue="u"),
    )
    kept = bench.link(image, own)
    request = Chmod2(targetObjects={"ExperimenterGroup": [club.id]}, permissions="rw----", dryRun=False)
    assert isinstance(bench.ask("ben", request), ERR)
    assert isinstance(bench.ask("olga", request), Chmod2Response)
    assert roster.level_of(club) == levels.PRIVATE
    assert not bench.there(mixed)
    assert bench.there(kept)
    request.permissions = "rwrw--"
    assert isinstance(bench.ask("olga", request), ERR)
    assert isinstance(bench.ask("root", request), Chmod2Response)
    assert roster.level_of(club) == levels.READ_WRITE
