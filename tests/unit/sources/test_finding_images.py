# SPDX-License-Identifier: BSD-3-Clause
"""Finding images in folders, and knowing without reading them whether they changed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slidegate_analysis.images import create_labels, write_image

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId
from slidegate.sources.base import Choice, Publication, clean_label, split_choice
from slidegate.sources.errors import SourceError
from slidegate.sources.folder import FolderSink, FolderSource

pytestmark = pytest.mark.slow


def tiff(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8), photometric="minisblack")
    return path


def ome_zarr(path: Path) -> Path:
    black = np.zeros((8, 9), np.uint8)
    write_image(path, (1, 8, 9), "uint8", lambda *_: black, channels=[""], pixel_size_um=None)
    return path


def found(where: Path) -> list[str]:
    return [os.path.relpath(ref.image, where) for ref in FolderSource().find(str(where))]


def code_of(action, *arguments) -> str:
    with pytest.raises(SlidegateError) as caught:
        action(*arguments)
    return caught.value.code


def test_images_of_every_format_are_found_in_folders_below_sorted(tmp_path):
    for name in ("b.tif", "a.ome.tiff", "sub/deeper/c.TIF", "sub/d.btf", "notes.txt", "sub/picture.png"):
        tiff(tmp_path / name)
    ome_zarr(tmp_path / "sub" / "e.zarr")
    ome_zarr(tmp_path / "without-suffix")
    assert found(tmp_path) == [
        "a.ome.tiff",
        "b.tif",
        "sub/d.btf",
        "sub/deeper/c.TIF",
        "sub/e.zarr",
        "without-suffix",
    ]


def test_nothing_is_looked_for_inside_an_ome_zarr(tmp_path):
    tiff(ome_zarr(tmp_path / "a.zarr") / "hidden.tif")
    assert found(tmp_path) == ["a.zarr"]


def test_hidden_files_results_of_runs_and_label_images_are_left_out(tmp_path):
    tiff(tmp_path / "a.tif")
    tiff(tmp_path / ".hidden.tif")
    tiff(tmp_path / ".cache" / "b.tif")
    create_labels(tmp_path / "labels.zarr", (8, 9), shard=16, pixel_size_um=None)
    tiff(tmp_path / "result" / "overlay.tif")
    publication = Publication(
        RunId("r" * 10), TaskId("t"), AttemptKey("a" * 64), ImageRef("folder", "a"), "a.tif", Digest("b" * 64)
    )
    FolderSink(tmp_path).publish(publication, tmp_path / "result")
    assert found(tmp_path) == ["a.tif", "result/overlay.tif"]


def test_a_file_is_found_by_itself_with_the_plane_that_is_meant(tmp_path):
    path = tiff(tmp_path / "a.tif")
    assert FolderSource().find(str(path)) == [ImageRef("folder", str(path))]
    assert FolderSource().find(f"{path}#z=1,t=2") == [ImageRef("folder", f"{path}#z=1,t=2")]


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    tiff(tmp_path / "a.tif")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for where in ("a.tif", ".", "sub/..", "sub/../a.tif"):
        assert FolderSource().find(where) == [ImageRef("folder", str(tmp_path / "a.tif"))]


@pytest.mark.parametrize(
    "name", ["a #1.tif", "Präparat 7 µm.tif", "with\nnewline.tif", "-rf.tif", "$(x);'.tif", "a#z=1"]
)
def test_odd_names_are_just_names(tmp_path, name):
    tiff(tmp_path / name)
    for path in (tmp_path / name, tmp_path):
        if name == "a#z=1":
            assert (
                code_of(FolderSource().describe, ImageRef("folder", str(tmp_path / name))) == "not-an-image"
            )
            continue
        [ref] = FolderSource().find(str(path))
        assert FolderSource().describe(ref).name == name
        FolderSource().stage(ref, tmp_path / "staged" / "x")
        shutil.rmtree(tmp_path / "staged")


def test_a_name_that_is_not_text_is_an_image_too(tmp_path):
    tiff(tmp_path / "a.tif").rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.tif")))
    [ref] = FolderSource().find(str(tmp_path))
    FolderSource().stage(ref, tmp_path / "staged" / "x")
    assert len(FolderSource().fingerprint(ref)) == 64


def test_links_are_followed_but_not_when_they_are_broken(tmp_path):
    tiff(tmp_path / "far" / "a.tif")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link.tif").symlink_to(tmp_path / "far" / "a.tif")
    (tmp_path / "near" / "folder").symlink_to(tmp_path / "far")
    (tmp_path / "near" / "broken.tif").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path / "near") == ["folder/a.tif", "link.tif"]


def test_a_link_to_a_folder_above_is_refused(tmp_path):
    tiff(tmp_path / "sub" / "a.tif")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert code_of(FolderSource().find, str(tmp_path)) == "folder-loops"


def test_a_link_to_itself_is_not_an_image(tmp_path):
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    assert code_of(FolderSource().find, str(tmp_path / "loop.tif")) == "image-not-found"
    assert found(tmp_path) == []


def test_a_folder_deeper_than_any_is_refused(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 40)
    tiff(deep / "a.tif")
    assert code_of(FolderSource().find, str(tmp_path)) == "folder-too-large"


@pytest.mark.parametrize("where", ["", "nothing-here", "x" * 5000, "x" * 5000 + "#z=1", "a\0b", "a\0b#z=1"])
def test_a_place_that_is_not_there_is_said_to_be_so(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    if where == "":
        assert FolderSource().find(where) == []
    else:
        assert code_of(FolderSource().find, where) == "image-not-found"


@pytest.mark.root
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_folder_that_may_not_be_entered_is_said_to_be_so():
    """In a child of another account, because root enters everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tiff(folder / "closed" / "a.tif")
        ome_zarr(folder / "half.zarr")
        (folder / "closed").chmod(0o700)
        (folder / "half.zarr").chmod(0o744)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setuid(65534)
                closed, half = folder / "closed", folder / "half.zarr"
                told = {
                    code_of(FolderSource().find, str(place)) for place in (folder, closed, closed / "a.tif")
                }
                for action in (
                    FolderSource().describe,
                    FolderSource().fingerprint,
                    FolderSource().content_digest,
                ):
                    told.add(code_of(action, ImageRef("folder", str(half))))
                    told.add(code_of(action, ImageRef("folder", str(closed / "a.tif"))))
                code = 0 if told == {"image-unreadable"} else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_plane_is_split_from_the_path_unless_the_file_is_called_so(tmp_path):
    assert split_choice("/a/b.tif#z=3,t=0") == (Path("/a/b.tif"), Choice(z=3, t=0))
    assert split_choice("/a/b.tif#series=2") == (Path("/a/b.tif"), Choice(series=2))
    for whole in (
        "/a/b#c.tif",
        "/a/b.tif#",
        "/a/b.tif#z=-1",
        "/a/b.tif#z=1,",
        "/a/b.tif#q=1",
        "/a/b.tif#z=1\n",
    ):
        assert split_choice(whole) == (Path(whole), Choice())
    assert Choice(z=3, t=0, series=1).text == "series=1,z=3,t=0"
    named = tmp_path / "a.tif#z=1"
    named.touch()
    assert split_choice(str(named)) == (named, Choice())


def test_labels_lose_control_characters_and_length(tmp_path):
    assert clean_label("  DA\x00PI\n 1 ") == "DA PI 1"
    assert clean_label(None) == ""
    assert len(clean_label("x" * 1000)) == 64


@pytest.mark.parametrize("make", [lambda p: tiff(p / "a.tif"), lambda p: ome_zarr(p / "a.zarr")])
def test_a_fingerprint_opens_no_file_of_the_image(tmp_path, make):
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "CI must have strace"
        pytest.skip("strace is not installed")
    path = make(tmp_path)
    program = (
        "import sys\n"
        "from slidegate.sources.folder import FolderSource\n"
        "from slidegate.domain.values import ImageRef\n"
        "print(FolderSource().fingerprint(ImageRef('folder', sys.argv[1])))\n"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,read,pread64", "-y", "-o", str(trace)]
    subprocess.run(
        [*command, sys.executable, "-c", program, str(path)],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    touched = [line for line in trace.read_text().splitlines() if str(path) in line]
    assert all("O_DIRECTORY" in line for line in touched), touched
    read = [
        line
        for line in trace.read_text().splitlines()
        if re.search(r"(read|pread64)\(\d+<[^>]*" + str(path), line)
    ]
    assert read == []


def test_a_fingerprint_changes_with_size_time_and_plane(tmp_path):
    path = tiff(tmp_path / "a.tif")
    source, ref = FolderSource(), ImageRef("folder", str(path))
    seen = {source.fingerprint(ref), source.fingerprint(ImageRef("folder", f"{path}#z=0"))}
    os.utime(path, ns=(1, 1))
    seen.add(source.fingerprint(ref))
    with path.open("ab") as file:
        file.write(b"x")
    os.utime(path, ns=(1, 1))
    seen.add(source.fingerprint(ref))
    assert len(seen) == 4


def test_a_digest_is_the_sha256_of_the_file_and_differs_for_another_plane(tmp_path):
    import hashlib

    path = tiff(tmp_path / "a.tif")
    plain = FolderSource().content_digest(ImageRef("folder", str(path)))
    assert plain == hashlib.sha256(path.read_bytes()).hexdigest()
    assert FolderSource().content_digest(ImageRef("folder", f"{path}#z=0")) != plain


def test_the_digest_of_an_ome_zarr_is_that_of_its_tree(tmp_path):
    import hashlib
    import json

    path = ome_zarr(tmp_path / "a.zarr")
    entries = []
    for file in path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            entries.append(
                [file.relative_to(path).as_posix(), len(content), hashlib.sha256(content).hexdigest()]
            )
    tree = json.dumps({"entries": sorted(entries), "tree": 1}, separators=(",", ":")).encode()
    assert FolderSource().content_digest(ImageRef("folder", str(path))) == hashlib.sha256(tree).hexdigest()


def test_a_moved_image_keeps_its_digest(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr")
    before = FolderSource().content_digest(ImageRef("folder", str(path)))
    path.rename(tmp_path / "b.zarr")
    assert FolderSource().content_digest(ImageRef("folder", str(tmp_path / "b.zarr"))) == before


def test_every_error_has_a_code_of_its_own_and_a_sentence():
    from slidegate_analysis.images import ImagesError

    from slidegate.sources.errors import ImageRefusedError

    classes = [SourceError]
    for class_ in classes:
        classes += class_.__subclasses__()
    classes.remove(ImageRefusedError)
    own = [class_ for class_ in classes if "code" in vars(class_)]  # others say it in a source’s words
    assert len({class_.code for class_ in own}) == len(own) > 15
    for class_ in classes:
        assert str(class_()).endswith(".")
    refused = ImageRefusedError(ImagesError("why"))
    assert (refused.code, str(refused)) == ("image-unusable", "The image cannot be used (why).")
