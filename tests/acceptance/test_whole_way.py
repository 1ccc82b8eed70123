# SPDX-License-Identifier: BSD-3-Clause
"""From images in a folder to results in a folder: the real store, worker, gate, scheduler and crew."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slidegate.domain.errors import BadParameter, NothingSelected, RunStillActive, UnknownRun, UnknownWorkflow
from slidegate.domain.states import State
from slidegate.domain.values import RunId
from slidegate.sites.errors import LinkDown
from slidegate.sites.transfer import put_tree
from slidegate.wiring import House
from tests.acceptance.embedded import WORKFLOW, Place, check_one_effect, step_until, work

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.prepare()
    return made


def test_results_come_back_beside_the_images_with_log_and_account(place: Place) -> None:
    images = place.make_images(3)
    view = place.command(*images)
    assert view.state == "succeeded"
    assert [task.published for task in view.tasks] == [str(place.out / f"image{n}") for n in range(3)]
    for number in range(3):
        folder = place.out / f"image{number}"
        names = {path.name for path in folder.iterdir()}
        assert {"summary.json", "run.log", "ro-crate-metadata.json"} <= names
    with place.open() as house:
        artifacts = house.store.runs.artifacts(view.run)
        assert [(artifact["role"], artifact["type"]) for artifact in artifacts] == [
            ("summary", "summary")
        ] * 3
    check_one_effect(place, view.run, 3)
    left = [path for name in ("staging", "collected") for path in (place.settings.home / name).iterdir()]
    assert left == []


def test_the_same_command_again_does_nothing_twice(place: Place) -> None:
    images = place.make_images(2)
    first = place.command(*images)
    place.traffic.read = place.traffic.sent = place.traffic.submits = 0
    second = place.command(*images)
    assert second.run == first.run
    assert second.changed_at == first.changed_at
    assert (place.traffic.read, place.traffic.sent, place.traffic.submits) == (0, 0, 0)


@pytest.mark.slow
def test_another_run_on_the_same_image_reads_and_sends_nothing(place: Place) -> None:
    images = place.make_images(2)
    first = place.command(*images)
    place.traffic.read = place.traffic.sent = 0
    second = place.command(*images, again=True, out=place.root / "other")
    assert second.run != first.run
    assert second.state == "succeeded"
    assert (place.traffic.read, place.traffic.sent) == (0, 0)


@pytest.mark.slow
def test_the_same_contents_under_another_name_are_the_same_run(place: Place) -> None:
    (image,) = place.make_images(1)
    first = place.command(image)
    copy = place.root / "copy.tif"
    shutil.copy(image, copy)
    assert place.command(str(copy)).run == first.run


@pytest.mark.slow
def test_a_finished_run_asked_for_at_another_place_is_published_there_without_computing(place: Place) -> None:
    images = place.make_images(2)
    first = place.command(*images)
    place.traffic.submits = place.traffic.read = 0
    elsewhere = place.root / "elsewhere"
    second = place.command(*images, out=elsewhere)
    assert (second.run, place.traffic.submits, place.traffic.read) == (first.run, 0, 0)
    for name in ("image0", "image1"):
        ours = json.loads((elsewhere / name / "summary.json").read_text())
        assert ours == json.loads((place.out / name / "summary.json").read_text())
        assert (elsewhere / name / "run.log").is_file()


@pytest.mark.slow
def test_results_that_were_deleted_are_put_back_by_the_same_command(place: Place) -> None:
    images = place.make_images(1)
    place.command(*images)
    shutil.rmtree(place.out)
    assert place.command(*images).state == "succeeded"
    assert (place.out / "image0" / "summary.json").is_file()
    assert place.traffic.submits == 1


@pytest.mark.slow
def test_when_the_result_is_gone_everywhere_it_is_computed_again(place: Place) -> None:
    images = place.make_images(1)
    place.command(*images)
    shutil.rmtree(place.out)
    place.purge()
    view = place.command(*images)
    assert view.state == "succeeded"
    assert view.tasks[0].attempt == 2


@pytest.mark.slow
def test_staged_data_that_was_purged_between_runs_is_brought_again(place: Place) -> None:
    images = place.make_images(1)
    place.command(*images)
    place.purge()
    staged = place.traffic.staged
    view = place.command(*images, again=True, out=place.root / "other")
    assert view.state == "succeeded"
    assert place.traffic.staged == staged + 1


def spoil(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 255 for byte in path.read_bytes()))


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [spoil, shorten, Path.unlink])
def test_an_image_that_was_damaged_between_converting_and_sending_is_converted_again(
    place: Place, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = place.make_images(1)

    def power_cut(*_args: object) -> None:
        (converted,) = (path for path in (place.settings.home / "staging").iterdir() if "." not in path.name)
        damage(max((path for path in converted.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size))
        monkeypatch.setattr("slidegate.worker.staging.put_tree", put_tree)
        raise LinkDown

    monkeypatch.setattr("slidegate.worker.staging.put_tree", power_cut)
    view = place.command(*images)
    assert (view.state, view.tasks[0].attempt) == ("succeeded", 1)
    assert place.traffic.staged == 2
    check_one_effect(place, view.run, 1)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [spoil, shorten, Path.unlink])
def test_a_result_that_was_damaged_before_it_was_published_is_fetched_again(
    place: Place, damage: Callable[[Path], None]
) -> None:
    images = place.make_images(1)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, run, lambda view: view.tasks[0].state == "publishing")
        (summary,) = (place.settings.home / "collected").glob("*/summary.json")
        damage(summary)
        assert work(house, run).state == "succeeded"
    assert place.traffic.submits == 1
    check_one_effect(place, run, 1)


@pytest.mark.slow
def test_a_result_that_is_lost_again_and_again_is_given_up(place: Place) -> None:
    images = place.make_images(1)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        for _ in range(house.tools.pace.restagings + 1):
            step_until(house, run, lambda view: view.tasks[0].state == "publishing")
            shutil.rmtree(place.settings.home / "collected")
            step_until(house, run, lambda view: view.tasks[0].state != "publishing")
        view = house.runs.show(run)
    assert (view.state, view.tasks[0].error_code) == ("failed", "data-keeps-vanishing")
    assert place.command(*images).state == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("state", [State.SUBMITTING, State.COLLECTING])
def test_data_that_is_purged_on_the_way_costs_another_attempt_and_no_result(
    place: Place, state: State
) -> None:
    images = place.make_images(2)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, run, lambda view: any(task.state == state for task in view.tasks))
        place.purge()
        view = work(house, run)
    assert view.state == "succeeded"
    assert max(task.attempt for task in view.tasks) >= 2
    assert {path.name for path in place.out.iterdir()} == {"image0", "image1"}


@pytest.mark.slow
@pytest.mark.parametrize("state", ["waiting", "staging", "submitting", "queued", "collecting", "publishing"])
def test_a_run_can_be_cancelled_in_every_state_and_goes_on_when_asked_for_again(
    place: Place, state: str
) -> None:
    images = place.make_images(1)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, run, lambda view: view.tasks[0].state == state)
        assert house.runs.cancel(run) == 1
        assert house.runs.show(run).tasks[0].wanted == "cancel"
        assert work(house, run).state == "cancelled"
        assert not place.out.exists() or list(place.out.iterdir()) == []
        asked = house.runs.request("ada", "count_bytes", images, {}, str(place.out))
        assert (asked.run, asked.outcome) == (run, "retried")
        view = work(house, run)
    assert view.state == "succeeded"
    assert view.tasks[0].attempt == 2


@pytest.mark.slow
def test_an_image_that_cannot_be_read_fails_with_a_reason_and_holds_nothing_back(place: Place) -> None:
    good, bad = place.make_images(2)
    Path(bad).write_bytes(b"II*\0" + bytes(50))
    view = place.command(good, bad)
    assert view.state == "failed"
    assert [task.state for task in view.tasks] == ["succeeded", "failed"]
    assert view.tasks[1].error
    assert view.tasks[1].error_code
    assert bad not in view.tasks[1].error


@pytest.mark.slow
def test_a_place_that_cannot_be_written_costs_no_computing(place: Place) -> None:
    images = place.make_images(1)
    place.out.write_text("in the way")
    view = place.command(*images)
    assert view.state == "failed"
    assert view.tasks[0].error_code == "target-not-writable"
    place.out.unlink()
    view = place.command(*images)
    assert view.state == "succeeded"
    assert (place.traffic.submits, view.tasks[0].attempt) == (1, 1)


@pytest.mark.slow
def test_an_image_that_changes_after_it_was_asked_for_is_not_taken_for_the_other(place: Place) -> None:
    images = place.make_images(1)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        data = bytearray(Path(images[0]).read_bytes())
        data[-1] ^= 1
        Path(images[0]).write_bytes(data)
        view = work(house, run)
    assert (view.state, view.tasks[0].error_code) == ("failed", "image-changed-since")


@pytest.mark.slow
def test_requests_that_make_no_sense_leave_nothing_behind(place: Place) -> None:
    images = place.make_images(1)
    (place.root / "empty").mkdir()
    with place.open() as house:
        for error, workflow, chosen, parameters in (
            (UnknownWorkflow, "nothing", images, {}),
            (UnknownWorkflow, "count_bytes@9.9", images, {}),
            (BadParameter, "count_bytes", images, {"byte": "x"}),
            (BadParameter, "count_bytes", images, {"byte": 256}),
            (BadParameter, "count_bytes", images, {"byt": 1}),
            (NothingSelected, "count_bytes", [str(place.root / "empty")], {}),
        ):
            with pytest.raises(error):
                house.runs.request("ada", workflow, chosen, parameters, str(place.out))
        assert house.runs.list() == ()


@pytest.mark.slow
def test_a_parameter_that_is_its_default_makes_the_same_run(place: Place) -> None:
    images = place.make_images(1)
    with place.open() as house:
        first = house.runs.request("ada", "count_bytes", images, {}, str(place.out))
        second = house.runs.request("ada", "count_bytes", images, {"byte": "0"}, str(place.out))
        third = house.runs.request("ada", "count_bytes", images, {"byte": "1"}, str(place.out))
    assert first.run == second.run != third.run


@pytest.mark.slow
def test_the_log_of_a_run_is_kept_when_the_site_has_let_go_of_it(place: Place) -> None:
    images = place.make_images(2)
    view = place.command(*images)
    with place.open() as house:
        assert {name for name, _piece in house.runs.log(view.run)} == {"image0.tif", "image1.tif"}
        assert {name for name, _piece in house.runs.log(view.run, 2)} == {"image1.tif"}
        with pytest.raises(UnknownRun):
            list(house.runs.log(view.run, 3))


@pytest.mark.slow
def test_a_deleted_run_is_gone_with_its_results_if_wanted(place: Place) -> None:
    images = place.make_images(1)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        with pytest.raises(RunStillActive):
            house.runs.delete(run)
        work(house, run)
        removed = house.runs.delete(run, results=True)
        assert len(removed) == 2
        assert house.runs.list() == ()
    assert list(place.out.iterdir()) == []


@pytest.mark.slow
def test_deleting_a_run_takes_its_results_and_logs_everywhere_and_can_be_repeated(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = place.make_images(1)
    elsewhere = place.root / "elsewhere"
    place.command(*images)
    place.purge()
    shutil.rmtree(place.out)
    assert place.command(*images).tasks[0].attempt == 2
    run = place.command(*images, out=elsewhere).run
    logs = place.settings.home / "logs"
    assert len(list(logs.iterdir())) == 2
    with place.open() as house:
        with monkeypatch.context() as killed:
            killed.setattr(house.store.runs, "delete", exit)
            with pytest.raises(SystemExit):
                house.runs.delete(run, results=True)
        house.runs.delete(run, results=True)
        assert house.runs.list() == ()
    assert [list(folder.iterdir()) for folder in (place.out, elsewhere, logs)] == [[], [], []]


@pytest.mark.slow
def test_leftovers_of_killed_commands_are_cleaned(place: Place) -> None:
    for name in ("staging/0123.1.7", "collected/abc.3", "collected/abc"):
        folder = place.settings.home / name
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(bytes(10))
    with place.open() as house:
        assert [left.bytes for left in house.runs.clean(dry_run=True)] == [10, 10, 10]
        assert len(house.runs.clean()) == 3
        assert house.runs.clean() == ()


@pytest.mark.slow
def test_two_commands_at_once_follow_the_same_run(place: Place) -> None:
    images = place.make_images(4)
    processes = [place.start(*images) for _ in range(2)]
    assert [process.wait(SECONDS) for process in processes] == [0, 0]
    with place.open() as house:
        (view,) = house.runs.list()
    check_one_effect(place, view.run, 4)


@pytest.mark.slow
def test_two_first_commands_at_once_set_up_one_site(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(WORKFLOW, tmp_path / "workflows" / "count_bytes")
    images = place.make_images(2)
    processes = [place.start(*images) for _ in range(2)]
    assert [process.wait(SECONDS) for process in processes] == [0, 0]
    with place.open() as house:
        (view,) = house.runs.list()
        assert len(house.runs.workflows()) == 1
    check_one_effect(place, view.run, 2)


@pytest.mark.slow
def test_a_first_command_that_is_killed_while_it_sets_up_is_finished_by_the_next(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(WORKFLOW, tmp_path / "workflows" / "count_bytes")
    images = place.make_images(1)
    for seconds in (0.8, 1.1, 1.4):
        process = place.start(*images)
        time.sleep(seconds)
        process.kill()
        process.wait(10)
    assert place.command(*images).state == "succeeded"


@pytest.mark.slow
def test_a_site_that_was_set_up_anew_is_told_again(place: Place) -> None:
    images = place.make_images(2)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, run, lambda view: all(task.state == "queued" for task in view.tasks))
    place.kill("runner")
    shutil.rmtree(place.site)
    view = place.command(*images)
    assert (view.run, view.state) == (run, "succeeded")


SECONDS = 90


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_killed_the_same_command_finishes_with_one_effect(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    images = place.make_images(3)
    for _ in range(chance.randint(1, 3)):
        process = place.start(*images)
        time.sleep(chance.uniform(0.4, 2.5))
        for victim in chance.sample(["serve", "runner", "command", "all"], 2):
            if victim in ("command", "all"):
                process.kill()
            if victim != "command":
                place.kill(*([] if victim == "all" else [victim]))
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait(10)
    process = place.start(*images)
    assert process.wait(SECONDS) == 0
    with place.open() as house:
        (view,) = house.runs.list()
    check_one_effect(place, view.run, 3)


class BrokenRunner:
    """The site's runner, made to end at once; and mended again."""

    def __init__(self, place: Place) -> None:
        self._path = (place.site / "current").resolve() / "slidegate_gate" / "runner" / "main.py"
        self._text = self._path.read_text()
        self._path.write_text("raise SystemExit(1)\n")

    def mend(self) -> None:
        self._path.write_text(self._text)


def has_ended(house: House, run: RunId, number: int) -> bool:
    """Say whether the newest crew that was asked for has ended, as far as was heard, and is this one."""
    name = house.store.runs.tasks(run)[0]["submission"]
    known = house.store.runs.submission(name) if name else None
    crews = list(((known and known["crews"]) or {}).values())
    return bool(crews) and all((crew["round"], crew["state"]) == (number, "ended") for crew in crews)


@pytest.mark.slow
@pytest.mark.parametrize("broken", [1, 2])
def test_another_crew_is_started_when_one_has_ended_with_work_left(place: Place, broken: int) -> None:
    images = place.make_images(2)
    runner = BrokenRunner(place)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        worker = house.worker([run])
        while not has_ended(house, run, broken):
            worker.step()
        runner.mend()  # before anybody can start the next crew
        worker.close()
        assert work(house, run).state == "succeeded"
        rounds = [event.round for event in house.store.history.of(run) if event.kind == "crew-started"]
    assert rounds == list(range(2, broken + 2))
    check_one_effect(place, run, 2)


@pytest.mark.slow
def test_a_crew_that_the_site_refuses_for_good_fails_the_run_in_the_words_of_the_site(place: Place) -> None:
    images = place.make_images(1)
    BrokenRunner(place)
    with place.open() as house:
        run = house.runs.request("ada", "count_bytes", images, {}, str(place.out)).run
        step_until(house, run, lambda view: view.tasks[0].state == "queued")
        for release in (place.site / "releases").glob("*/release.json"):
            release.unlink()
        view = work(house, run)
    assert (view.state, view.tasks[0].error_code) == ("failed", "unknown-release")


@pytest.mark.slow
def test_crews_that_always_end_fail_the_run_in_words_and_a_retry_mends_it(place: Place) -> None:
    images = place.make_images(1)
    runner = BrokenRunner(place)
    view = place.command(*images)
    assert (view.state, view.tasks[0].error_code) == ("failed", "crews-ended")
    runner.mend()
    view = place.command(*images)
    assert (view.state, view.tasks[0].attempt) == ("succeeded", 2)
