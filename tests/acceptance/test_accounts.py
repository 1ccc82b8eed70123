# SPDX-License-Identifier: BSD-3-Clause
"""A worker, a site and a stranger, under three accounts that cannot look into each other's folders.

Everything that the site's account does here happens without network and with the checkout out of its sight.
As on a cluster, it has what was unpacked for it, the bundle of a workflow, and the system's Python.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.root]

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
WORKER, SITE, STRANGER = 61001, 61002, 61003
ALONE = 'mount -t tmpfs -o mode=000 none "$1" && shift && exec "$@"'
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}


def as_account(account: int, argv: Sequence[str]) -> list[str]:
    """Return the argument list that runs `argv` under another account."""
    switch = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups", "--no-new-privs"]
    return [*switch, *argv]


def as_site(argv: Sequence[str]) -> list[str]:
    """Return the argument list that runs `argv` under the site's account, without network and checkout."""
    apart = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", ALONE, "sh", str(ROOT)]
    return [*apart, *as_account(SITE, argv)]


def run(argv: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program from / with a plain environment and return what it said."""
    environment = {**ENVIRONMENT, **options.pop("env", {})}
    pipes = {"capture_output": True, "text": True, "timeout": 600}
    return subprocess.run(argv, cwd="/", env=environment, **pipes, **options)


class Door:
    """Stands for sshd: whoever connects talks to a gate that runs under the site's account."""

    def __init__(self, path: Path, argv: Sequence[str]) -> None:
        self.argv = argv
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chown(path, WORKER, WORKER)
        path.chmod(0o600)
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while True:
            try:
                visitor, _ = self.listener.accept()
            except OSError:
                return
            with visitor:
                gate = subprocess.Popen(self.argv, stdin=visitor, stdout=visitor, cwd="/", env=ENVIRONMENT)
            gate.wait()  # one visitor after the other

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(60)


class Place:
    """The folders of the three, below one that all of them can enter."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.site = self.own("site", SITE)
        self.worker = self.own("worker", WORKER)
        self.home = self.site / "gate"
        self.door = base / "door"
        server = base / "server"  # what the worker and the site were given to unpack
        shutil.copytree(ROOT / "src/slidegate/domain", server / "slidegate/domain")
        shutil.copytree(ROOT / "src/slidegate/sites", server / "slidegate/sites")
        shutil.copytree(ROOT / "gate/slidegate_gate", server / "slidegate_gate")
        shutil.copytree(ROOT / "tests/acceptance/accounts", server / "accounts")
        subprocess.run(["chmod", "-R", "a+rX", str(server)], check=True)
        self.server = server

    def own(self, name: str, account: int) -> Path:
        path = self.base / name
        path.mkdir(0o700)
        os.chown(path, account, account)
        return path

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(as_site([PYTHON, "-IS", f"{self.home}/current", "ctl", *words]))

    def work(self, workflow: str, image: Path, parameters: dict[str, object]) -> tuple[dict, Path]:
        """Run one Attempt from the worker's account; return its view and where its results lie."""
        out = self.worker / f"out-{workflow}"
        argv = [PYTHON, f"{self.server}/accounts/worker.py", str(self.door), workflow, str(image), str(out)]
        done = run(
            as_account(WORKER, [*argv, json.dumps(parameters)]),
            env={"PYTHONPATH": str(self.server), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), out


@pytest.fixture(scope="module")
def bundle() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        version = run([PYTHON, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]).stdout.strip()
        out = Path(folder, "nuclei")
        argv = [
            sys.executable,
            str(ROOT / "scripts/bundle-workflow"),
            "nuclei",
            str(out),
            "--python-version",
            version,
        ]
        subprocess.run(argv, check=True)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield out


@pytest.fixture(scope="module")
def place(bundle: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="accounts-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        made = Place(base)
        install = ["ctl", "install", "--home", str(made.home), "--site", "apart", "--cores", "2"]
        done = run(as_site([PYTHON, "-m", "slidegate_gate", *install]), env={"PYTHONPATH": str(made.server)})
        assert done.returncode == 0, done.stderr
        example = base / "count_bytes"
        shutil.copytree(ROOT / "tests/data/workflows/count_bytes", example)
        for workflow in (example, bundle):
            done = made.ctl("workflow", "install", str(workflow))
            assert done.returncode == 0, done.stderr
        assert made.ctl("key", "add", "lab", "--workflow", "*").returncode == 0
        serve = [PYTHON, "-IS", f"{made.home}/current", "serve", "--home", str(made.home), "--key", "lab"]
        door = Door(made.door, as_site(serve))
        yield made
        door.close()


@pytest.fixture(scope="module")
def counted(place: Place) -> tuple[dict, Path]:
    """One Attempt of the example workflow: what became of it, and its results."""
    image = place.own("worker/files", WORKER)
    for name, data in (("a.bin", bytes([0, 1, 0])), ("folder/b.bin", bytes([0, 7]))):
        path = image / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    subprocess.run(["chown", "-R", f"{WORKER}:{WORKER}", str(image)], check=True)
    return place.work("count_bytes", image, {"byte": 0})


def test_the_sites_account_sees_neither_the_checkout_nor_a_network() -> None:
    assert (ROOT / "pyproject.toml").is_file()
    for argv in (["ls", str(ROOT)], ["cat", str(ROOT / "pyproject.toml")]):
        assert run(as_site(argv)).returncode != 0
    reach = "import socket; socket.create_connection(('127.0.0.1', {}), 2)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run(as_account(SITE, [PYTHON, "-c", reach.format(port)])).returncode == 0
        assert "unreachable" in run(as_site([PYTHON, "-c", reach.format(port)])).stderr


def test_the_gate_and_two_workflows_are_installed_and_the_selftest_passes(place: Place) -> None:
    done = place.ctl("selftest")
    assert done.returncode == 0, done.stdout
    assert "count_bytes 1.0.0 starts in its Runtime" in done.stdout
    assert "nuclei 0.1.0 starts in its Runtime" in done.stdout


def test_nothing_at_the_site_needs_the_checkout_or_the_bundle(place: Place, bundle: Path) -> None:
    needed = [str(ROOT).encode(), str(bundle).encode(), str(place.server).encode()]
    for path in [
        *place.home.glob("versions/*/**/*.py"),
        *place.home.rglob("*.json"),
        *place.home.rglob("*.cfg"),
    ]:
        text = path.read_bytes()
        assert not any(words in text for words in needed), path


def test_an_attempt_goes_from_the_worker_through_the_gate_to_a_job_and_back(
    counted: tuple[dict, Path],
) -> None:
    view, out = counted
    assert view["state"] == "succeeded", view
    assert json.loads((out / "summary.json").read_text()) == {"bytes": 5, "files": 2, "found": 3}


def test_jobs_run_under_the_sites_account(place: Place, counted: tuple[dict, Path]) -> None:
    found = list(place.site.rglob("*"))
    assert any(path.name == "result.json" for path in found)
    assert {path.lstat().st_uid for path in found} == {SITE}


@pytest.mark.parametrize("account", [WORKER, STRANGER])
def test_no_other_account_reads_state_data_or_results(
    place: Place, counted: tuple[dict, Path], account: int
) -> None:
    found = [path for path in place.site.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len([path for path in found if "keys" in path.parts]) > 10
    opened = (
        "import sys\nfor name in sys.stdin.read().split('\\0'):\n"
        "    try:\n        open(name); print(name)\n    except PermissionError:\n        pass\n"
    )
    listed = "\0".join(map(str, found))
    done = run(as_account(account, [PYTHON, "-c", opened]), input=listed)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert run(as_site([PYTHON, "-c", opened]), input=listed).stdout.split() == list(map(str, found))


def test_the_modes_alone_would_keep_strangers_out_even_of_a_readable_home(place: Place) -> None:
    roots = [place.home / "state", place.home / "data"]
    everything = [place.home / "config.json", *roots, *(path for root in roots for path in root.rglob("*"))]
    kept = [path for path in everything if not path.is_symlink()]  # the mode of a link means nothing
    assert [path for path in kept if path.lstat().st_mode & 0o077] == []


def test_the_site_cannot_look_into_the_workers_folder_nor_a_stranger_use_the_door(place: Place) -> None:
    assert run(as_account(SITE, ["ls", str(place.worker)])).returncode != 0
    client = [PYTHON, "-IS", f"{place.server}/accounts/door.py", str(place.door)]
    assert "PermissionError" in run(as_account(STRANGER, client), input="").stderr


def test_nuclei_are_found_on_a_small_image(place: Place) -> None:
    images = pytest.importorskip("slidegate_analysis.images")
    pixels = np.random.default_rng(5).integers(90, 110, (300, 400)).astype(np.uint16)
    for y, x in ((60, 60), (60, 200), (200, 120), (220, 330)):
        rows, columns = np.ogrid[:300, :400]
        pixels[(rows - y) ** 2 + (columns - x) ** 2 <= 8**2] += 900
    image = place.worker / "staged"
    images.write_image(
        image,
        (1, 300, 400),
        np.uint16,
        lambda c, y0, y1, x0, x1: pixels[y0:y1, x0:x1],
        channels=("DAPI",),
        pixel_size_um=0.5,
    )
    subprocess.run(["chown", "-R", f"{WORKER}:{WORKER}", str(image)], check=True)
    view, out = place.work("nuclei", image, {})
    assert view["state"] == "succeeded", view
    assert (out / "report.html").is_file()
    import pyarrow.parquet as parquet

    assert parquet.read_table(out / "nuclei.parquet").num_rows == 4
