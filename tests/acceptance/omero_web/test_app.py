# SPDX-License-Identifier: BSD-3-Clause
"""The app in an unmodified OMERO.web, with a real api and a real worker behind it.

OMERO.web answers below a prefix, in two processes, and has a public user who may see every address: what
holds here holds where less is in the way.
"""

import io
import json
import re
import time
import zipfile
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.omero_web.place import Visit, open_place, until

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PREFIX = "/omero"
COOKIE = "slidegate_session"
SECONDS = 45


def settings(omero):
    """Return how OMERO.web is configured here; its second server is the same OMERO by another name."""
    return {
        "omero.web.server_list": [[omero.host, omero.port, "pocket"], ["localhost", omero.port, "other"]],
        "omero.web.slidegate.server": omero.host,
        "omero.web.prefix": PREFIX,
        "omero.web.static_url": f"{PREFIX}/static/",
        "omero.web.public.enabled": "true",
        "omero.web.public.user": "visitor",
        "omero.web.public.password": "secret-v",
        "omero.web.public.url_filter": ".*",
        "omero.web.public.get_only": "false",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with open_place(tmp_path_factory.mktemp("place"), web=settings, workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def alice(place):
    with place.visit("alice") as visit:
        yield visit


@pytest.fixture(scope="module")
def bob(place):
    with place.visit("bob") as visit:
        yield visit


def selection(visit: Visit, query: str) -> dict:
    said = visit.get(f"/slidegate/selection/?{query}")
    assert said.status_code == 200, said.text
    return said.json()


def problem(answer: httpx.Response, status: int, code: str) -> str:
    """Return what a problem says, if it is that one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert (said["status"], said["code"]) == (status, code)
    assert len(said["detail"]) > 20
    return str(said["detail"])


# --- what is selected


def test_a_selection_says_which_images_can_be_used_and_in_words_why_not(place, alice):
    said = selection(alice, f"dataset={place.container('Dataset', 'Cells')}")
    found = {one["name"]: one for one in said["images"]}
    assert {name for name, one in found.items() if one["usable"]} == {
        "cell0.tif", "cell1.tif", "cell2.tif", "stack.ome.tif",
    }  # fmt: skip
    assert "in colour" in found["colour.tif"]["why"]
    assert "float" in found["float.tif"]["why"]
    assert found["stack.ome.tif"]["planes"] == {"z": 3, "t": 1}
    cell = found["cell0.tif"]
    assert (cell["image"], cell["width"], cell["height"], cell["channels"]) == (
        f"omero:{place.image('cell0.tif')}", 96, 64, 1,
    )  # fmt: skip
    assert (cell["dataset"], cell["planes"], cell["why"]) == ("Cells", None, "")


def test_images_datasets_and_projects_of_several_groups_are_one_selection(place, alice):
    study, private = place.container("Project", "Study"), place.container("Dataset", "Private")
    one = place.image("cell1.tif")
    said = selection(alice, f"project={study}&dataset={private}&image={one}&image={one}")
    names = [one["name"] for one in said["images"]]
    assert sorted(names) == ["cell1.tif", "private.tif", "treated0.tif", "treated1.tif"]
    groups = {group["name"]: (group["usable"], group["images"]) for group in said["groups"]}
    assert groups == {"lab": (3, 3), "other": (1, 1)}
    assert {one["dataset"] for one in said["images"]} == {"Cells", "Treated", "Private"}


def test_what_one_may_only_look_at_or_not_see_is_said_to_be_so(place, bob):
    shelf, private = place.image("shelf.tif"), place.image("private.tif")
    found = selection(bob, f"image={shelf},{private},999999")["images"]
    assert [one["usable"] for one in found] == [False, False, False]
    assert "In the group shelf you may look" in found[0]["why"]
    assert "not there any more" in found[1]["why"]
    assert found[1]["name"] == f"image {private}"  # its name is not for bob
    assert selection(bob, "") == {"images": [], "groups": []}


def test_a_selection_that_cannot_be_understood_or_is_too_large_is_refused_in_words(alice):
    problem(alice.get("/slidegate/selection/?image=1 or 1=1"), 400, "selection-unreadable")
    assert "5,000 at most" in problem(alice.get("/slidegate/selection/?image=1-6000"), 422, "too-many-images")


def test_a_selection_that_is_too_long_for_an_address_comes_by_a_form(place, alice):
    image = place.image("cell0.tif")
    far = ",".join(str(number) for number in range(10**6, 10**6 + 2000, 2))
    fields = {"image": f"{image},{far}", "csrfmiddlewaretoken": alice.cookies["csrftoken"]}
    page = alice.post("/slidegate/launch/", data=fields, follow_redirects=True)
    assert page.status_code == 200, page.text
    assert len(page.url.query) < 100
    assert f'selection-url="{PREFIX}/slidegate/selection/?{page.url.query.decode()}"' in page.text
    asked = place.omero.house.calls.made["IQuery.projection"]
    said = selection(alice, page.url.query.decode())
    assert (
        place.omero.house.calls.made["IQuery.projection"] - asked <= 6
    )  # questions, for any thousand images
    assert len(said["images"]) == 1001
    assert said["images"][0]["usable"]
    problem(alice.get("/slidegate/selection/?selection=0123456789abcdef"), 400, "selection-unreadable")


# --- pages and menus


def test_pages_mount_the_elements_with_addresses_below_the_prefix(place, alice):
    page = alice.get("/slidegate/launch/?image=1&image=2&dataset=3&from=abc")
    assert page.status_code == 200, page.text
    for part in (
        f'base="{PREFIX}/slidegate/api"',
        f'selection-url="{PREFIX}/slidegate/selection/?image=1-2&amp;dataset=3"',
        'csrf-cookie="csrftoken"',
        'from="abc"',
        f'src="{PREFIX}/static/omero_slidegate/slidegate.js?v=',
        f'href="{PREFIX}/slidegate/"',
        'title="What runs on the cluster"',
    ):
        assert part in page.text, part
    runs = alice.get("/slidegate/")
    assert "<sg-omero-runs" in runs.text
    assert alice.get("/slidegate/run/abc123/").headers["Location"] == f"{PREFIX}/slidegate/#/runs/abc123"
    assert alice.get("/slidegate/launch/?image=x").status_code == 400


def test_omero_web_offers_the_app_in_its_menus(place, alice):
    options = alice.get("/webgateway/open_with/").json()["open_with_options"]
    [ours] = [one for one in options if one["id"] == "slidegate"]
    assert ours["url"] == f"{PREFIX}/slidegate/launch/"
    assert alice.get(ours["script_url"].removeprefix(PREFIX)).status_code == 200
    page = alice.get("/webclient/").text
    assert "sg-omero-image" in page
    assert '<a href="#slidegate_tab">Cluster</a>' in page
    assert '<a href="#preview_tab">Preview</a>' in page  # what was there stays


# --- who asks


def test_nobody_asks_without_a_login_and_the_public_user_is_shut_out_in_words(place):
    with Visit(place.web.url) as stranger:
        assert stranger.get("/webclient/").status_code == 200  # as the public user
        page = stranger.get("/slidegate/")
        assert (page.status_code, "a login that everybody shares" in page.text) == (403, True)
        problem(stranger.get("/slidegate/api/v1/runs"), 403, "omero-guest")
        problem(stranger.get("/slidegate/selection/?image=1"), 403, "omero-guest")
    with Visit(place.web.url) as stranger:
        assert stranger.get("/slidegate/").status_code == 302
        problem(stranger.get("/slidegate/api/v1/runs"), 401, "not-signed-in")
        problem(stranger.get("/slidegate/selection/?image=1"), 401, "not-signed-in")
    with place.visit("visitor") as visitor:  # with the password of the public user
        problem(visitor.api("session"), 403, "omero-guest")


def test_who_is_logged_in_is_signed_in_at_slidegate_and_the_browser_gets_no_secret_of_it(alice):
    for _ in range(3):  # in whichever process
        said = alice.api("session")
        assert said.status_code == 200, said.text
        assert (said.json()["person"], said.json()["omero"], said.json()["csrf"]) == ("alice", "alice", None)
        assert "set-cookie" not in said.headers
    assert COOKIE not in alice.cookies


def test_a_login_that_has_ended_is_said_to_have_ended(place):
    with place.visit("carol") as carol:
        assert carol.api("session").status_code == 200
        place.omero.expire_sessions("carol")
        problem(carol.api("session"), 401, "not-signed-in")
        to_login = carol.get("/slidegate/run/abc123/")
        back = parse_qs(urlsplit(to_login.headers["Location"]).query)
        assert (to_login.status_code, back["url"]) == (302, [f"{PREFIX}/slidegate/run/abc123/"])


def test_root_is_refused_in_the_words_of_slidegate(place):
    with place.visit("root") as root:
        assert "log in there as yourself" in problem(root.api("session"), 403, "omero-person-refused")


def test_a_number_of_another_omero_is_nobody_here(place):
    with Visit(place.web.url) as visit:
        visit.log_in("bob", "secret-b", server=2)
        assert "you are logged in at localhost" in problem(visit.api("session"), 403, "other-omero")
        assert visit.get("/slidegate/").status_code == 403


def test_another_login_in_the_same_browser_is_another_person_at_slidegate(place):
    with place.visit("alice") as visit:
        assert visit.api("session").json()["person"] == "alice"
        # what OMERO.web takes in any address: the same browser session is bob's from now on
        visit.get("/webclient/?server=1&username=bob&password=secret-b")
        assert visit.api("session").json()["person"] == "bob"


def test_a_session_that_slidegate_has_ended_is_begun_anew_without_a_word(place, bob):
    assert bob.api("runs").status_code == 200
    public = (place.folder / "omero-web.pub").read_text()
    with place.store() as store:
        store.omero_webs.remove("omero-web")  # which ends the sessions of whom it vouched for
    assert "does not believe this OMERO.web" in problem(bob.api("runs"), 502, "slidegate-refused-this-web")
    checked = place.admin("check")
    assert checked.returncode == 1
    assert f"slidegate omero web add omero-web FILE:\n{public}" in checked.stdout
    with place.store() as store:
        store.omero_webs.add("omero-web", public, time.time())
    assert bob.api("runs").status_code == 200


def test_a_key_that_others_can_read_is_not_used(place):
    key = place.folder / "slidegate.key"
    with place.visit("carol") as carol:
        key.chmod(0o644)
        try:
            assert "chmod 600" in problem(carol.api("session"), 500, "key-unusable")
        finally:
            key.chmod(0o600)
        assert carol.api("session").json()["person"] == "carol"


# --- what may be asked


def test_what_is_not_on_the_list_is_not_found_however_it_is_written(alice):
    for path in (
        "v1/tokens", "v1/people", "v1/runs/%2e%2e/tokens", "v1/runs/../tokens", "v1/%2e%2e/metrics",
        "v1/runs/a/tasks/1/files/%2e%2e/%2e%2e/x", "v1/images/tasks?image=omero:1&bsession=x",
    ):  # fmt: skip
        problem(alice.get(f"/slidegate/api/{path}"), 404, "not-found")
    assert alice.get("/slidegate/api/metrics").status_code == 404
    problem(alice.put("/slidegate/api/v1/runs"), 405, "wrong-method")


def test_what_changes_something_needs_the_token_of_omero_webs_own_pages(alice):
    forged = alice.tell("estimates", {}, **{"X-CSRFToken": "forged"})
    assert (forged.status_code, "CSRF" in forged.text) == (403, True)
    assert alice.tell("estimates", {}).json()["code"] == "invalid"  # heard by slidegate


def test_a_request_that_is_too_long_goes_nowhere(alice):
    long = alice.post("/slidegate/api/v1/estimates", content=b" " * (1 << 20) + b"{}")
    problem(long, 413, "body-too-long")


# --- the whole way


@pytest.fixture(scope="module")
def images(place):
    return [f"omero:{place.image(name)}" for name in ("cell0.tif", "private.tif")]


@pytest.fixture(scope="module")
def run(place, alice, images):
    """A run of alice that has ended, on images of two groups."""
    [workflow] = until(lambda: alice.api("workflows").json()["items"], "the workflow")
    body = {"workflow": workflow["name"], "site": workflow["site"], "images": images, "parameters": {}}
    facts = alice.granted(alice.tell("images/describe", {"images": images}))
    assert [one["image"] for one in facts["images"]] == images
    key = {"Idempotency-Key": "one click"}
    launched = alice.granted(alice.tell("launches", body, **key))["run"]
    assert alice.granted(alice.tell("launches", body, **key))["run"] == launched
    said = until(lambda: _ended(alice, launched), "the end of the run", 90)
    assert said["counts"] == {"succeeded": 2}, alice.api(f"runs/{launched}/tasks").text + place.logs
    return launched


def _ended(visit: Visit, run: str) -> dict | None:
    said = visit.api(f"runs/{run}").json()
    return said if said["state"] not in ("waiting", "active") else None


def test_a_run_is_launched_watched_and_its_results_lie_beside_the_images_as_the_persons_own(
    place, alice, images, run
):
    tasks = alice.api(f"runs/{run}/tasks").json()["items"]
    assert all(task["published"] for task in tasks), tasks
    seen = alice.api("images/tasks", image=images).json()["items"]
    assert {(one["run"], one["state"]) for one in seen} == {(run, "succeeded")}
    state = place.omero.house.state
    [person] = [row.id for row in state.all("Experimenter") if row["omeName"] == "alice"]
    owners = {link["parent"].id: link["details.owner"].id for link in state.all("ImageAnnotationLink")}
    assert {owners[int(image.partition(":")[2])] for image in images} == {person}


def test_what_has_not_changed_is_not_sent_again(alice, run):
    def again():
        tag = alice.api(f"runs/{run}").headers["ETag"]
        return alice.get(f"/slidegate/api/v1/runs/{run}", headers={"If-None-Match": tag})

    assert until(lambda: again().status_code == 304, "an answer that nothing has changed")


def test_results_are_downloaded_through_the_app_and_can_run_nothing_there(alice, run):
    with alice.stream("GET", f"/slidegate/api/v1/runs/{run}/archive") as download:
        assert download.status_code == 200
        assert download.headers["Content-Disposition"].startswith("attachment")
        assert "sandbox" in download.headers["Content-Security-Policy"]
        content = b"".join(download.iter_bytes())
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_a_run_of_somebody_else_is_not_there(alice, bob, run):
    assert run in [one["run"] for one in alice.api("runs").json()["items"]]
    problem(bob.api(f"runs/{run}"), 404, "unknown-run")
    assert bob.api("runs").json()["items"] == []


# --- in a browser


@pytest.fixture
def page(chromium, place):
    """A window in which alice has logged in; no script may stop in it, and no request be refused."""
    context = chromium.new_context(viewport={"width": 1500, "height": 900}, base_url=place.web.url)
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    wrong = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("response", lambda said: said.status >= 400 and wrong.append(f"{said.status} {said.url}"))
    window = context.new_page()
    window.goto(f"{PREFIX}/webclient/login/")
    window.fill("input[name=username]", "alice")
    window.fill("input[name=password]", "secret-a")
    window.click("input[type=submit]")
    window.wait_for_url(re.compile("/webclient/(\\?.*)?$"))
    yield window
    context.close()
    assert wrong == []


def node(page: Page, name: str) -> Locator:
    """Return what has this name in the tree."""
    return page.locator("#dataTree .jstree-anchor", has_text=name)


@pytest.mark.browser
def test_images_chosen_in_the_tree_are_opened_with_the_launch_page(page, place):
    first, second = place.image("cell1.tif"), place.image("cell2.tif")
    page.goto(f"{PREFIX}/webclient/?show=image-{first}|image-{second}")
    expect(page.locator("#dataTree .jstree-clicked")).to_have_count(2)
    page.wait_for_function("() => WEBCLIENT.OPEN_WITH.some(one => one.id === 'slidegate' && one.getUrl)")
    node(page, "cell2.tif").click(button="right")
    page.locator(".vakata-context a", has_text="Open With").hover()
    with page.expect_popup() as opened:
        page.locator(".vakata-context a", has_text="Run on cluster").click()
    launch = opened.value
    launch.wait_for_url(re.compile(f"{PREFIX}/slidegate/launch/\\?image={first}-{second}$"))
    expect(launch.locator("sg-omero-launch")).to_contain_text("cell1.tif")
    expect(launch.locator("sg-omero-launch")).to_contain_text("cell2.tif")


@pytest.mark.browser
def test_the_tab_of_an_image_shows_its_runs_and_asks_nothing_when_nobody_looks(page, place, run):
    page.goto(f"{PREFIX}/webclient/?show=image-{place.image('cell0.tif')}")
    page.locator("#annotation_tabs_list a", has_text="Cluster").click()
    tab = page.locator("#slidegate_tab")
    expect(tab.locator("sg-omero-image")).to_contain_text(re.compile("count", re.IGNORECASE))
    page.locator("#annotation_tabs_list a", has_text="General").click()
    expect(tab.locator("sg-omero-image")).to_have_count(0)
    page.locator("#annotation_tabs_list a", has_text="Cluster").click()
    expect(tab.locator("sg-omero-image")).to_have_count(1)
    node(page, "Cells").first.click()  # a dataset: the way to launch
    expect(tab.locator("a", has_text="Run on cluster")).to_have_attribute(
        "href", f"{PREFIX}/slidegate/launch/?dataset={place.container('Dataset', 'Cells')}"
    )


@pytest.mark.browser
def test_the_header_leads_to_the_runs(page, run):
    page.locator(".menu_link a", has_text="Runs").click()
    page.wait_for_url(re.compile(f"{PREFIX}/slidegate/(#.*)?$"))
    expect(page.locator("sg-omero-runs")).to_contain_text(re.compile("2 images", re.IGNORECASE))


# --- for administrators


def test_a_check_finds_nothing_to_do_and_says_what_is_missing(place):
    done = place.admin("check", "--json")
    lines = {line["what"]: line for line in json.loads(done.stdout)["lines"]}
    lines.pop("pages")  # whether they are built is not of this place
    assert {line["state"] for line in lines.values()} == {"good"}, lines
    assert list(lines) == ["OMERO.web", "menus", "OMERO", "key", "slidegate", "versions", "trust"]


def test_the_key_of_omeros_session_reaches_nobody(place, run):
    """Neither what slidegate writes nor what it keeps holds a key of a session in OMERO.web."""
    keys = [
        session.uuid for session in place.omero.house.sessions.all() if session.person["omeName"] == "alice"
    ]
    assert keys
    kept = [file for file in place.home.rglob("*") if file.is_file()]
    for file in [*kept, place.folder / "api.log", place.folder / "worker.log"]:
        content = file.read_bytes()
        assert not [key for key in keys if key.encode() in content], file
