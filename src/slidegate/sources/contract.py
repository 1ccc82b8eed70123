# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: S101, D102
"""What every ImageSource and every ResultSink must do, as test classes for pytest.

Derive a class from one of them, say how to make a place with an image (or a result) in it, and run pytest::

    class TestMySource(ImageSourceContract):
        def arrange(self, folder): ...
"""

import json
import math
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from slidegate_analysis.images import open_image
from slidegate_analysis.images.regions import areas_of, regions_text

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId

from .base import ImageSource, Output, Publication, Published, ResultSink

Corners = tuple[tuple[float, float], ...]


def draw_beside(image: Path) -> Callable[[Sequence[tuple[str, Corners]]], None]:
    """Return what draws on an image in a folder: a file beside it, as QuPath writes it."""
    features: list[dict[str, object]] = []

    def draw(polygons: Sequence[tuple[str, Corners]]) -> None:
        for name, corners in polygons:
            ring = [[x, y] for y, x in (*corners, corners[0])]
            geometry = {"type": "Polygon", "coordinates": [ring]}
            about = {"objectType": "annotation", "name": name}
            features.append({"type": "Feature", "geometry": geometry, "properties": about})
        collection = {"type": "FeatureCollection", "features": features}
        image.with_name(f"{image.name}.geojson").write_text(json.dumps(collection))

    return draw


@dataclass(frozen=True)
class ArrangedSource:
    """A source with images in it.

    Attributes
    ----------
    source
        The adapter.
    where
        What `find` is given; two or more images lie there.
    pixels
        The (c, y, x) pixels of the first image that `find` lists.
    channels, pixel_size_um
        What that image says of itself.
    change
        Changes a pixel of that image.
    absent
        An image that is not there.
    draw
        Draws polygons on that image, as a person does: the name and the corners (y, x) of each.
    """

    source: ImageSource
    where: str
    pixels: np.ndarray
    channels: tuple[str, ...]
    pixel_size_um: float | None
    change: Callable[[], None]
    absent: ImageRef
    draw: Callable[[Sequence[tuple[str, Corners]]], None]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder and what is in them."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


class Interrupted(Exception):  # noqa: N818 (a situation in a test)
    """Somebody pressed a key."""


def refusal_of(action: Callable[[], object]) -> SlidegateError:
    """Return the error with which an action is refused; fail if it is not, or by something unexplained."""
    try:
        action()
    except SlidegateError as error:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", error.code), error.code
        assert str(error).endswith("."), str(error)
        return error
    raise AssertionError("nothing was refused")


class ImageSourceContract:
    """What every ImageSource does."""

    def arrange(self, folder: Path) -> ArrangedSource:
        """Make a source with at least two images, using `folder` (empty) if needed."""
        raise NotImplementedError

    def test_it_lists_the_same_images_in_the_same_order_each_time(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        found = arranged.source.find(arranged.where)
        assert len(found) == len(set(found)) >= 2
        assert arranged.source.find(arranged.where) == found
        assert {ref.source for ref in found} == {arranged.source.name}

    def test_an_image_that_was_listed_is_found_by_its_own_name(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        for ref in arranged.source.find(arranged.where):
            assert arranged.source.find(ref.image) == [ref]

    def test_it_describes_an_image_before_its_pixels_are_read(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        info = arranged.source.describe(arranged.source.find(arranged.where)[0])
        assert info.shape == arranged.pixels.shape
        assert info.dtype == arranged.pixels.dtype.name
        assert info.channels == arranged.channels
        assert info.pixel_size_um == arranged.pixel_size_um
        assert info.bytes == arranged.pixels.nbytes
        assert info.name

    def test_fingerprint_and_digest_stay_as_long_as_the_image_does(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        first, second = arranged.source.find(arranged.where)[:2]
        assert arranged.source.fingerprint(first) == arranged.source.fingerprint(first)
        assert arranged.source.fingerprint(first) != arranged.source.fingerprint(second)
        assert arranged.source.content_digest(first) == arranged.source.content_digest(first)
        assert re.fullmatch("[0-9a-f]{64}", arranged.source.content_digest(first))

    def test_fingerprint_and_digest_change_when_a_pixel_does(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        before = arranged.source.fingerprint(ref), arranged.source.content_digest(ref)
        arranged.change()
        assert arranged.source.fingerprint(ref) != before[0]
        assert arranged.source.content_digest(ref) != before[1]

    def test_a_staged_image_holds_exactly_the_pixels_of_the_source(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        arranged.source.stage(ref, tmp_path / "staged")
        image = open_image(tmp_path / "staged")
        assert (image.shape, image.dtype) == (arranged.pixels.shape, arranged.pixels.dtype)
        assert (image.channels, image.pixel_size_um) == (arranged.channels, arranged.pixel_size_um)
        for c, plane in enumerate(arranged.pixels):
            np.testing.assert_array_equal(image.read(c, 0, plane.shape[0], 0, plane.shape[1]), plane)

    def test_an_overview_is_small_and_shows_every_channel(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        side = max(2, max(arranged.pixels.shape[1:]) // 3)
        small = arranged.source.overview(ref, side, tmp_path)
        assert small.pixels.shape[0] == arranged.pixels.shape[0]
        assert max(small.pixels.shape[1:]) <= side
        for plane, whole in zip(small.pixels, arranged.pixels, strict=True):
            assert whole.min() <= plane.min() <= plane.max() <= whole.max()

    def test_a_crop_holds_exactly_the_pixels_of_its_region(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        y, x = arranged.pixels.shape[1:]
        arranged.source.crop(ref, (y // 4, y // 2, x // 3, x), tmp_path / "crop")
        image = open_image(tmp_path / "crop")
        assert (image.channels, image.pixel_size_um) == (arranged.channels, arranged.pixel_size_um)
        for c, plane in enumerate(arranged.pixels):
            part = plane[y // 4 : y // 2, x // 3 :]
            np.testing.assert_array_equal(image.read(c, 0, part.shape[0], 0, part.shape[1]), part)
        refusal_of(lambda: arranged.source.crop(ref, (0, y + 1, 0, x), tmp_path / "beyond"))

    def test_what_people_draw_on_an_image_are_its_regions_and_leaves_the_image_as_it_is(
        self, tmp_path: Path
    ) -> None:
        arranged = self.arrange(tmp_path)
        source = arranged.source
        first, second = source.find(arranged.where)[:2]
        before = source.fingerprint(first), source.content_digest(first)
        assert source.regions(first) == []
        y, x = arranged.pixels.shape[1:]

        def at(*parts: tuple[float, float]) -> Corners:
            return tuple((y * down, x * right) for down, right in parts)

        tissue = at((0.1, 0.1), (0.1, 0.6), (0.8, 0.6), (0.8, 0.1))
        hole = at((0.2, 0.2), (0.2, 0.4), (0.5, 0.3))
        beside = at((0.1, 0.5), (0.3, 0.9), (0.1, 0.9))
        arranged.draw([("hole 1", hole), ("tissue", tissue), ("tissue", beside)])
        arranged.draw([("beyond", at((-0.1, -0.1), (-0.1, 1.1), (0.05, 1.1), (0.05, -0.1)))])
        beyond, found = areas_of(regions_text(source.regions(first)))
        assert (found.name, found.kind, len(found.polygons)) == ("tissue", "", 1)
        held = found.mask((0, y, 0, x))
        inside, outside = (
            at((0.15, 0.15), (0.12, 0.55), (0.15, 0.85)),
            at((0.25, 0.3), (0.7, 0.9), (0.07, 0.3)),
        )
        assert all(held[int(down), int(right)] for down, right in inside)
        assert not any(held[int(down), int(right)] for down, right in outside)
        assert (beyond.name, beyond.bounds) == ("beyond", (0, math.ceil(0.05 * y), 0, x))
        assert source.regions(second) == []
        assert (source.fingerprint(first), source.content_digest(first)) == before

    def test_staging_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        arranged.source.stage(ref, tmp_path / "once")
        arranged.source.stage(ref, tmp_path / "again")
        assert contents(tmp_path / "once") == contents(tmp_path / "again")

    def test_staging_reports_its_progress_to_the_end(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        staged: list[tuple[int, int]] = []
        hashed: list[tuple[int, int]] = []
        arranged.source.stage(ref, tmp_path / "staged", lambda done, total: staged.append((done, total)))
        arranged.source.content_digest(ref, lambda done, total: hashed.append((done, total)))
        for seen in (staged, hashed):
            assert seen == sorted(seen)
            assert seen[-1][0] == seen[-1][1] > 0

    def test_interrupted_staging_leaves_nothing_behind(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        target = tmp_path / "place"
        target.mkdir()

        def interrupt(done: int, total: int) -> None:
            raise Interrupted

        try:
            arranged.source.stage(ref, target / "staged", interrupt)
        except Interrupted:
            assert list(target.iterdir()) == []
        else:
            raise AssertionError("progress was not reported")

    def test_staging_that_ended_early_is_gone_on_with_to_the_same_bytes(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        arranged.source.stage(ref, tmp_path / "once")
        target, parts = tmp_path / "place" / "staged", tmp_path / "place" / "parts"

        def interrupt(done: int, total: int) -> None:
            raise Interrupted

        try:
            arranged.source.stage(ref, target, interrupt, parts=parts)
        except Interrupted:
            assert not target.exists()
        else:
            raise AssertionError("progress was not reported")
        arranged.source.stage(ref, target, parts=parts)
        assert contents(target) == contents(tmp_path / "once")
        assert not parts.exists() or list(parts.iterdir()) == []

    def test_staging_over_something_else_is_refused_and_leaves_it(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        ref = arranged.source.find(arranged.where)[0]
        target = tmp_path / "place" / "staged"
        target.mkdir(parents=True)
        (target / "thesis.txt").write_text("precious")
        refusal_of(lambda: arranged.source.stage(ref, target))
        assert contents(tmp_path / "place") == {"staged/thesis.txt": b"precious"}

    def test_an_absent_image_is_refused_by_every_method(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        source, absent = arranged.source, arranged.absent
        refusal_of(lambda: source.find(absent.image))
        refusal_of(lambda: source.describe(absent))
        refusal_of(lambda: source.fingerprint(absent))
        refusal_of(lambda: source.content_digest(absent))
        refusal_of(lambda: source.regions(absent))
        refusal_of(lambda: source.stage(absent, tmp_path / "staged"))
        assert not (tmp_path / "staged").exists()


@dataclass(frozen=True)
class ArrangedSink:
    """An empty sink.

    Attributes
    ----------
    sink
        The adapter.
    everything
        Returns all that lies in the sink, name to content.
    files
        Returns the files of one published result, name to content; without the adapter's own marker.
    add
        Adds a file to a published result, as a person would.
    edit
        Changes one file of a published result, as a person would.
    """

    sink: ResultSink
    everything: Callable[[], dict[str, bytes]]
    files: Callable[[Published], dict[str, bytes]]
    add: Callable[[Published, str, bytes], None]
    edit: Callable[[Published, str, bytes], None]
    image: ImageRef = field(default_factory=lambda: ImageRef("any", "any"))


RESULT = {
    "summary.json": b'{"nuclei":3}',
    "nuclei.parquet": bytes(range(256)) * 100,
    "empty.txt": b"",
    "labels.zarr/zarr.json": b"{}",
    "labels.zarr/0/c/0/0": b"\0" * 5000,
}


class ResultSinkContract:
    """What every ResultSink does."""

    def arrange(self, folder: Path) -> ArrangedSink:
        """Make an empty sink, using `folder` (empty) if needed."""
        raise NotImplementedError

    def result(self, folder: Path, name: str = "result", **changed: bytes) -> Path:
        """Write the files of a result below `folder` and return where they lie."""
        for path, content in (RESULT | changed).items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return folder / name

    def publication(self, arranged: ArrangedSink, **changed: object) -> Publication:
        """Return what a Run of one image publishes."""
        publication = Publication(
            run=RunId("run-0123456789"),
            task=TaskId("task-0"),
            attempt=AttemptKey("a" * 64),
            image=arranged.image,
            name="slide 7.ome.tif",
            tree=Digest("b" * 64),
            outputs={"labels": Output("labels", "labels.zarr"), "summary": Output("summary", "summary.json")},
        )
        return replace(publication, **changed)  # type: ignore[arg-type]

    def test_a_published_result_holds_every_file_as_it_was(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        published = arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        assert arranged.files(published) == RESULT
        assert (published.run, published.tree) == ("run-0123456789", "b" * 64)

    def test_publishing_again_changes_nothing(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        files = self.result(tmp_path)
        first = arranged.sink.publish(self.publication(arranged), files)
        before = arranged.everything()
        assert arranged.sink.publish(self.publication(arranged), files) == first
        assert arranged.everything() == before

    def test_two_publications_of_the_same_result_at_once_give_one(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        files = self.result(tmp_path)
        barrier = threading.Barrier(4)
        published: list[Published] = []

        def publish() -> None:
            barrier.wait(10)
            published.append(arranged.sink.publish(self.publication(arranged), files))

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(published) == 4
        assert len(set(published)) == 1
        assert arranged.sink.find_published(RunId("run-0123456789")) == [published[0]]
        assert arranged.files(published[0]) == RESULT

    def test_results_of_two_runs_of_one_image_lie_side_by_side(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        first = arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        other = self.publication(arranged, run=RunId("run-of-someone"), attempt=AttemptKey("c" * 64))
        second = arranged.sink.publish(other, self.result(tmp_path, "other", **{"summary.json": b"{}"}))
        assert first.where != second.where
        assert arranged.files(first) == RESULT
        assert arranged.files(second)["summary.json"] == b"{}"

    def test_images_that_share_a_stem_get_places_of_their_own_whatever_the_order(
        self, tmp_path: Path
    ) -> None:
        names = ("slide.tif", "slide.ome.tif", "other/slide.tif", "Slide.TIFF")
        places: list[dict[int, str]] = []
        for order in (range(4), reversed(range(4))):
            folder = tmp_path / f"sink{len(places)}"
            folder.mkdir()
            arranged = self.arrange(folder)
            where: dict[int, str] = {}
            for index in order:
                publication = self.publication(
                    arranged, task=TaskId(f"task-{index}"), name=names[index].rpartition("/")[2], names=names
                )
                publication = replace(publication, names=tuple(name.rpartition("/")[2] for name in names))
                where[index] = Path(arranged.sink.publish(publication, self.result(folder)).where).name
            places.append(where)
        assert places[0] == places[1]
        assert len(set(places[0].values())) == 4

    def test_a_later_attempt_replaces_the_result_of_its_task(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        later = self.publication(arranged, attempt=AttemptKey("d" * 64), tree=Digest("e" * 64))
        second = arranged.sink.publish(later, self.result(tmp_path, "later", **{"summary.json": b"{}"}))
        assert arranged.sink.find_published(RunId("run-0123456789")) == [second]
        assert arranged.files(second) == RESULT | {"summary.json": b"{}"}

    def test_results_are_found_by_their_run(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        first = arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        other = self.publication(arranged, run=RunId("run-of-someone"))
        second = arranged.sink.publish(other, self.result(tmp_path))
        assert arranged.sink.find_published(RunId("run-0123456789")) == [first]
        assert arranged.sink.find_published(RunId("run-of-someone")) == [second]
        assert arranged.sink.find_published(RunId("nobody")) == []

    def test_undo_removes_exactly_what_was_written_and_can_be_repeated(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        before = arranged.everything()
        first = arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        with_first = arranged.everything()
        other = self.publication(arranged, run=RunId("run-of-someone"))
        second = arranged.sink.publish(other, self.result(tmp_path))
        arranged.sink.undo(second)
        arranged.sink.undo(second)
        assert arranged.everything() == with_first
        arranged.sink.undo(first)
        assert arranged.everything() == before
        assert arranged.sink.find_published(RunId("run-0123456789")) == []

    def test_undo_leaves_what_people_added_or_changed(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        published = arranged.sink.publish(self.publication(arranged), self.result(tmp_path))
        arranged.add(published, "notes.txt", b"look at the third nucleus")
        arranged.edit(published, "summary.json", b'{"nuclei":4}')
        arranged.sink.undo(published)
        left = list(arranged.everything().values())
        assert sorted(left) == sorted([b"look at the third nucleus", b'{"nuclei":4}'])

    def test_publishing_after_undo_writes_everything_again(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        files = self.result(tmp_path)
        arranged.sink.undo(arranged.sink.publish(self.publication(arranged), files))
        assert arranged.files(arranged.sink.publish(self.publication(arranged), files)) == RESULT

    def test_a_result_with_a_link_in_it_is_refused_and_nothing_is_written(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        before = arranged.everything()
        files = self.result(tmp_path)
        (files / "labels.zarr" / "secret").symlink_to("/etc/passwd")
        refusal_of(lambda: arranged.sink.publish(self.publication(arranged), files))
        assert arranged.everything() == before

    def test_a_result_whose_files_are_gone_is_refused_and_nothing_is_written(self, tmp_path: Path) -> None:
        arranged = self.arrange(tmp_path)
        before = arranged.everything()
        refusal_of(lambda: arranged.sink.publish(self.publication(arranged), tmp_path / "gone"))
        assert arranged.everything() == before
