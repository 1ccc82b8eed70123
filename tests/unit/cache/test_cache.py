# SPDX-License-Identifier: BSD-3-Clause
"""The cache holds whole things under names that nobody else chooses, and no more than it may."""

import os
from pathlib import Path
from threading import Thread

import pytest

from slidegate.cache import Cache
from slidegate.domain.values import Digest

A, B, C = (Digest(letter * 64) for letter in "abc")
THUMBNAIL = f"thumbnails/{A}.jpg"
PREVIEW = f"previews/{'a' * 32}/picture.png"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10_000)


def make_image(folder: Path, size: int = 100) -> Path:
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_bytes(b"{}")
    (folder / "0" / "c").write_bytes(b"x" * (size - 2))
    return folder


def used(path: Path, at: float) -> None:
    os.utime(path, (at, at))


def test_what_was_put_is_read_by_the_same_name(cache: Cache) -> None:
    assert cache.file(THUMBNAIL) is None
    cache.put(THUMBNAIL, b"one")
    cache.put(THUMBNAIL, b"two")
    path = cache.file(THUMBNAIL)
    assert path is not None and path.read_bytes() == b"two"
    opened = cache.open(THUMBNAIL)
    assert opened is not None
    with opened:
        assert opened.read() == b"two"
    assert list((cache.folder / "making").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../cache.py",
        "/etc/passwd",
        "thumbnails",
        "thumbnails/../../secret",
        f"thumbnails/{A}.jpg/",
        f"thumbnails/{A}.jpg\n",
        f"thumbnails//{A}.jpg",
        f"./thumbnails/{A}.jpg",
        f"thumbnails/{A.upper()}.jpg",
        f"thumbnails/{A}.png",
        f"previews/{A}/picture.png",
        f"previews/{'a' * 32}/other.png",
        f"trees/{A}/zarr.json",
        "making/x",
        f"thumbnails/{A[:-1]}١.jpg",
        "thumbnails/\0.jpg",
    ],
)
def test_names_of_any_other_form_are_not_there_and_cannot_be_made(cache: Cache, name: str) -> None:
    assert cache.file(name) is None
    assert cache.open(name) is None
    assert cache.tree(name) is None
    with pytest.raises(ValueError, match="not a name"):
        cache.put(name, b"x")


def test_links_are_not_followed(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    (cache.folder / "thumbnails").mkdir(parents=True)
    (cache.folder / "trees").mkdir()
    (cache.folder / THUMBNAIL).symlink_to(tmp_path / "secret")
    (cache.folder / "trees" / A).symlink_to(tmp_path / "folder")
    assert cache.file(THUMBNAIL) is None
    assert cache.open(THUMBNAIL) is None
    assert cache.tree(A) is None


def test_a_note_that_is_not_json_is_not_there(cache: Cache) -> None:
    name = f"descriptions/{A}.json"
    assert cache.note(name) is None
    cache.put(name, b'{"a": 1}')
    assert cache.note(name) == {"a": 1}
    for broken in (b"", b"[1]", b"{", b"\xff"):
        cache.put(name, broken)
        assert cache.note(name) is None


def test_an_image_moves_into_the_cache_whole(cache: Cache, tmp_path: Path) -> None:
    folder = make_image(tmp_path / "made")
    kept = cache.keep_tree(folder, A)
    assert not folder.exists()
    assert cache.tree(A) == kept
    assert (kept / "0" / "c").stat().st_size == 98
    again = make_image(tmp_path / "again")
    assert cache.keep_tree(again, A) == kept
    assert not again.exists()
    assert list((cache.folder / "making").iterdir()) == []
    with pytest.raises(ValueError, match="not a digest"):
        cache.keep_tree(make_image(tmp_path / "other"), Digest("../x"))


def test_many_may_keep_the_same_image_at_once(cache: Cache, tmp_path: Path) -> None:
    folders = [make_image(tmp_path / str(number)) for number in range(8)]
    threads = [Thread(target=cache.keep_tree, args=(folder, A)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = cache.tree(A)
    assert kept is not None and sorted(path.name for path in kept.iterdir()) == ["0", "zarr.json"]


def test_the_longest_unused_goes_when_there_is_too_much(cache: Cache, tmp_path: Path) -> None:
    for number, digest in enumerate((A, B, C)):
        used(cache.keep_tree(make_image(tmp_path / digest[:4], 4000), digest), 1000.0 + number)
    assert cache.tree(A) is not None, "this counts as using it"
    assert cache.sweep(5000.0) == 1
    assert (cache.tree(A) is not None, cache.tree(B), cache.tree(C) is not None) == (True, None, True)
    assert cache.sweep(6000.0) == 0


def test_what_is_in_use_stays_even_when_there_is_too_much(cache: Cache, tmp_path: Path) -> None:
    for digest in (A, B, C):
        used(cache.keep_tree(make_image(tmp_path / digest[:4], 9000), digest), 1000.0)
    assert cache.sweep(1010.0) == 0


def test_previews_go_after_an_hour_and_nothing_else_does(cache: Cache, tmp_path: Path) -> None:
    cache.put(PREVIEW, b"x")
    cache.put(THUMBNAIL, b"x")
    cache.keep_tree(make_image(tmp_path / "a"), A)
    now = (cache.folder / PREVIEW).stat().st_mtime
    assert cache.sweep(now + 3500) == 0
    assert cache.sweep(now + 3700) == 1
    assert cache.file(PREVIEW) is None
    assert cache.file(THUMBNAIL) is not None
    assert cache.tree(A) is not None


def test_what_a_killed_worker_left_goes_after_a_day(cache: Cache) -> None:
    with cache.making() as made:
        (made / "part").write_bytes(b"x")
        now = made.stat().st_mtime
        assert cache.sweep(now + 3600) == 0
        assert cache.sweep(now + 25 * 3600) == 1
        assert not made.exists()


def test_an_empty_cache_can_be_read_and_swept(cache: Cache) -> None:
    assert cache.sweep(1.0) == 0
    assert cache.tree(A) is None
    assert not cache.folder.exists()


def test_others_than_owner_and_group_may_not_look_into_it(cache: Cache) -> None:
    cache.put(PREVIEW, b"x")
    assert cache.folder.stat().st_mode & 0o007 == 0


def test_who_may_look_into_the_cache_may_look_into_its_images(cache: Cache, tmp_path: Path) -> None:
    made = make_image(tmp_path / "a")
    (made / "0").chmod(0o700)
    made.chmod(0o700)
    kept = cache.keep_tree(made, A)
    assert kept.stat().st_mode == (kept / "0").stat().st_mode == kept.parent.stat().st_mode
