# SPDX-License-Identifier: BSD-3-Clause
"""What people draw on an image reaches the workflow: the real store, worker, gate, scheduler and crew."""

import json
import shutil
from pathlib import Path

import pytest
from slidegate_analysis.images.regions import areas_of

from slidegate.domain.values import RunId
from slidegate.wiring import open_house
from slidegate.worker.rebuilding import rebuild
from slidegate.worker.views import RunView
from tests.acceptance.embedded import WORKFLOW, Place, step_until, work

pytestmark = pytest.mark.slow

TISSUE = [[4, 2], [60, 2], [60, 40], [4, 40], [4, 2]]
HOLE = [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]
KEEP = """
    if "regions" in request["inputs"]:
        write(request, "regions.json", read(request["inputs"]["regions"], "regions.json"))
    return {"ok": True, "result": summary}
"""


def prepared(folder: Path, optional: bool = True) -> Place:
    """Make a place with a workflow that takes regions and gives them back."""
    folder.mkdir(exist_ok=True)
    place = Place(folder)
    workflow = place.root / "workflows" / "count_bytes"
    shutil.copytree(WORKFLOW, workflow)
    manifest = json.loads((workflow / "workflow.json").read_text())
    manifest["each"] = ["image", "regions"]
    manifest["inputs"]["regions"] = {"type": "regions", "optional": optional}
    manifest["outputs"]["regions"] = {"type": "regions", "path": "regions.json", "optional": True}
    (workflow / "workflow.json").write_text(json.dumps(manifest))
    program = (workflow / "count_bytes.py").read_text()
    (workflow / "count_bytes.py").write_text(
        program.replace('    return {"ok": True, "result": summary}\n', KEEP)
    )
    with open_house(place.settings) as house:
        house.tools.gate("local").hello()
    return place


def draw(image: str, **drawn: list[list[int]]) -> None:
    """Draw on an image as QuPath writes it; nothing where nothing is drawn."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"name": name},
        }
        for name, ring in drawn.items()
    ]
    Path(f"{image}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def held(view: RunView, number: int = 0) -> list[tuple[str, int]]:
    """Return the regions that a result was computed with: name and how many pixels."""
    file = Path(str(view.tasks[number].published)) / "regions.json"
    areas = areas_of(file.read_bytes()) if file.exists() else []
    return [(area.name, int(area.mask((0, 64, 0, 64)).sum())) for area in areas]


def test_changed_regions_are_another_run_and_move_no_pixel(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    (image,) = place.make_images(1)
    plain = place.command(image)
    assert (plain.state, held(plain)) == ("succeeded", [])
    sent = place.traffic.sent
    place.traffic.read = place.traffic.sent = 0

    draw(image, tissue=TISSUE, hole=HOLE)
    first = place.command(image, out=place.root / "first")
    assert (first.state, held(first)) == ("succeeded", [("tissue", 56 * 38 - 100)])
    assert first.run != plain.run
    assert (place.traffic.read, place.traffic.staged) == (0, 1)
    assert place.traffic.sent < 1000 < sent
    crate = json.loads((place.root / "first" / "image0" / "ro-crate-metadata.json").read_text())
    (said,) = [one for one in crate["@graph"] if one["@id"] == "#value-regions"]

    draw(image, hole=HOLE, tissue=TISSUE[1:4] + TISSUE[:2])
    assert place.command(image, out=place.root / "first").run == first.run

    draw(image, tissue=TISSUE)
    second = place.command(image, out=place.root / "second")
    assert held(second) == [("tissue", 56 * 38)]
    assert len({plain.run, first.run, second.run}) == 3
    with place.open() as house:
        (task,) = house.store.runs.tasks(first.run)
        assert said["value"] == task["regions"]
        asked = house.runs.request("ada", "count_bytes", [image], {}, str(place.out), regions=False)
        assert asked.run == plain.run
    assert place.traffic.staged == 1


def test_regions_that_were_changed_since_or_are_none_fail_their_image_alone(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    images = place.make_images(3)
    draw(images[0], tissue=TISSUE)
    draw(images[1], tissue=[[0, 0], [5, 5]])
    with place.open() as house:
        asked = house.runs.request("ada", "count_bytes", images, {}, str(place.out))
        draw(images[0], tissue=TISSUE, hole=HOLE)
        changed, unusable, other = work(house, asked.run).tasks
        assert (changed.error_code, unusable.error_code) == ("regions-changed-since", "regions-unusable")
        assert "object 1 of the file encloses nothing" in str(unusable.error)
        assert other.state == "succeeded"


def test_a_workflow_that_needs_regions_says_so_of_an_image_that_has_none(tmp_path: Path) -> None:
    place = prepared(tmp_path, optional=False)
    images = place.make_images(2)
    draw(images[0], tissue=TISSUE)
    view = place.command(*images)
    assert [task.error_code for task in view.tasks] == [None, "regions-missing"]
    assert held(view) == [("tissue", 56 * 38)]


def test_regions_come_back_with_what_was_lost_at_the_site_and_here(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    (image,) = place.make_images(1)
    draw(image, tissue=TISSUE)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", [image], {}, str(place.out)).run
        step_until(house, run, lambda view: view.tasks[0].state == "submitting")
        place.purge()
        assert held(work(house, run)) == [("tissue", 56 * 38)]
        before = house.store.runs.tasks(run)[0]
        asked = house.runs.request("ada", "count_bytes", [image], {}, str(place.out), again=True)
        at_the_site = ("queued", "running", "collecting")  # which one is seen first is a matter of time
        step_until(house, asked.run, lambda view: view.tasks[0].state in at_the_site)
    again = RunId(asked.run)
    for path in place.settings.home.glob("slidegate.db*"):
        path.unlink()
    with place.open() as house:
        assert again in rebuild(house.tools, "local", lambda _run: str(place.root / "back"))
        assert house.store.runs.tasks(again)[0]["regions"] == before["regions"]
        assert held(work(house, again)) == [("tissue", 56 * 38)]
