# SPDX-License-Identifier: BSD-3-Clause
"""Shelves show what is on them, and nothing else of this computer."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from slidegate.domain.errors import SlidegateError
from slidegate.domain.shelf_names import BadImageName, ShelfName, is_shown, name_in, parse_shelf_name, shown
from slidegate.domain.values import ImageRef
from slidegate.sources import shelves as module
from slidegate.sources.errors import ImageNotFoundError, NotAnImageError
from slidegate.sources.folder_sink import MARKER
from slidegate.sources.shelves import BadShelf, Shelves


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    for name in ("b.tif", "A.ome.tiff", "sub/c.tif", ".hidden.tif", ".secret/d.tif"):
        write(folder / name)
    (folder / "notes.txt").write_text("x")
    write(tmp_path / "outside" / "patient.tif")
    return folder


@pytest.fixture
def shelves(shelf: Path) -> Shelves:
    return Shelves({"here": shelf})


def test_the_shelves_come_first(shelves: Shelves) -> None:
    listing = shelves.list("")
    assert [(entry.at, entry.name) for entry in listing.folders] == [("here:", "here")]
    assert (listing.at, listing.trail, listing.images) == ("", (), ())


def test_a_folder_lists_folders_and_images_by_name(shelves: Shelves) -> None:
    listing = shelves.list("here:")
    assert [entry.at for entry in listing.folders] == ["here:sub"]
    assert [entry.at for entry in listing.images] == ["here:A.ome.tiff", "here:b.tif"]
    inner = shelves.list("here:sub")
    assert [(entry.at, entry.name) for entry in inner.trail] == [("here:", "here"), ("here:sub", "sub")]
    assert [entry.at for entry in inner.images] == ["here:sub/c.tif"]


def test_an_image_and_its_name_belong_together(shelves: Shelves, shelf: Path) -> None:
    ref = shelves.image("here:sub/c.tif")
    assert ref == ImageRef("folder", str(shelf / "sub" / "c.tif"))
    assert shelves.name(ref) == "here:sub/c.tif"
    chosen = shelves.image("here:sub/c.tif#z=3,t=0")
    assert chosen.image == f"{shelf / 'sub' / 'c.tif'}#z=3,t=0"
    assert shelves.name(chosen) == "here:sub/c.tif#z=3,t=0"
    assert shelves.name(ImageRef("folder", "/etc/passwd")) is None
    assert shelves.name(ImageRef("omero", str(shelf / "b.tif"))) is None
    assert shelves.name(ImageRef("folder", str(shelf / ".hidden.tif"))) is None


BAD = [
    "", "here", ":", "here:..", "here:../outside/patient.tif", "here:sub/../../outside/patient.tif",
    "here:sub/..",
    "here:./b.tif", "here:sub//c.tif", "here:/etc/passwd", "here:sub/", "here:.hidden.tif",
    "here:.secret/d.tif", "here:.secret", "here:b.tif\0", "here:%2E%2E/outside/patient.tif",
    "here:%2e%2e/outside/patient.tif", "here:sub%2Fc.tif", "here:sub%2fc.tif", "here:%62.tif", "here:b.tif#",
    "here:b.tif#z", "here:b.tif#z=3;t=1", "here:b.tif#../x", "here:#z=1", "there:b.tif", "HERE:b.tif",
    "here:here:b.tif", "/etc/passwd", "here:\ud800.tif", "here:" + "a" * 300, "here:" + "a/" * 3000 + "b",
    "here:nothing.tif", "here:b.tif/", "here:b.tif/c.tif", "here:\\..\\outside", "here: b.tif", "here:%",
    "here:%zz", "here:%00", "here:b.tif%00.png", "..:b.tif", "here%3Ab.tif", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_no_other_name_finds_anything(shelves: Shelves, name: str) -> None:
    with pytest.raises(SlidegateError) as refused:
        shelves.image(name)
    assert refused.value.code in ("bad-image-name", "image-not-found", "not-an-image")
    assert "outside" not in str(refused.value) and "/" not in str(refused.value).replace("folder/image", "")
    if name:
        with pytest.raises(SlidegateError):
            shelves.list(name)


def test_links_that_lead_out_are_not_there(shelves: Shelves, shelf: Path, tmp_path: Path) -> None:
    (shelf / "file.tif").symlink_to(tmp_path / "outside" / "patient.tif")
    (shelf / "folder").symlink_to(tmp_path / "outside")
    (shelf / "up").symlink_to("..")
    (shelf / "hidden.tif").symlink_to(shelf / ".hidden.tif")
    (shelf / "loop").symlink_to("loop")
    (shelf / "broken.tif").symlink_to(shelf / "gone.tif")
    listing = shelves.list("here:")
    assert [entry.name for entry in (*listing.folders, *listing.images)] == ["sub", "A.ome.tiff", "b.tif"]
    for name in (
        "file.tif", "folder", "folder/patient.tif", "up", "up/outside/patient.tif", "hidden.tif", "loop",
        "broken.tif",
    ):  # fmt: skip
        with pytest.raises(ImageNotFoundError):
            shelves.image(f"here:{name}")


def test_links_that_stay_on_the_shelf_are_followed(shelves: Shelves, shelf: Path) -> None:
    (shelf / "same.tif").symlink_to("sub/c.tif")
    (shelf / "again").symlink_to("sub")
    assert shelves.image("here:same.tif").image == str(shelf / "sub" / "c.tif")
    assert shelves.image("here:again/c.tif").image == str(shelf / "sub" / "c.tif")
    assert "again" in [entry.name for entry in shelves.list("here:").folders]


def test_a_shelf_that_is_a_link_itself_works(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shelf)
    ref = Shelves({"s": tmp_path / "link"}).image("s:b.tif")
    assert ref.image == str(shelf / "b.tif")


def test_special_files_are_not_there(shelves: Shelves, shelf: Path) -> None:
    os.mkfifo(shelf / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(shelf / "s.tif"))
        assert [entry.name for entry in shelves.list("here:").images] == ["A.ome.tiff", "b.tif"]
        for name in ("here:pipe.tif", "here:s.tif"):
            with pytest.raises(ImageNotFoundError):
                shelves.image(name)


def test_results_and_label_images_are_not_offered(shelves: Shelves, shelf: Path) -> None:
    write(shelf / "result" / "x.tif")
    (shelf / "result" / MARKER).write_text("{}")
    labels = shelf / "labels.zarr"
    labels.mkdir()
    ome = {"version": "0.5", "image-label": {}, "multiscales": []}
    (labels / "zarr.json").write_text(json.dumps({"attributes": {"ome": ome}}))
    listing = shelves.list("here:")
    assert "result" not in [entry.name for entry in listing.folders]
    assert "labels.zarr" not in [entry.name for entry in listing.images]


def test_names_that_cannot_be_shown_are_harmless_and_still_work(shelves: Shelves, shelf: Path) -> None:
    names = [
        b"line\nbreak.tif",
        b"bell\x1b[31m.tif",
        "turned\u202e.tif".encode(),
        b"\xff\xfe.tif",
        b"50%#1.tif",
    ]
    for name in names:
        write(shelf / "odd" / os.fsdecode(name))
    found = shelves.list("here:odd").images
    assert len(found) == len(names)
    for entry in found:
        assert entry.name.isprintable()
        assert entry.at.isprintable()
        entry.at.encode("utf-8")
        ref = shelves.image(entry.at)
        assert Path(ref.image).is_file()
        assert shelves.name(ref) == entry.at


def test_a_large_folder_is_cut(shelf: Path, shelves: Shelves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 3)
    for number in range(5):
        write(shelf / "many" / f"{number}.tif")
    listing = shelves.list("here:many")
    assert (len(listing.images), listing.truncated) == (3, True)
    monkeypatch.setattr(module, "MOST_LISTED", 5)
    assert not shelves.list("here:many").truncated
    monkeypatch.setattr(module, "_MOST_SEEN", 4)
    assert shelves.list("here:many").truncated


def test_what_is_no_folder_cannot_be_listed(shelves: Shelves) -> None:
    for at in ("here:b.tif", "here:notes.txt", "here:sub#z=1"):
        with pytest.raises(SlidegateError):
            shelves.list(at)
    with pytest.raises(NotAnImageError):
        shelves.image("here:notes.txt")
    with pytest.raises(NotAnImageError):
        shelves.image("here:sub")


@pytest.mark.parametrize("name", ["", "Here", "a/b", "..", "a:b", "-a", "a" * 41, "a b"])
def test_a_shelf_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadShelf):
        Shelves({name: tmp_path})


def test_the_innermost_shelf_names_an_image() -> None:
    roots = {"all": Path("/data"), "mine": Path("/data/mine")}
    assert name_in(roots, "/data/mine/a.tif") == "mine:a.tif"
    assert name_in(roots, "/data/other/a.tif") == "all:other/a.tif"
    assert name_in(roots, "/database/a.tif") is None


NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40)


@given(
    st.lists(NAMES.filter(is_shown), min_size=1, max_size=4), st.sampled_from(["", "z=3", "series=1,z=0,t=2"])
)
def test_every_name_has_one_form_and_comes_back(parts: list[str], choice: str) -> None:
    name = ShelfName("here", tuple(parts), choice)
    assert name.text.isprintable() or " " in name.text or any(sign >= "\u00a0" for sign in name.text)
    assert parse_shelf_name(name.text) == name
    assert not any(ord(sign) < 32 for sign in shown(parts[-1]))


@given(st.text(max_size=60).map(lambda rest: f"here:{rest}"))
def test_what_is_read_is_written_so_and_leads_nowhere_else(text: str) -> None:
    try:
        name = parse_shelf_name(text)
    except BadImageName:
        return
    assert name.text == text
    assert not any(part in ("", ".", "..") or "/" in part or "\0" in part for part in name.parts)
