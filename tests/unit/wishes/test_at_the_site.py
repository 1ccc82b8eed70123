# SPDX-License-Identifier: BSD-3-Clause
"""Previews, launches, logs, pictures and deletions, by the real embedded site and its gate."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from slidegate_analysis.images import open_image

from slidegate.domain.values import RunId
from slidegate.worker.wishes import pictures
from slidegate.worker.wishes.asking import launch, results_of
from slidegate.worker.wishes.desk import Asked
from slidegate.worker.wishes.granter import Granter
from slidegate.worker.wishes.previewing import OUTLINE, edges, preview
from tests.unit.wishes.conftest import SIDE, Office, write_image

pytestmark = pytest.mark.slow

REGION = [20, 30, 20 + SIDE, 30 + SIDE]


@pytest.fixture(autouse=True, scope="module")
def _images(site: Office) -> None:
    for number in range(3):
        write_image(site.root / "shelf" / f"{number}.ome.tif", seed=number)


def body_of_preview(**more: object) -> dict[str, object]:
    return {"workflow": "squares", "image": "here:0.ome.tif", "region": REGION, "parameters": {}, **more}


def body_of_launch(*images: str, **more: object) -> dict[str, object]:
    return {"workflow": "squares", "site": "local", "images": list(images), "parameters": {}, **more}


def picture(site: Office, name: str) -> np.ndarray:
    file = site.desk.cache.file(name)
    assert file is not None
    with Picture.open(io.BytesIO(file.read_bytes())) as opened:
        assert opened.format == "PNG"
        return np.asarray(opened.convert("RGB"))


def test_a_preview_shows_the_outlines_of_what_the_workflow_finds(site: Office) -> None:
    found = site.answer("preview", body_of_preview())
    assert (found["width"], found["height"]) == (SIDE, SIDE)
    assert found["facts"] == {"nuclei": 2, "deep": {"c": 2}}
    outlined, plain = picture(site, found["picture"]), picture(site, found["plain"])
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[8:16, 8:16], labels[8:16, 16:24] = 1, 2
    drawn = edges(labels)
    assert 50 < drawn.sum() < 70
    assert (outlined[drawn] == OUTLINE).all()
    np.testing.assert_array_equal(outlined[~drawn], plain[~drawn])
    assert plain.std() > 10


def test_a_preview_leaves_no_run_and_no_result(site: Office) -> None:
    runs = site.store.runs.all()
    results = sorted(site.root.rglob("summary.json"))
    site.answer("preview", body_of_preview(parameters={"times": 2}))
    assert site.store.runs.all() == runs
    assert [path for path in sorted(site.root.rglob("summary.json")) if "sites" not in path.parts] == [
        path for path in results if "sites" not in path.parts
    ]
    assert site.desk.preview.status("").attempts == (), "the site was not told to let go of it"
    assert list((site.desk.cache.folder / "making").iterdir()) == []


def test_a_preview_that_was_interrupted_goes_on_where_it_was(site: Office) -> None:
    wish = site.ask("preview", body_of_preview(parameters={"times": 3}))
    held = site.store.wishes.claim("killed", site.desk.tools.clock(), 30.0, ["preview"])
    assert held is not None
    first = preview(site.desk, Asked(site.store.wishes, held, site.desk.tools.clock, 30.0))
    late = replace(
        site.desk, tools=replace(site.desk.tools, clock=lambda: site.now + 600)
    )  # the lease has run out
    assert Granter(late).step()
    assert site.store.wishes.get(wish.id).answer == first


def test_a_preview_that_fails_says_why_in_harmless_words(site: Office) -> None:
    wish = site.grant("preview", body_of_preview(parameters={"fail": True}))
    assert (wish.state, wish.error_code, wish.error) == ("refused", "too-dark", "It is too dark.")
    assert site.desk.preview.status("").attempts == ()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"region": [0, 0, 10, 100]}, "region-refused"),
        ({"region": [90, 90, 300, 300]}, "region-refused"),
        ({"region": [500, 500, 600, 600]}, "region-refused"),
        ({"region": [0, 0, 50]}, "bad-wish"),
        ({"region": [0, 0, "50", 50]}, "bad-wish"),
        ({"region": [0, 0, 10**40, 50]}, "bad-wish"),
        ({"region": None}, "bad-wish"),
        ({"workflow": "circles"}, "unknown-workflow"),
        ({"version": "9.9"}, "unknown-workflow"),
        ({"parameters": {"fail": "perhaps"}}, "bad-parameter"),
        ({"parameters": [1]}, "bad-wish"),
        ({"image": "here:../home/slidegate.db"}, "bad-image-name"),
    ],
)
def test_a_preview_that_makes_no_sense_is_refused(site: Office, more: dict[str, object], code: str) -> None:
    assert site.grant("preview", body_of_preview(**more)).error_code == code


def test_a_region_that_reaches_over_the_edge_is_cut(site: Office) -> None:
    found = site.grant("preview", body_of_preview(region=[36.2, 36.0, 500, 100.0]))
    assert found.answer is not None
    assert (found.answer["height"], found.answer["width"]) == (SIDE, SIDE)


def test_the_whole_way_of_a_run_that_a_page_asked_for(site: Office) -> None:
    asked = site.answer("launch", body_of_launch("here:0.ome.tif", "here:1.ome.tif"))
    run = RunId(asked["run"])
    assert asked["outcome"] == "created"
    assert site.answer("launch", body_of_launch("here:1.ome.tif", "here:0.ome.tif")) == {
        "run": run,
        "outcome": "resumed",
    }
    first = site.store.runs.tasks(run)[0]
    unknown = {"step": None, "shape": None, "side": None, "units": 0, "done": "", "current": []}
    assert site.answer("units", {"task": first["id"]}) == unknown
    site.work(run)
    view = site.desk.runs.show(run)
    assert (view.state, view.person, view.site) == ("succeeded", "ada", "local")
    results = results_of(site.desk.results, "ada", "squares")
    assert results.is_relative_to(site.desk.results / "ada")
    assert sorted(path.name for path in results.iterdir()) == ["0", "1"]

    told = site.answer("log", {"task": first["id"]})
    assert told["ended"] is True
    assert {f"looked at {unit}" for unit in "abc"} <= set(told["text"].split("\n"))

    found = site.answer("picture", {"task": first["id"]})
    assert found["labels"] is True
    assert found["tree"] == site.store.runs.task(first["id"])["input"]
    tree = site.desk.cache.tree(found["tree"])
    assert tree is not None and open_image(tree).shape == (2, 100, 100)

    assert site.grant("delete", {"run": run, "results": True}).answer is not None
    assert site.store.runs.all() == []
    assert list(results.iterdir()) == []


def test_a_preview_does_not_wait_for_a_run_that_holds_all_cores(site: Office) -> None:
    body = body_of_launch("here:2.ome.tif", parameters={"seconds": 60})
    run = RunId(site.answer("launch", body)["run"])
    site.work(run, lambda view: "running" in view.counts)
    assert site.answer("preview", body_of_preview(parameters={"times": 4}))["facts"]["nuclei"] == 2
    site.desk.runs.cancel(run)
    site.work(run)
    assert site.desk.runs.show(run).state == "cancelled"
    site.answer("delete", {"run": run})


def test_what_was_cancelled_deleted_and_asked_for_again_is_computed(site: Office) -> None:
    body = body_of_launch("here:2.ome.tif", parameters={"seconds": 0.3})
    former = RunId(site.answer("launch", body)["run"])
    site.work(former, lambda view: "running" in view.counts)
    site.desk.runs.cancel(former)
    site.work(former)
    site.answer("delete", {"run": former})
    run = RunId(site.answer("launch", body)["run"])
    assert run != former
    site.work(run)
    assert site.desk.runs.show(run).state == "succeeded"
    site.answer("delete", {"run": run})


def test_another_run_on_purpose_is_made_once_however_often_it_is_tried(site: Office) -> None:
    body = body_of_launch("here:2.ome.tif")
    first = site.answer("launch", body)["run"]
    wish = site.ask("launch", {**body, "again": True})
    for owner in ("killed", "another"):
        held = site.store.wishes.claim(owner, site.desk.tools.clock(), 30.0, ["launch"])
        assert held is not None
        answer = launch(site.desk, Asked(site.store.wishes, held, site.desk.tools.clock, 30.0))
        site.store.wishes.put_off(held, 0.0, "")
        assert answer["run"] != first
    assert len(site.store.runs.all()) == 2
    Granter(site.desk).step()
    assert (site.store.wishes.get(wish.id).answer or {})["run"] == answer["run"]
    for row in site.store.runs.all():
        site.desk.runs.cancel(RunId(row["id"]))
        site.work(row["id"])
        site.answer("delete", {"run": row["id"]})


def test_the_picture_of_an_image_that_changed_comes_from_the_site_or_not_at_all(site: Office) -> None:
    path = write_image(site.root / "shelf" / "changing.ome.tif", seed=7)
    run = RunId(site.answer("launch", body_of_launch("here:changing.ome.tif"))["run"])
    site.work(run)
    (task,) = site.store.runs.tasks(run)
    write_image(path, seed=8)
    found = site.answer("picture", {"task": task["id"]})
    assert found["tree"] == task["input"]
    tree = site.desk.cache.tree(found["tree"])
    assert tree is not None
    pixels = open_image(tree).read(0, 0, 100, 0, 100)
    np.testing.assert_array_equal(
        pixels, np.random.default_rng(7).integers(0, 4000, (2, 100, 100), dtype=np.uint16)[0]
    )


def test_no_picture_is_made_while_the_disk_is_nearly_full(
    site: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(site.root / "shelf" / "full.ome.tif", seed=9)
    run = RunId(site.answer("launch", body_of_launch("here:full.ome.tif"))["run"])
    monkeypatch.setattr(pictures, "SPARE_BYTES", 1 << 62)
    wish = site.grant("picture", {"task": f"{run}.1"})
    assert wish.state == "open"
    assert "[disk-full-here]" in str(wish.trouble)


def test_results_never_lie_outside_the_folder_for_results() -> None:
    for person in ("ada", "..", "../..", "/etc", "a/b", "Ada", "ada@example.org", "名前", "x" * 100, ""):
        found = results_of(Path("/results"), person, person)
        assert found.parts[:2] == ("/", "results")
        assert len(found.parts) == 4
        assert ".." not in found.parts
    assert results_of(Path("/r"), "Ada", "w") != results_of(Path("/r"), "ada", "w")
    assert json.dumps(str(results_of(Path("/r"), "名前", "w"))).isascii()
