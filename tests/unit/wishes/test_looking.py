# SPDX-License-Identifier: BSD-3-Clause
"""What people look at before they ask for a Run."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from slidegate.sources.folder import FolderSource
from tests.unit.wishes.conftest import Office, write_image


def shelf(office: Office) -> Path:
    return office.root / "shelf"


def test_shelves_and_folders_are_listed_without_a_path_of_this_computer(office: Office) -> None:
    write_image(shelf(office) / "sub" / "a.ome.tif")
    assert office.answer("browse", {"at": ""})["folders"] == [{"at": "here:", "name": "here"}]
    found = office.answer("browse", {"at": "here:sub"})
    assert found["images"] == [{"image": "here:sub/a.ome.tif", "name": "a.ome.tif"}]
    assert found["trail"] == [{"at": "here:", "name": "here"}, {"at": "here:sub", "name": "sub"}]
    assert found["truncated"] is False
    assert str(office.root) not in str(found)


@pytest.mark.parametrize("at", ["here:../home", "there:", "/etc", "here:.x"])
def test_nothing_beside_the_shelves_is_listed(office: Office, at: str) -> None:
    wish = office.grant("browse", {"at": at})
    assert (wish.state, wish.answer) == ("refused", None)
    assert wish.error_code in ("bad-image-name", "image-not-found")
    assert str(office.root) not in str(wish.error)


def test_images_say_what_they_are_and_others_why_they_cannot_be_used(office: Office) -> None:
    write_image(shelf(office) / "a.ome.tif")
    (shelf(office) / "bad.tif").write_bytes(b"II*\0nothing")
    (shelf(office) / "empty.tif").touch()
    names = ["here:a.ome.tif", "here:bad.tif", "here:empty.tif", "here:gone.tif", "/etc/passwd"]
    found = office.answer("describe", {"images": names})["images"]
    assert [one["image"] for one in found] == names
    assert found[0] == {
        "image": "here:a.ome.tif",
        "name": "a.ome.tif",
        "shape": [2, 100, 100],
        "dtype": "uint16",
        "channels": found[0]["channels"],
        "pixel_size_um": None,
        "bytes": 40_000,
    }
    codes = [one["problem"]["code"] for one in found[1:]]
    assert codes == ["image-truncated", "image-empty-file", "image-not-found", "bad-image-name"]
    assert str(office.root) not in str(found)


def test_an_image_is_read_again_only_when_it_has_changed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    describe = FolderSource.describe
    monkeypatch.setattr(FolderSource, "describe", lambda *a: opened.append("d") or describe(*a))
    overview = FolderSource.overview
    monkeypatch.setattr(FolderSource, "overview", lambda *a: opened.append("o") or overview(*a))
    path = write_image(shelf(office) / "a.ome.tif")
    for kind, body in (
        ("describe", {"images": ["here:a.ome.tif"]}),
        ("thumbnail", {"image": "here:a.ome.tif", "side": 256}),
    ):
        opened.clear()
        first = office.answer(kind, body)
        assert office.answer(kind, body) == first
        assert len(opened) == 1
        write_image(path, seed=len(kind))
        office.answer(kind, body)
        assert len(opened) == 2


def test_a_thumbnail_is_a_small_jpeg_in_the_cache(office: Office) -> None:
    write_image(shelf(office) / "a.ome.tif", side=600)
    found = office.answer("thumbnail", {"image": "here:a.ome.tif", "side": 256})
    assert (found["width"], found["height"]) == (256, 256)
    assert found["scale"] == pytest.approx(600 / 256)
    file = office.desk.cache.file(found["file"])
    assert file is not None
    with Picture.open(io.BytesIO(file.read_bytes())) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (256, 256), "RGB")
        assert np.asarray(picture).std() > 10, "nothing is to be seen on it"


def test_a_thumbnail_that_was_swept_is_made_again(office: Office) -> None:
    write_image(shelf(office) / "a.ome.tif")
    body = {"image": "here:a.ome.tif", "side": 256}
    file = office.desk.cache.file(office.answer("thumbnail", body)["file"])
    assert file is not None
    assert len(list(file.parent.iterdir())) == 2, "both sizes are made when the image is read"
    file.unlink()
    assert office.desk.cache.file(office.answer("thumbnail", body)["file"]) == file


@pytest.mark.parametrize("side", [None, 0, 257, 10**9, "256", True])
def test_thumbnails_have_no_other_sizes(office: Office, side: object) -> None:
    write_image(shelf(office) / "a.ome.tif")
    assert office.grant("thumbnail", {"image": "here:a.ome.tif", "side": side}).error_code == "bad-wish"


def test_too_many_images_at_once_are_refused(office: Office) -> None:
    assert office.grant("describe", {"images": ["here:a.tif"] * 501}).error_code == "bad-wish"
    assert office.grant("describe", {"images": "here:a.tif"}).error_code == "bad-wish"
    assert office.grant("describe", {}).error_code == "bad-wish"


def test_without_an_omero_in_the_settings_its_images_are_refused_in_words(office: Office) -> None:
    [found] = office.answer("describe", {"images": ["omero:12"]})["images"]
    assert (found["problem"]["code"], found["problem"]["passes"]) == ("omero-not-configured", False)
    assert "omero_host" in found["problem"]["message"]
    asked = {"workflow": "squares", "images": ["omero:12"]}
    assert office.grant("launch", asked).error_code == "omero-not-configured"
    assert office.grant("omero-grant", {"sealed": "AAAA"}).error_code == "omero-not-configured"
    assert office.grant("omero-revoke", {}).error_code == "omero-not-configured"
    assert office.grant("browse", {"at": "omero:"}).error_code == "omero-not-browsed"


def test_what_is_written_beside_images_is_chosen_for_images_in_omero_only(office: Office) -> None:
    write_image(office.root / "shelf" / "a.tif")
    asked = {"workflow": "squares", "images": ["here:a.tif"], "publish": {"labels": "image"}}
    assert office.grant("launch", asked).error_code == "bad-wish"
