# SPDX-License-Identifier: BSD-3-Clause
"""A worker that serves many people: it reads images in OMERO and writes results there as each of them."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from slidegate.cache import Cache
from slidegate.domain.run import kept_result
from slidegate.domain.sealing import seal
from slidegate.domain.states import State
from slidegate.domain.values import RunId
from slidegate.local_site import PREVIEW
from slidegate.settings import Settings
from slidegate.sources.shelves import Shelves
from slidegate.store import Store
from slidegate.store.wishes import Wish
from slidegate.wiring.gateways import Gateways
from slidegate.wiring.house import tools_of
from slidegate.wiring.service import acting_in_omero, open_service
from slidegate.worker import Runs, Worker
from slidegate.worker.housekeeping import Chore
from slidegate.worker.tools import Pace
from slidegate.worker.views import RunView
from slidegate.worker.wishes.desk import Desk
from slidegate.worker.wishes.granter import Granter
from tests.unit.wishes.conftest import write_workflow

pytestmark = [pytest.mark.omero, pytest.mark.slow]  # a server starts

SECONDS = 60
QUICK = Pace(retry_seconds=0.1, retry_seconds_most=0.5, repair_seconds_most=0.5)
GROUPS = ("lab", "team", "freezing", "leaving")
PEOPLE = """
groups:
  {lab: read-annotate, team: read-annotate, freezing: read-annotate, leaving: read-annotate, shelf: read-only}
people:
  alice: {password: secret-a, groups: [lab, team, freezing, leaving, shelf]}
  bob: {password: secret-b, groups: [lab, team, freezing, leaving, shelf]}
  carol: {password: secret-c, groups: [lab]}
  root: {password: secret-r}
  slidegate: {password: secret-s, groups: [lab], administrator: true, privileges: [Sudo]}
datasets:
"""
WRITTEN = ("MapAnnotation", "FileAnnotation", "ImageAnnotationLink", "OriginalFile", "Roi", "Polygon")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    from pocket_omero.server import Server

    folder = tmp_path_factory.mktemp("served")
    datasets = ""
    for seed, group in enumerate((*GROUPS, "shelf")):
        (folder / group).mkdir()
        for number in range(16 if group == "lab" else 4):
            pixels = np.random.default_rng(100 * seed + number).integers(0, 4000, (1, 64, 64), np.uint16)
            tifffile.imwrite(folder / group / f"{group}{number}.ome.tif", pixels, metadata={"axes": "CYX"})
        datasets += f"  {group}: {{owner: alice, group: {group}, images: ['{group}/*']}}\n"
    tifffile.imwrite(folder / "lab" / "deep.ome.tif", np.zeros((64, 64), np.float32), metadata={"axes": "YX"})
    (folder / "people.yml").write_text(PEOPLE + datasets)
    with Server(folder) as started:
        yield started


@dataclass
class Office:
    """A served worker whose every step a test takes itself."""

    house: Any
    settings: Settings
    store: Store
    desk: Desk
    chores: tuple[Chore, ...]
    _next: dict[str, Iterator[int]] = field(default_factory=dict)

    def image(self, group: str = "lab") -> int:
        """Return an image that no test has had."""
        return self.named(f"{group}{next(self._next.setdefault(group, count()))}.ome.tif")

    def named(self, name: str) -> int:
        [row] = [row for row in self.house.house.state.all("Image") if row["name"] == name]
        return int(row.id)

    def knows(self, *names: str) -> None:
        """Let people have come from OMERO."""
        for row in self.house.house.state.all("Experimenter"):
            if row["omeName"] in names:
                assert (
                    self.store.omero_people.signed_in(row.id, row["omeName"], time.time()) == row["omeName"]
                )

    def grant(self, kind: str, body: dict[str, Any], person: str = "alice") -> Wish:
        """Ask for something, and let one granter take it once."""
        wish = self.store.wishes.ask(kind, person, body, time.time())
        Granter(self.desk).step()
        return self.store.wishes.get(wish.id)

    def answer(self, kind: str, body: dict[str, Any], person: str = "alice") -> dict[str, Any]:
        wish = self.grant(kind, body, person)
        assert wish.answer is not None, wish
        return wish.answer

    def launch(self, *images: int, person: str = "alice", **more: Any) -> RunId:
        body = {"workflow": "squares", "images": [f"omero:{image}" for image in images], **more}
        return RunId(self.answer("launch", body, person)["run"])

    def view(self, run: RunId) -> RunView:
        return self.desk.runs.show(run)

    def work(self, run: RunId, reached: Callable[[RunView], bool] | None = None) -> RunView:
        """Work on a Run until it is as wanted, or has ended."""
        worker = Worker(self.desk.tools, [run])
        until = time.monotonic() + SECONDS
        try:
            while not (reached or has_ended)(view := self.view(run)):
                assert time.monotonic() < until, view
                if not worker.step():
                    time.sleep(0.02)
        finally:
            worker.close()
        return view

    def sessions(self, person: str) -> list[Any]:
        return [one for one in self.house.house.sessions.all() if one.person["omeName"] == person]

    def granted(self, person: str) -> list[Any]:
        """Return the sessions of a person that nobody else began."""
        return [one for one in self.sessions(person) if one.sudoer is None]

    def written(self, image: int) -> dict[str, int]:
        """Return how much of each kind hangs on an image, by anybody."""
        state = self.house.house.state
        links = [row for row in state.all("ImageAnnotationLink") if row["parent"].id == image]
        found: dict[str, int] = {"Roi": sum(row["image"].id == image for row in state.all("Roi"))}
        for row in links:
            kind = row["child"].kind
            found[kind] = found.get(kind, 0) + 1
        return found


def has_ended(view: RunView) -> bool:
    return view.state not in ("waiting", "active")


def is_at(*states: State) -> Callable[[RunView], bool]:
    return lambda view: all(task.state in states for task in view.tasks)


def settings_of(root: Path, house: Any, **more: Any) -> Settings:
    where = {"omero_host": house.host, "omero_port": house.port, "omero_ca": house.authority}
    return Settings(
        home=root / "home", workflows_dir=root / "workflows", person="service", cores=2, **where, **more
    )


def write_account(root: Path, house: Any) -> Path:
    path = root / "account.json"
    path.write_text(json.dumps({"host": house.host, "name": "slidegate", "password": "secret-s"}))
    path.chmod(0o600)
    return path


def open_office(root: Path, house: Any, settings: Settings) -> Iterator[Office]:
    write_workflow(root / "workflows" / "squares")
    settings.home.mkdir()
    store = Store.open(settings.database)
    gateways = Gateways(settings, store, lambda _words: None)
    cache = Cache(settings.cache, 10**9)
    make_acting, chores = acting_in_omero(settings, store)
    tools = replace(tools_of(settings, store, gateways, pace=QUICK), cache=cache, acting=make_acting())
    desk = Desk(
        tools=tools,
        cache=cache,
        shelves=Shelves({}),
        results=settings.results_dir,
        gate_at=lambda person, site: gateways.gate_at(site, person),
        runs=Runs(tools, gateways.embedded.releases),
        preview=gateways.embedded.gate(PREVIEW),
    )
    office = Office(house, settings, store, desk, chores)
    for chore in chores:
        chore.do(time.time())
    office.knows("alice", "bob", "carol")
    try:
        yield office
    finally:
        desk.preview.close()
        tools.hang_up()
        store.close()


@pytest.fixture(scope="module")
def office(house, tmp_path_factory):
    """A worker with an account that acts for people."""
    root = tmp_path_factory.mktemp("sudo")
    settings = settings_of(root, house, omero_account=write_account(root, house))
    yield from open_office(root, house, settings)


@pytest.fixture
def faults(house):
    yield house.faults
    house.faults.clear()


def test_a_run_reads_and_writes_in_two_groups_as_its_person(office):
    images = office.image("lab"), office.image("team")
    run = office.launch(*images, person="bob")
    assert {one.sudoer["omeName"] for one in office.sessions("bob")} == {"slidegate"}
    view = office.work(run)
    assert (view.state, view.out) == ("succeeded", f"omero:{office.house.host}")
    state = office.house.house.state
    for image, group in zip(images, ("lab", "team"), strict=True):
        assert office.written(image)["MapAnnotation"] == 1
        [note] = [
            row["child"]
            for row in state.all("ImageAnnotationLink")
            if row["parent"].id == image and row["child"].kind == "MapAnnotation"
        ]
        assert (note["details.owner"]["omeName"], note["details.group"]["name"]) == ("bob", group)
    for task in view.tasks:  # the pages have a copy
        row = office.store.runs.task(task.task)
        kept = office.desk.cache.tree(kept_result(run, task.task, row["output"]))
        assert (kept / ".slidegate.json").is_file()
        assert (kept / "summary.json").is_file()

    again = office.answer("launch", {"workflow": "squares", "images": [f"omero:{images[0]}"]}, "carol")
    assert again["run"] != run  # somebody else's
    removed = office.answer("delete", {"run": run, "results": True}, "bob")["removed"]
    assert "in OMERO" in removed[1]
    assert [office.written(image) for image in images] == [{"Roi": 0}, {"Roi": 0}]
    office.desk.runs.cancel(RunId(again["run"]))
    office.work(RunId(again["run"]))


def test_who_asks_for_more_beside_the_same_images_gets_that_and_nothing_twice(office):
    image = office.image()
    body = {"workflow": "squares", "images": [f"omero:{image}"]}
    run = office.launch(image)
    assert office.work(run).state == "succeeded"
    first = office.written(image)
    more = {"objects": "sample", "labels": "attachment", "tags": ["counted"]}
    assert office.answer("launch", body | {"publish": more}) == {"run": run, "outcome": "published-again"}
    view = office.work(run)
    assert (view.state, view.out) == ("succeeded", f"omero:{office.house.host}?labels=attachment&tag=counted")
    assert view.tasks[0].attempt == 1
    asked = office.written(image)
    assert asked == first | {"FileAnnotation": first["FileAnnotation"] + 1, "TagAnnotation": 1}
    assert office.answer("launch", body | {"publish": more})["outcome"] == "finished"
    assert (
        office.grant("launch", body | {"publish": {"labels": "gold"}}).error_code == "omero-place-unreadable"
    )


def test_many_images_of_one_person_are_few_sessions_and_none_is_left(office):
    calls = office.house.house.calls.made
    office.desk.tools.hang_up()
    assert office.sessions("alice") == []
    before = calls["ISession.createSessionWithTimeouts"]
    run = office.launch(*(office.image() for _ in range(3)))
    assert office.work(run).state == "succeeded"
    assert calls["ISession.createSessionWithTimeouts"] - before == 2  # where she begins, and in the group
    assert (
        office.sessions("alice") == office.sessions("slidegate") == []
    )  # a worker that ends takes them along
    office.answer("describe", {"images": ["omero:1"]})
    office.desk.tools.hang_up(quiet_seconds=5)  # one that has nothing to do keeps them for minutes
    assert len(office.sessions("alice")) == 1
    office.desk.tools.hang_up()
    assert office.sessions("alice") == []


def test_images_are_described_by_their_names_and_refused_with_the_reason(office):
    shelf, deep, gone = office.image("shelf"), office.named("deep.ome.tif"), 999_999
    names = [f"omero:{image}" for image in (office.named("lab0.ome.tif"), shelf, deep, gone)]
    found = office.answer("describe", {"images": [*names, "omero:twelve", f"{names[0]}#z=7"]}, "bob")[
        "images"
    ]
    assert (found[0]["name"], found[0]["shape"], found[0]["dtype"]) == ("lab0.ome.tif", [1, 64, 64], "uint16")
    codes = [one["problem"]["code"] for one in found[1:]]
    assert codes == [
        "omero-not-writable", "pixels-unsupported", "omero-image-hidden", "bad-image-name",
        "image-no-such-plane",
    ]  # fmt: skip
    assert "group shelf" in found[1]["problem"]["message"]
    assert not any(one["problem"]["passes"] for one in found[1:])
    assert office.answer("describe", {"images": [names[1]]}, "carol")["images"][0]["problem"]["code"] == (
        "omero-image-hidden"
    )


def test_a_launch_on_images_without_rights_is_refused_and_says_which(office):
    shelf, fine = office.image("shelf"), office.named("lab0.ome.tif")
    body = {"workflow": "squares", "images": [f"omero:{fine}", f"omero:{shelf}", "omero:999999"]}
    runs = office.store.runs.unfinished()
    refused = office.grant("launch", body, "bob")
    assert (refused.state, refused.error_code) == ("refused", "omero-not-writable")
    assert f"2 of 3 images cannot be used: {shelf}, 999999." in refused.error
    assert office.store.runs.unfinished() == runs
    for images, code in ((["omero:x"], "bad-image-name"), (["omero:1", "here:a.tif"], "image-not-found")):
        assert office.grant("launch", {"workflow": "squares", "images": images}).error_code == code
    stranger = office.grant("launch", {"workflow": "squares", "images": [f"omero:{fine}"]}, "dave")
    assert stranger.error_code == "not-of-omero"


def test_an_image_that_cannot_be_analysed_keeps_no_other_from_it(office):
    image, deep = office.image(), office.named("deep.ome.tif")
    tasks = {task.image: task for task in office.work(office.launch(image, deep)).tasks}
    assert tasks[str(image)].state == State.SUCCEEDED
    assert (tasks[str(deep)].state, tasks[str(deep)].error_code) == (State.FAILED, "pixels-unsupported")


def test_a_launch_waits_where_omero_cannot_answer_just_then_and_blames_no_image(office, faults):
    image = office.image()
    office.desk.tools.hang_up()
    body = {"workflow": "squares", "images": [f"omero:{image}"]}
    faults.set(fail={"IConfig.getDatabaseUuid": "ResourceError"})
    wish = office.grant("launch", body)
    assert (wish.state, "[omero-busy]" in wish.trouble) == ("open", True)
    faults.clear()
    until = time.monotonic() + SECONDS
    while (found := office.store.wishes.get(wish.id)).state == "open":
        assert time.monotonic() < until
        Granter(office.desk).step()
        time.sleep(0.02)
    assert office.work(RunId(found.answer["run"])).state == "succeeded"
    assert office.launch(image) == found.answer["run"]


def test_images_in_omero_are_chosen_in_omero_web(office):
    assert office.grant("browse", {"at": "omero:"}).error_code == "omero-not-browsed"


def test_an_image_in_omero_has_a_thumbnail_and_a_preview(office):
    name = f"omero:{office.named('lab0.ome.tif')}"
    small = office.answer("thumbnail", {"image": name, "side": 256})
    assert office.desk.cache.file(small["file"]) is not None
    assert office.grant("thumbnail", {"image": "omero:999999", "side": 256}).error_code == "omero-not-found"
    asked = {"image": name, "workflow": "squares", "region": [0, 0, 64, 64]}
    assert office.answer("preview", asked, "bob")["facts"]["nuclei"] == 2
    stranger = office.grant("preview", asked, "dave")
    assert stranger.error_code == "not-of-omero"


def as_root(office, do: Callable[[Any], None]) -> None:
    with office.house.client("root", "secret-r") as root:
        do(root)


def out_of(office, name: str, group: str) -> None:
    """Take somebody out of a group."""
    import omero.model

    def do(root: Any) -> None:
        admin = root.sf.getAdminService()
        where = omero.model.ExperimenterGroupI(admin.lookupGroup(group).id.val, False)
        admin.removeGroups(admin.lookupExperimenter(name), [where])

    as_root(office, do)


def into(office, name: str, group: str) -> None:
    import omero.model

    def do(root: Any) -> None:
        admin = root.sf.getAdminService()
        where = omero.model.ExperimenterGroupI(admin.lookupGroup(group).id.val, False)
        admin.addGroups(admin.lookupExperimenter(name), [where])

    as_root(office, do)


def allow(office, group: str, permissions: str) -> None:
    """Change what members of a group may do."""
    import omero.model

    def do(root: Any) -> None:
        admin = root.sf.getAdminService()
        admin.changePermissions(admin.lookupGroup(group), omero.model.PermissionsI(permissions))

    as_root(office, do)


def remove(office, image: int) -> None:
    import omero.cmd

    def do(root: Any) -> None:
        handle = root.sf.submit(omero.cmd.Delete2(targetObjects={"Image": [image]}), {"omero.group": "-1"})
        until = time.monotonic() + SECONDS
        while handle.getResponse() is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        handle.close()

    as_root(office, do)


@pytest.mark.parametrize("when", [State.WAITING, State.PUBLISHING])
def test_who_left_the_group_while_a_run_waited_is_told_and_can_go_on_when_back(office, when):
    image = office.image("leaving")
    run = office.launch(image, person="bob")
    office.work(run, is_at(when))
    out_of(office, "bob", "leaving")
    try:
        [task] = office.work(run).tasks
        assert (task.state, task.error_code) == (State.FAILED, "omero-image-hidden")
        assert "no longer, the person" in task.error
        assert office.written(image) == {"Roi": 0}
    finally:
        into(office, "bob", "leaving")
    office.desk.runs.retry(run)
    view = office.work(run)
    assert view.state == "succeeded"
    assert view.tasks[0].attempt == (2 if when == State.WAITING else 1)  # what was computed is not again
    assert office.written(image)["MapAnnotation"] == 1


def test_a_group_that_was_made_read_only_gets_no_results_until_it_is_open_again(office):
    image = office.image("freezing")
    run = office.launch(image, person="bob")
    office.work(run, is_at(State.PUBLISHING))
    allow(office, "freezing", "rwr---")
    try:
        [task] = office.work(run).tasks
        assert (task.state, task.error_code) == (State.FAILED, "omero-not-writable")
        assert "group freezing" in task.error
        assert office.written(image) == {"Roi": 0}
    finally:
        allow(office, "freezing", "rwra--")
    office.desk.runs.retry(run)
    assert office.work(run).state == "succeeded"
    assert office.written(image)["MapAnnotation"] == 1


def test_an_image_that_was_deleted_while_a_run_waited_is_said_to_be_gone(office):
    gone, late, there = (office.image() for _ in range(3))
    run = office.launch(gone, late, there)
    remove(office, gone)
    is_due = State.PUBLISHING
    office.work(run, lambda view: is_due in [task.state for task in view.tasks if task.image == str(late)])
    remove(office, late)
    tasks = {task.image: task for task in office.work(run).tasks}
    assert tasks[str(there)].state == State.SUCCEEDED
    for image in (gone, late):
        task = tasks[str(image)]
        assert (task.state, task.error_code) == (State.FAILED, "omero-image-hidden")
        assert "was deleted" in task.error


READS = ("RawPixelsStore.getTile", "RawFileStore.read")
WRITES = ("IUpdate.saveArray", "IUpdate.saveAndReturnArray", "IUpdate.saveAndReturnObject")


@pytest.fixture(scope="module")
def undisturbed(office):
    """What hangs on an image whose result was written without any trouble."""
    image = office.image()
    assert office.work(office.launch(image)).state == "succeeded"
    return office.written(image)


@pytest.mark.parametrize(("calls", "what"), [(READS, "restart"), (WRITES, "restart"), (WRITES, "expire")])
def test_what_is_interrupted_in_the_middle_goes_on_and_nothing_is_doubled(
    office, faults, undisturbed, calls, what
):
    image = office.image()
    run = office.launch(image)
    if calls == WRITES:
        office.work(run, is_at(State.PUBLISHING))
    made = office.house.house.calls.made
    before = {name: made[name] for name in calls}
    faults.set(delay=dict.fromkeys(calls, 1.5))

    def interrupt() -> None:
        until = time.monotonic() + SECONDS
        while all(made[name] == before[name] for name in calls) and time.monotonic() < until:
            time.sleep(0.01)
        faults.clear()
        if what == "restart":
            office.house.restart()
        else:
            office.house.expire_sessions("alice")

    other = threading.Thread(target=interrupt)
    other.start()
    try:
        view = office.work(run)
    finally:
        other.join()
    assert view.state == "succeeded", view
    assert office.written(image) == undisturbed


def test_a_task_waits_while_omero_is_away_and_says_so(office):
    image = office.image()
    run = office.launch(image)
    office.house.stop()
    try:
        view = office.work(run, lambda view: office.store.runs.task(view.tasks[0].task)["tries"] > 5)
        assert view.state in ("waiting", "active")
        assert "[omero-unreachable]" in view.tasks[0].trouble
    finally:
        office.house.start()
    assert office.work(run).state == "succeeded"


def test_a_task_waits_while_the_account_that_acts_cannot(office):
    image = office.image()
    run = office.launch(image)
    file = office.settings.omero_account
    right = file.read_text()
    for wrong, mode, code in (
        (right.replace("secret-s", "changed"), 0o600, "omero-login-refused"),
        (right, 0o644, "omero-secret-open"),
        (right.replace(office.house.host, "elsewhere"), 0o600, "omero-account-elsewhere"),
    ):
        office.desk.tools.hang_up()
        file.write_text(wrong)
        file.chmod(mode)
        view = office.work(run, lambda view, code=code: f"[{code}]" in (view.tasks[0].trouble or ""))
        assert view.state in ("waiting", "active")
    file.write_text(right)
    file.chmod(0o600)
    assert office.work(run).state == "succeeded"


def test_nobody_acts_as_somebody_who_has_a_persons_name_now(office):
    office.desk.tools.hang_up()
    with sqlite3.connect(office.settings.database_file) as database:
        database.execute("update omero_person set user_id = 4711 where name = 'carol'")
    refused = office.grant("launch", {"workflow": "squares", "images": ["omero:1"]}, "carol")
    assert refused.error_code == "omero-other-person"
    assert office.sessions("carol") == []


# people who grant a session themselves


@pytest.fixture(scope="module")
def granting(house, tmp_path_factory):
    """A worker without an account: people permit it to act for them."""
    root = tmp_path_factory.mktemp("grants")
    yield from open_office(root, house, settings_of(root, house))


def permit(office: Office, asker: str = "bob", password: str = "secret-b", **more: object) -> Wish:
    who = office.store.omero_people.get(asker)
    said = {"person": asker, "user_id": who.user_id, "name": who.name, "password": password} | more
    letter = seal(office.store.omero_grants.public(), json.dumps(said).encode(), "omero-grant")
    return office.grant("omero-grant", {"sealed": letter}, asker)


def test_who_permits_it_once_needs_no_password_any_more_until_it_is_taken_back(granting, house):
    office, image = granting, granting.named("lab0.ome.tif")
    body = {"workflow": "squares", "images": [f"omero:{image}"]}
    assert office.grant("launch", body, "bob").error_code == "omero-no-grant"
    assert permit(office, password="wrong").error_code == "omero-login-refused"
    assert permit(office, "alice", "secret-a", user_id=4711).error_code == "omero-other-person"
    assert office.granted("alice") == []
    assert permit(office, person="eve").error_code == "bad-wish"
    assert office.grant("omero-grant", {"sealed": "AAAA"}, "bob").error_code == "bad-wish"
    for _ in range(2):  # another one takes the place of the first
        assert permit(office).answer == {"ends_at": None}
        assert len(office.granted("bob")) == 1
    run = office.launch(image, person="bob")
    assert office.work(run).state == "succeeded"
    office.desk.tools.hang_up()
    assert len(office.granted("bob")) == 1
    assert office.store.omero_grants.get("bob") is not None
    for _ in range(2):
        assert office.answer("omero-revoke", {"nth": time.time()}, "bob") == {}
        assert office.granted("bob") == []
        assert office.store.omero_grants.get("bob") is None


def test_a_task_waits_for_a_grant_that_was_lost_and_goes_on_with_the_next(granting, house):
    office, image = granting, granting.named("lab2.ome.tif")
    permit(office)
    run = office.launch(image, person="bob")
    house.expire_sessions("bob")
    view = office.work(run, lambda view: "[omero-no-grant]" in (view.tasks[0].trouble or ""))
    assert view.state in ("waiting", "active")
    assert office.store.omero_grants.get("bob") is None
    permit(office)
    assert office.work(run).state == "succeeded"


def test_grants_are_kept_alive_and_those_that_ended_are_forgotten(granting, house):
    office = granting
    [chore] = office.chores
    before = set(office.settings.omero_grants.iterdir())
    permit(office, "carol", "secret-c")
    [damaged] = set(office.settings.omero_grants.iterdir()) - before
    damaged.write_bytes(b"noise")  # keeps nobody else's from being kept alive
    for person in ("alice", "bob"):
        permit(office, person, f"secret-{person[0]}")
    sessions = {name: office.granted(name) for name in ("alice", "bob")}
    for one in (*sessions["alice"], *sessions["bob"]):
        one.seen -= 100
    chore.do(time.time())
    now = time.monotonic()
    assert all(now - one.seen < 60 for one in (*sessions["alice"], *sessions["bob"]))
    house.expire_sessions("alice")
    chore.do(time.time())
    assert set(office.store.omero_grants.all()) == {"bob", "carol"}
    house.expire_sessions("bob")
    chore.do(time.time())
    assert set(office.store.omero_grants.all()) == {"carol"}
    unreadable = office.grant("describe", {"images": ["omero:1"]}, "carol").answer["images"][0]
    assert unreadable["problem"]["code"] == "omero-secret-unreadable"


# the service as it runs


def test_the_service_works_in_threads_and_leaves_no_session(house, tmp_path):
    write_workflow(tmp_path / "workflows" / "squares")
    settings = settings_of(tmp_path, house, omero_account=write_account(tmp_path, house))
    [image] = [row.id for row in house.house.state.all("Image") if row["name"] == "lab3.ome.tif"]
    before = {one.uuid for one in house.house.sessions.all()}
    with open_service(settings) as service:
        store = service._tools.store
        [user] = [row.id for row in house.house.state.all("Experimenter") if row["omeName"] == "alice"]
        store.omero_people.signed_in(user, "alice", time.time())
        stop = threading.Event()
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        try:
            body = {"workflow": "squares", "images": [f"omero:{image}"]}
            wish = store.wishes.ask("launch", "alice", body, time.time())
            until = time.monotonic() + SECONDS
            while (found := store.wishes.get(wish.id)).state == "open":
                assert time.monotonic() < until, found
                time.sleep(0.05)
            while (state := store.runs.tasks(found.answer["run"])[0]["state"]) != "succeeded":
                assert time.monotonic() < until, state
                assert state != "failed", store.runs.tasks(found.answer["run"])[0]["error"]
                time.sleep(0.05)
            begun = [one for one in house.house.sessions.all() if one.uuid not in before and one.sudoer]
            assert {one.person["omeName"] for one in begun} == {"alice"}
        finally:
            stop.set()
            thread.join()
        until = time.monotonic() + SECONDS  # a thread that has much to end is not waited for by the service
        while {one.uuid for one in house.house.sessions.all()} - before:
            assert time.monotonic() < until
            time.sleep(0.05)
