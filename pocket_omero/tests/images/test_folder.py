# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder becomes people, groups, projects, datasets and images; repeats are safe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from pocket_omero.images import ImageError, Images, Place, rows
from pocket_omero.people import roster
from pocket_omero.people.passwords import Passwords
from pocket_omero.state import State

from pocket_omero import folder

pytestmark = pytest.mark.omero

PEOPLE = """
groups:
  lab: read-annotate
  closed: {permissions: private, description: for one's eyes}
people:
  alice: {name: Alice de Lille, password: a-secret, groups: [lab], leads: [closed], email: a@example.org}
  bob: {password: b-secret, groups: [lab]}
  helper: {password: h-secret, groups: [lab], administrator: true, privileges: [Sudo]}
projects:
  Cells:
    owner: alice
    description: all of them
    datasets:
      Controls: "control/*.tif"
      Treated: {images: ["treated/**"], description: with the drug}
datasets:
  Bobs: {owner: bob, images: ["*.tif"]}
  Closed: {owner: alice, group: closed, images: ["control/a.tif", "closed/[ab].tif"]}
"""


class Served:
    """A folder, its state, and all that `load` needs."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home
        self.open()

    def open(self) -> None:
        self.state = State(self.home)
        self.passwords = Passwords(self.home / "passwords.json")
        self.images = Images(self.path, self.home, self.state)

    def load(self) -> folder.Loaded:
        return folder.load(self.path, self.state, self.passwords, self.images)

    def again(self) -> folder.Loaded:
        """As after a restart."""
        self.state.close()
        self.open()
        return self.load()

    def picture(self, name: str, *shape: int) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.zeros(shape or (8, 9), "u1"))

    def names(self, kind: str) -> list[str]:
        return [row["name"] for row in self.state.all(kind)]

    def in_dataset(self, name: str) -> list[str]:
        (dataset,) = self.state.where("Dataset", "name", name)
        return [link["child"]["name"] for link in self.state.many(dataset, "imageLinks")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "served").mkdir()
    (tmp_path / "own").mkdir()
    made = Served(tmp_path / "served", tmp_path / "own")
    yield made
    made.state.close()


def test_without_people_there_is_one_person_and_a_dataset_for_each_folder(place: Served) -> None:
    for name in (
        "top.tif",
        "a/one.tif",
        "a/deeper/two.tif",
        "b/three.tif",
        ".hidden/four.tif",
        "a/.five.tif",
    ):
        place.picture(name)
    (place.path / "a" / "notes.txt").write_text("no image")
    done = place.load()
    assert (done.images, done.refused) == (4, [])
    assert place.names("Project") == ["served"]
    assert place.names("Dataset") == ["served", "a", "b"]
    assert place.in_dataset("a") == ["two.tif", "one.tif"] or place.in_dataset("a") == ["one.tif", "two.tif"]
    demo = roster.person(place.state, "demo")
    assert demo is not None
    assert {row.owner for row in place.state.all("Image")} == {demo.id}
    assert place.passwords.check(demo.id, done.passwords["demo"])
    assert set(done.passwords) == {"demo", "root"}


def test_people_groups_and_containers_are_those_of_people_yml(place: Served) -> None:
    (place.path / "people.yml").write_text(PEOPLE)
    for name in (
        "control/a.tif",
        "control/b.tif",
        "treated/x/y/c.tif",
        "d.tif",
        "closed/a.tif",
        "lost/e.tif",
    ):
        place.picture(name)
    done = place.load()
    assert done.refused == [("lost/e.tif", "no dataset of people.yml names it")]
    assert place.in_dataset("Controls") == ["a.tif", "b.tif"]
    assert place.in_dataset("Treated") == ["c.tif"]
    assert place.in_dataset("Bobs") == ["d.tif"]
    assert place.in_dataset("Closed") == ["a.tif"]  # control/a.tif lies in another group already
    alice, bob, helper = (roster.person(place.state, name) for name in ("alice", "bob", "helper"))
    assert alice and bob and helper
    assert (alice["firstName"], alice["lastName"], alice["email"]) == ("Alice", "de Lille", "a@example.org")
    closed, lab = roster.group(place.state, "closed"), roster.group(place.state, "lab")
    assert closed and lab
    assert closed["details.permissions"] == "rw----"
    (dataset,) = place.state.where("Dataset", "name", "Closed")
    assert (dataset.owner, dataset.group) == (alice.id, closed.id)
    (dataset,) = place.state.where("Dataset", "name", "Bobs")
    assert (dataset.owner, dataset.group) == (bob.id, lab.id)
    leads = [row["parent"]["name"] for row in roster.memberships(place.state, alice) if row["owner"]]
    assert leads == ["closed"]
    assert roster.privileges(place.state, helper) == {"Sudo"}
    assert place.passwords.check(alice.id, "a-secret")
    assert set(done.passwords) == {"root"}


def test_a_repeat_makes_nothing_twice_and_finds_what_is_new(place: Served) -> None:
    place.picture("a/one.tif")
    first = place.load()
    kinds = ("Image", "Pixels", "Dataset", "Project", "Fileset", "OriginalFile", "Experimenter", "PixelsType")
    before = {kind: place.state.count(kind) for kind in kinds}
    again = place.again()
    assert {kind: place.state.count(kind) for kind in kinds} == before
    assert again.passwords == first.passwords
    place.picture("a/two.tif")
    assert place.again().images == 2
    assert place.in_dataset("a") == ["one.tif", "two.tif"]


def test_an_image_that_is_gone_keeps_its_rows_and_its_pixels_fail_in_words(place: Served) -> None:
    place.picture("a/one.tif")
    place.load()
    (place.path / "a" / "one.tif").unlink()
    place.again()
    (pixels,) = place.state.all("Pixels")
    with pytest.raises(ImageError, match="the file of this image is gone"):
        place.images.open(pixels.id, rows.info_of(pixels))


def test_an_image_that_was_deleted_does_not_come_back(place: Served) -> None:
    place.picture("a/one.tif")
    place.load()
    with place.state.change():
        for kind in ("DatasetImageLink", "Channel", "LogicalChannel", "StatsInfo", "Pixels", "Image"):
            for row in list(place.state.all(kind)):
                place.state.delete(row)
    assert place.again().images == 0
    assert place.state.count("Image") == 0


def test_what_cannot_be_served_is_named_with_the_reason(place: Served) -> None:
    place.picture("a/good.tif")
    (place.path / "a" / "bad.tif").write_bytes(b"no TIFF at all")
    tifffile.imwrite(place.path / "a" / "complex.tif", np.zeros((4, 4), "c8"))
    done = place.load()
    assert done.images == 1
    assert [path for path, _ in done.refused] == ["a/bad.tif", "a/complex.tif"]
    assert "complex64" in done.refused[1][1]


def test_several_images_of_one_file_share_a_fileset_and_have_names_of_their_own(place: Served) -> None:
    with tifffile.TiffWriter(place.path / "two.ome.tif") as writer:
        for name in ("left", "right"):
            writer.write(np.zeros((8, 8), "u1"), metadata={"axes": "YX", "Name": name})
    place.load()
    images = place.state.all("Image")
    assert [image["name"] for image in images] == ["two.ome.tif [left]", "two.ome.tif [right]"]
    assert len({image["fileset"].id for image in images}) == 1
    assert sorted(place.images.places().values(), key=lambda p: p.series) == [
        Place("two.ome.tif", 0), Place("two.ome.tif", 1)
    ]  # fmt: skip


def test_a_plate_becomes_wells_with_their_fields_and_lies_in_no_dataset(place: Served) -> None:
    plate = zarr.open_group(place.path / "plates" / "p.ome.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0},
                                      {"path": "C/4", "rowIndex": 2, "columnIndex": 3}]}  # fmt: skip
    for well in ("A/1", "C/4"):
        plate.create_group(well).attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
        for field in ("0", "1"):
            image = plate.create_group(f"{well}/{field}")
            image.create_array("0", shape=(8, 9), dtype="u1")
            image.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    assert place.load().images == 4
    (row,) = place.state.all("Plate")
    assert (row["name"], row["rows"], row["columns"]) == ("p.ome.zarr", 3, 4)
    wells = place.state.many(row, "wells")
    assert [(well["row"], well["column"]) for well in wells] == [(0, 0), (2, 3)]
    fields = [sample["image"]["name"] for sample in place.state.many(wells[1], "wellSamples")]
    assert fields == ["p.ome.zarr [Well C4, Field #1]", "p.ome.zarr [Well C4, Field #2]"]
    assert place.in_dataset("plates") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("groups: [", "is no YAML"),
        ("- a list", "names are wanted"),
        ("persons: {}", "'persons' is not known there"),
        ("groups: {lab: open}", "'open' is none of"),
        ("people: {ada: {password: x}}", "everybody is in a group"),
        ("people: {ada: {groups: [lab]}}", "there is no group 'lab'"),
        ("groups: {lab: private}\npeople: {ada: {groups: [lab], shoe: 3}}", "'shoe' is not known there"),
        ("datasets: {D: {owner: nobody, images: x}}", "there is nobody called 'nobody'"),
        ("datasets: {D: {group: elsewhere, images: x}}", "there is no group 'elsewhere'"),
        ("datasets: {D: {group: system, images: x}}", "demo is not in the group system"),
        ("datasets: {D: {images: 3}}", "a list of words is wanted"),
    ],
)
def test_what_people_yml_should_not_say_is_refused_in_words_and_changes_nothing(
    place: Served, text: str, words: str
) -> None:
    place.picture("a.tif")
    (place.path / "people.yml").write_text(text)
    with pytest.raises(folder.FolderError, match=words):
        place.load()
    assert place.state.count("Image") == place.state.count("Experimenter") == 0


@given(
    st.text("ab*?[/", max_size=12), st.lists(st.text("ab[*", min_size=1, max_size=4), min_size=1, max_size=4)
)
def test_a_path_always_fits_itself_and_two_stars(pattern: str, parts: list[str]) -> None:
    path = "/".join(parts)
    assert folder._matches(path, "**")
    assert folder._matches(path, folder._literal(path))
    folder._matches(path, pattern)  # whatever it says, it says something


def test_patterns_mean_what_they_look_like() -> None:
    for path, pattern in [("a/b.tif", "a/*.tif"), ("a/b/c.tif", "a/**"), ("a/b/c.tif", "**/c.tif"),
                          ("c.tif", "**/c.tif"), ("a/b/c.tif", "a/**/c.tif")]:  # fmt: skip
        assert folder._matches(path, pattern), (path, pattern)
    for path, pattern in [("a/b/c.tif", "a/*"), ("a/b/c.tif", "*.tif"), ("b/a.tif", "a/**"), ("a", "a/**")]:
        assert not folder._matches(path, pattern), (path, pattern)
