# SPDX-License-Identifier: BSD-3-Clause
"""From images in OMERO.web over a real Slurm to results on the images, and away again, as a person goes it.

An unmodified OMERO.web at a pocket OMERO, slidegate's api and worker, ssh, a gate in somebody's account at a
cluster, and Chromium. Pictures are kept in build/pictures-omero. With SLIDEGATE_WHOLE_WAY=nuclei the workflow
is the one that finds nuclei, which takes minutes; scripts/make-pictures does that for the pages in docs.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Response, expect
from slidegate_analysis.nuclei.synth import write_slide

from tests.acceptance.omero_web.place import PASSWORDS, ROOT, Place, open_place, until
from tests.cluster import Cluster

pytestmark = [pytest.mark.omero, pytest.mark.browser, pytest.mark.slurm, pytest.mark.ssh, pytest.mark.slow]
NUCLEI = os.environ.get("SLIDEGATE_WHOLE_WAY") == "nuclei"
WORKFLOW, TITLE = ("nuclei", "Find nuclei") if NUCLEI else ("count_bytes", "Count bytes")
SIDE = 1536 if NUCLEI else 384
SECONDS = 300 if NUCLEI else 120
PICTURES = ROOT / "build" / "pictures-omero"
MOST_CLICKS = 5
GATE = "/home/anna/.slidegate-gate"
PEOPLE = """\
groups: {lab: read-annotate, pathology: read-annotate}
people:
  alice: {name: Alice Liddell, password: secret-a, groups: [lab, pathology]}
  root: {password: secret-r}
  slidegate: {password: secret-s, groups: [lab], administrator: true, privileges: [Sudo]}
projects:
  Nuclei: {owner: alice, group: lab, datasets: {Slides: ["slides/*"]}}
datasets:
  Biopsies: {owner: alice, group: pathology, images: ["biopsies/*"]}
"""


def fill(folder: Path) -> None:
    """Put slides of two groups into a folder."""
    (folder / "people.yml").write_text(PEOPLE)
    for seed, name in enumerate(
        ("slides/slide 1.ome.tif", "slides/slide 2.ome.tif", "biopsies/biopsy.ome.tif"), 1
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        write_slide(folder / name, height=SIDE, width=SIDE * 4 // 3, density=1500.0, seed=seed)
    for truth in [*folder.rglob("*.truth"), *folder.rglob("*.truth.*")]:
        shutil.rmtree(truth) if truth.is_dir() else truth.unlink()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this file's own: a gate is installed in it."""
    folder = Path(tempfile.mkdtemp(prefix="sgc-"))
    with Cluster.start(folder) as started:
        yield started
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A facility that computes at the cluster."""
    environment = {"SLIDEGATE_WORKFLOWS_DIR": ""} if NUCLEI else {}
    with open_place(tmp_path_factory.mktemp("place"), fill=fill, environment=environment) as started:
        connect(started, cluster)
        with started.visit("alice") as alice:
            until(lambda: "cluster" in sites(alice.api("workflows").json()["items"]), "the cluster", SECONDS)
        yield started


def sites(offers: list[dict[str, str]]) -> set[str]:
    return {offer["site"] for offer in offers if offer["name"] == WORKFLOW}


def connect(place: Place, cluster: Cluster) -> None:
    """Have anna install the gate, and let slidegate's key in, as the pages for administrators say."""

    def here(*words: object) -> None:
        done = place.call(*words)
        assert done.returncode == 0, done.stderr

    def anna(*words: str, program: str = f"{GATE}/current") -> None:
        cluster.run("login", ["python3", "-IS", program, "ctl", *words], user="anna", timeout=600)

    kit, home = place.folder / "kit", cluster.home("anna")
    here("site", "kit", kit, "--workflow", WORKFLOW)
    here("key", "create", "demo")
    shutil.copytree(kit, home / "kit")
    shutil.copy(place.home / "keys" / "demo" / "id.pub", home / "demo.pub")
    owner = home.stat()
    for path in [home / "demo.pub", home / "kit", *(home / "kit").rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    anna("install", "--site", "cluster", "--scheduler", "slurm", program="kit/slidegate_gate")
    anna("workflow", "install", f"kit/workflows/{WORKFLOW}")
    anna("key", "add", "demo", "--workflow", WORKFLOW)
    anna("authorize", "demo.pub", "--key", "demo", "--from", "10.99.1.2")
    way = ["--ssh", "login", "--user", "anna", "--key", "demo", "--host-key", cluster.host_key]
    here("site", "add", "cluster", *way, "--ssh-config", cluster.ssh_config)


class Person:
    """Somebody at a browser who counts clicks, and photographs what they see."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir(parents=True)

    def click(self, what: Locator, button: str = "left") -> None:
        what.click(button=button)
        self.clicks += 1

    def take(self, name: str, page: Page | None = None) -> None:
        """Keep a picture of the window, for people to look at."""
        page = page or self.page
        page.screenshot(path=PICTURES / f"{name}.jpg", type="jpeg", quality=80, animations="disabled")


@pytest.fixture(scope="module")
def person(chromium: Browser, place: Place) -> Iterator[Person]:
    """Alice, logged in at OMERO.web; no script may stop, and no request be refused."""
    context = chromium.new_context(viewport={"width": 1400, "height": 860}, base_url=place.web.url)
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("response", lambda said: refused(said) and wrong.append(f"{said.status} {said.url}"))
    page = context.new_page()
    page.goto("/webclient/login/")
    page.fill("input[name=username]", "alice")
    page.fill("input[name=password]", PASSWORDS["alice"])
    page.click("input[type=submit]")
    page.wait_for_url(re.compile("/webclient/(\\?.*)?$"))
    yield Person(page)
    context.close()
    assert wrong == []


def refused(answer: Response) -> bool:
    """Say whether a request was refused, and not only put off on a busy computer.

    A workflow that makes no table has none to be asked for.
    """
    if answer.status < 400 or answer.status in (429, 502, 503, 504):
        return False
    return NUCLEI or re.search("/tasks/[0-9]+/table$", answer.url) is None


def node(page: Page, name: str) -> Locator:
    """Return what has this name in OMERO.web's tree."""
    return page.locator("#dataTree .jstree-anchor", has_text=name)


def pairs(place: Place, image: str) -> dict[str, str]:
    """Return the key-value pairs on an image, as OMERO.web tells them."""
    with place.visit("alice") as alice:
        said = alice.get("/webclient/api/annotations/", params={"image": place.image(image)}).json()
    return {key: value for one in said["annotations"] for key, value in one.get("values") or []}


@pytest.fixture(scope="module")
def launched(person: Person, place: Place) -> tuple[Page, str]:
    """A run on a dataset of one group and an image of another, launched in few clicks; its page, its name."""
    page, dataset = person.page, place.container("Dataset", "Slides")
    page.goto(f"/webclient/?show=dataset-{dataset}")
    expect(page.locator("#dataTree .jstree-clicked")).to_contain_text("Slides")
    expect(page.locator("#dataIcons li.row")).to_have_count(2)
    person.click(node(page, "Slides"), button="right")
    page.locator(".vakata-context a", has_text="Open With").hover()
    entry = page.locator(".vakata-context a", has_text="Run on cluster")
    expect(entry).to_be_visible()
    person.take("tree")
    with page.expect_popup() as opened:
        person.click(entry)
    launch = opened.value
    launch.wait_for_url(re.compile(f"/slidegate/launch/\\?dataset={dataset}$"))
    expect(launch.locator("sg-omero-launch")).to_contain_text("slide 2.ome.tif")

    # OMERO.web's tree shows one group at a time; its search, and a bookmark, lead here with images of several
    launch.goto(f"{launch.url}&image={place.image('biopsy.ome.tif')}")
    element = launch.locator("sg-omero-launch")
    expect(element).to_contain_text("3 images")
    expect(element).to_contain_text("pathology")
    expect(launch.get_by_role("radio", name=TITLE)).to_be_checked()
    preview(launch)
    launch.get_by_label("Where it runs").select_option("cluster")
    person.clicks += 2
    button = launch.get_by_role("button", name="Launch", exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    launch.locator("#slidegate").evaluate("page => page.scrollTo(0, 0)")
    person.take("launch", launch)
    person.click(button)
    launch.wait_for_url(re.compile("/slidegate/#/runs/[0-9a-f]+$"))
    return launch, launch.url.rsplit("/", 1)[1]


def preview(launch: Page) -> None:
    """Try the settings on a region before anything is launched."""
    launch.get_by_role("button", name="Preview this region").click()
    expect(launch.locator("sg-preview")).to_contain_text(re.compile("nuclei|computed from the region", re.I))


def test_from_the_tree_to_a_run_are_at_most_five_clicks(person: Person, launched: tuple[Page, str]) -> None:
    assert person.clicks <= MOST_CLICKS


def test_the_run_is_watched_beside_the_image_and_on_its_own_page(
    person: Person, place: Place, launched: tuple[Page, str]
) -> None:
    watched, _ = launched
    page = person.page
    page.goto(f"/webclient/?show=image-{place.image('slide 1.ome.tif')}")
    expect(page.locator("#dataTree .jstree-clicked")).to_contain_text("slide 1")
    page.locator("#annotation_tabs_list a", has_text="Cluster").click()
    tab = page.locator("#slidegate_tab sg-omero-image")
    expect(tab).to_contain_text(TITLE)
    person.take("panel-live")
    expect(watched.get_by_text("All 3 images are finished.", exact=True)).to_be_visible()
    person.take("run", watched)
    expect(tab.get_by_role("link", name="Results")).to_be_visible()
    person.take("panel")


def test_the_results_are_on_the_images_and_open_from_there(
    person: Person, place: Place, launched: tuple[Page, str]
) -> None:
    _, run = launched
    page = person.page
    for image in ("slide 1.ome.tif", "slide 2.ome.tif", "biopsy.ome.tif"):
        assert run in pairs(place, image).values()
    page.goto(f"/webclient/?show=image-{place.image('slide 1.ome.tif')}")
    expect(page.locator("#metadata_general")).to_contain_text("slide 1")
    page.locator("#metadata_general").get_by_text("Key-Value Pairs").first.click()
    expect(page.locator("#metadata_general")).to_contain_text(run)
    person.take("annotations")
    page.locator("#annotation_tabs_list a", has_text="Cluster").click()
    with page.expect_popup() as opened:
        page.locator("#slidegate_tab").get_by_role("link", name="Results").click()
    results = opened.value
    results.wait_for_url(re.compile(f"/slidegate/#/runs/{run}/results/"))
    expect(results.locator("sg-omero-runs")).to_contain_text("slide 1.ome.tif")
    if NUCLEI:
        expect(results.locator("sg-omero-runs")).to_contain_text(re.compile("[0-9]+ nuclei"))
        results.wait_for_load_state("networkidle")
    person.take("results", results)


def test_undo_takes_away_what_the_run_wrote(person: Person, place: Place, launched: tuple[Page, str]) -> None:
    watched, run = launched
    watched.get_by_role("button", name="Undo or delete").click()
    watched.get_by_text("Undo: take the results out of OMERO too").click()
    person.take("undo", watched)
    watched.get_by_role("button", name="Delete run and results").click()
    for image in ("slide 1.ome.tif", "slide 2.ome.tif", "biopsy.ome.tif"):
        until(lambda image=image: run not in pairs(place, image).values(), f"the undo of {image}", SECONDS)
