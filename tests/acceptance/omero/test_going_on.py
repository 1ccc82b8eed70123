# SPDX-License-Identifier: BSD-3-Clause
"""Staging that ends early goes on where it ended: what came out of OMERO whole is never asked for again."""

import json
import os
import subprocess
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sites.trees import describe_folder, tree_digest
from slidegate.sources.contract import contents
from slidegate.sources.folder import FolderSource
from slidegate.store import Store
from tests.acceptance.conftest import SLIDEGATE

pytestmark = [pytest.mark.omero, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
SLIDE = (20_000, 27_000)
SMALLER = (5_000, 9_000)
TILE, SHARD = 1024, 4096
PEOPLE = """\
groups: {lab: read-annotate}
people:
  alice: {password: secret-a, groups: [lab]}
  bob: {password: secret-b, groups: [lab]}
  root: {password: secret-r}
"""


def write_slide(path, shape):
    """Write a plane of tiles that were packed before, of which few are alike in a row."""
    random = np.random.default_rng(1)
    packed = []
    for number in range(13):
        tile = np.full((512, 512), number, np.uint8)
        tile[::64, ::32] = random.integers(0, 255, (8, 16))
        packed.append(zlib.compress(tile.tobytes(), 1))
    count = -(-shape[0] // 512) * -(-shape[1] // 512)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(
            (packed[number % len(packed)] for number in range(count)),
            shape=shape,
            dtype=np.uint8,
            tile=(512, 512),
            compression="zlib",
            subifds=1,
            metadata={"axes": "YX"},
        )
        coarse = np.zeros((shape[0] // 32, shape[1] // 32), np.uint8)
        file.write(coarse, tile=(512, 512), compression="zlib", subfiletype=1)


def grid(shape, side):
    return -(-shape[0] // side) * -(-shape[1] // side)


@pytest.fixture(scope="module")
def pocket_omero(pocket_omero_at, tmp_path_factory):
    folder = tmp_path_factory.mktemp("going-on")
    (folder / "slides").mkdir()
    (folder / "people.yml").write_text(PEOPLE)
    write_slide(folder / "slides" / "slide.ome.tif", SLIDE)
    write_slide(folder / "slides" / "smaller.ome.tif", SMALLER)
    return pocket_omero_at(folder)


@pytest.fixture
def without_files(pocket_omero):
    """Let people have pixels, and no files."""
    config = pocket_omero.server.house.config
    before = config["omero.policy.binary_access"]
    config["omero.policy.binary_access"] = "-read,-write"
    yield
    pocket_omero.server.house.config["omero.policy.binary_access"] = before


@pytest.fixture
def numbers(pocket_omero):
    return {row["name"].partition(".")[0]: row.id for row in pocket_omero.server.house.state.all("Image")}


def tiles_asked(pocket_omero):
    return pocket_omero.server.house.calls.made["RawPixelsStore.getTile"]


def wait_for(what):
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)


class Command:
    """The command line of somebody who is logged in at OMERO."""

    def __init__(self, pocket_omero, home, config):
        self.home, self._omero = home, pocket_omero
        self.environment = {
            **os.environ,
            "SLIDEGATE_HOME": str(home),
            "XDG_CONFIG_HOME": str(config),
            "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
        }
        self.login()

    def login(self):
        where = ["--port", self._omero.port, "--ca", self._omero.server.authority]
        name, password = self._omero.person()
        login = ["omero", "login", self._omero.host, *where, "--person", name, "--fd", 0]
        subprocess.run(
            [str(SLIDEGATE), *map(str, login)], env=self.environment, input=password, text=True, check=True
        )

    def begin(self, image, out):
        words = ["run", "count_bytes", f"omero:image/{image}", "--out", str(out), "--json"]
        return subprocess.Popen(
            [str(SLIDEGATE), *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, image, out):
        said, troubles = self.begin(image, out).communicate(timeout=300)
        assert said, troubles
        return json.loads(said)


def shards_of(home):
    """The shards of the full resolution that a worker has kept."""
    return [path for path in home.glob("staging/*.*/parts/image/0/c/0/*/*") if path.name.isdigit()]


def tiles_in(shard):
    y, x = int(shard.parent.name) * SHARD, int(shard.name) * SHARD
    return grid((min(SHARD, SLIDE[0] - y), min(SHARD, SLIDE[1] - x)), TILE)


def stopped_in_the_middle(command, pocket_omero, faults, out, tiles):
    """Begin to stage the slide; return the process when so many tiles have come and no more do."""
    numbers = {row["name"]: row.id for row in pocket_omero.server.house.state.all("Image")}
    until = tiles_asked(pocket_omero) + tiles
    faults.set(tiles_until=tiles)
    process = command.begin(numbers["slide.ome.tif"], out)
    wait_for(lambda: tiles_asked(pocket_omero) > until or process.poll() is not None)
    return process


def test_a_slide_is_staged_in_several_tries_and_no_tile_of_a_whole_shard_is_asked_for_twice(
    pocket_omero, numbers, without_files, tmp_path, pocket_omero_faults
):
    command = Command(pocket_omero, tmp_path / "home", tmp_path / "config")
    out = tmp_path / "out"

    first = stopped_in_the_middle(command, pocket_omero, pocket_omero_faults, out, 200)
    wait_for(lambda: len(shards_of(command.home)) >= 10)  # of twelve, two may be on their way to the disk
    first.kill()
    assert first.wait() == -9
    first.communicate()
    pocket_omero_faults.clear()
    kept = sum(map(tiles_in, shards_of(command.home)))

    before = tiles_asked(pocket_omero)
    second = stopped_in_the_middle(command, pocket_omero, pocket_omero_faults, out, 150)
    pocket_omero.server.expire_sessions(pocket_omero.person()[0])
    pocket_omero_faults.clear()
    [image] = json.loads(second.communicate(timeout=300)[0])["images"]
    assert (image["state"], image["error"]["code"]) == ("failed", "omero-session-gone")
    more = sum(map(tiles_in, shards_of(command.home)))
    assert kept < more
    assert more - kept <= tiles_asked(pocket_omero) - before

    command.login()
    before = tiles_asked(pocket_omero)
    third = command.run(numbers["slide"], out)
    assert (third["state"], third["outcome"]) == ("succeeded", "retried")
    assert tiles_asked(pocket_omero) - before == grid(SLIDE, TILE) - more
    assert [path for path in (command.home / "staging").iterdir() if "." in path.name] == []

    path = pocket_omero.server.folder / "slides" / "slide.ome.tif"
    FolderSource().stage(ImageRef("folder", str(path)), tmp_path / "expected")
    store = Store.open(f"sqlite:///{command.home}/slidegate.db")
    [task] = store.runs.tasks(third["run"])
    assert task["input"] == tree_digest(describe_folder(tmp_path / "expected"))
    store.close()


@pytest.fixture
def source(pocket_omero):
    from slidegate.sources.omero.connection import Connection, Server
    from slidegate.sources.omero.source import OmeroSource

    server = Server(pocket_omero.host, pocket_omero.port, pocket_omero.server.authority)
    made = []

    def make(patience_s):
        made.append(
            OmeroSource(lambda: Connection.login(server, *pocket_omero.person()), patience_s=patience_s)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_what_omero_failed_for_too_long_is_gone_on_with_later(
    source, pocket_omero, numbers, without_files, tmp_path, pocket_omero_faults
):
    ref = ImageRef("omero", str(numbers["smaller"]))
    source(60).stage(ref, tmp_path / "at once")
    before = tiles_asked(pocket_omero)

    def fail(done, total):
        if done >= total // 2:
            pocket_omero_faults.set(tile_failures=-1)

    with pytest.raises(SlidegateError) as caught:
        source(0.2).stage(ref, tmp_path / "staged", fail, parts=tmp_path / "parts")
    assert caught.value.transient
    pocket_omero_faults.clear()
    assert not (tmp_path / "staged").exists()
    between = tiles_asked(pocket_omero)
    source(60).stage(ref, tmp_path / "staged", parts=tmp_path / "parts")
    assert tiles_asked(pocket_omero) - between < grid(SMALLER, TILE) // 2 < between - before
    assert contents(tmp_path / "staged") == contents(tmp_path / "at once")
    assert list((tmp_path / "parts").iterdir()) == []


def test_omero_may_be_restarted_in_the_middle(
    source, pocket_omero, numbers, without_files, tmp_path, pocket_omero_faults
):
    ref = ImageRef("omero", str(numbers["smaller"]))
    source(60).stage(ref, tmp_path / "at once")
    before = tiles_asked(pocket_omero)
    pocket_omero_faults.set(tiles_until=20)
    staging = threading.Thread(
        target=source(60).stage, args=(ref, tmp_path / "staged"), kwargs={"parts": tmp_path / "parts"}
    )
    staging.start()
    wait_for(lambda: tiles_asked(pocket_omero) > before + 20)
    pocket_omero_faults.clear()
    pocket_omero.server.restart()
    staging.join(100)
    assert contents(tmp_path / "staged") == contents(tmp_path / "at once")
    lost = 2 * 4  # what four connections had asked for, and asked for again
    assert tiles_asked(pocket_omero) <= grid(SMALLER, TILE) - 20 + lost  # a new server counts anew
