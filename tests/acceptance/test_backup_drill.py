# SPDX-License-Identifier: BSD-3-Clause
"""The drill with a real gate: a backup, work that goes on, a loss, a restore, and the site is asked first."""

import json
import time
from pathlib import Path

import pytest

from slidegate.domain.events import fold
from slidegate.store.backup import back_up, restore
from tests.acceptance.embedded import Place, step_until, work

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("state", ["waiting", "submitting", "running"])
def test_after_a_loss_and_a_restore_every_run_ends_with_one_result_for_each_image(
    tmp_path: Path, state: str
) -> None:
    place = Place(tmp_path)
    place.prepare()
    images = place.make_images(3)
    later = place.make_images(4)[3:]
    url = place.settings.database
    with place.open() as house:
        first = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, first, lambda view: state in view.counts or view.state == "succeeded")
        back_up(url, tmp_path / "backup")
        assert work(house, first).state == "succeeded"
        second = house.runs.request("ada", "count_bytes", later, {}, str(place.out)).run
        assert work(house, second).state == "succeeded"
    computed = results(place)
    assert len(computed) == 4
    for path in place.settings.home.glob("slidegate.db*"):
        path.unlink()

    began = time.monotonic()
    assert restore(url, tmp_path / "backup", time.time()) == ["local"]
    with place.open() as house:
        assert house.store.queue.claim("nobody", time.time(), 1.0) is None
        assert work(house, first).state == "succeeded"
        assert house.store.sites.reconciling() == {}
        took = time.monotonic() - began
        again = house.runs.request("ada", "count_bytes", later, {}, str(place.out)).run
        assert again == second
        assert work(house, second).state == "succeeded"
        for run in (first, second):
            assert house.store.runs.view(run) == fold(run, house.store.history.of(run))
    kept = results(place)
    assert {name: kept[name] for name in computed.keys() & kept.keys()} == {
        name: computed[name] for name in computed.keys() & kept.keys()
    }
    assert sorted(path.name for path in place.out.iterdir()) == [f"image{number}" for number in range(4)]
    print(f"restored and reconciled in {took:.1f} s")
    assert took < 60.0


def results(place: Place) -> dict[str, str]:
    """Return what the site keeps of Attempts that succeeded: when and by whom each was done."""
    found = {}
    for path in place.site.glob("state/keys/local/attempts/*/result.json"):
        result = json.loads(path.read_bytes())
        assert result["state"] == "succeeded"
        found[path.parent.name] = f"{result['by']} {result['at']}"
    return found
