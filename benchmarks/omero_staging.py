# SPDX-License-Identifier: BSD-3-Clause
"""From OMERO to ready at the site: slidegate, against export, zip, sftp, unzip and conversion to TIFF.

usage: python benchmarks/omero_staging.py [--full]

A pocket OMERO serves a slide of 16 bits, packed as microscopes pack them, with a pyramid. The site is a
cluster behind a real sshd. In the same run the slide goes there
- by the peer's way, as an OMERO.script that uses clusters does it: ``omero zarr export`` (omero-cli-zarr), a
  zip of that, sftp, unzip, and a TIFF made of it at the site, which is what its tools read;
- by slidegate, as a worker does it: fingerprint, content digest, OME-Zarr, Tree, every content hashed at both
  ends. Once where OMERO gives people pixels only, and once where it also gives files, of which this one is
  fewer bytes.
Ready at the site means that a job could begin to read. All three must hold the same pixels. Counted are
copies on disks, and their bytes. What the peer's way does beside that (it uploads the zip to OMERO and
deletes it there) is left out.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from cluster_site import ACCOUNT, ClusterSite, cluster_site, figure
from slidegate_analysis.images import open_image
from slidegate_analysis.images.image import halve
from ssh_staging import remove_all
from zarr_writer import slide

from slidegate.domain.values import ImageRef
from slidegate.sites.transfer import put_tree
from slidegate.sites.trees import describe_folder, tree_digest, tree_text

AIM = 5
PEOPLE = """\
groups: {lab: private}
people:
  ada: {password: pixels, groups: [lab]}
  root: {password: secret}
"""
CONVERT = """
import sys
import tifffile, zarr
tifffile.imwrite(sys.argv[2], zarr.open_group(sys.argv[1], mode="r")["0"][:])
"""
# the command refuses uid 0
OTHER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


@dataclass
class Omero:
    """A pocket OMERO in a process of its own, with one image."""

    port: int
    authority: Path
    image: int = 1

    def connect(self, name: str = "ada", password: str = "pixels") -> object:
        """Log in."""
        from slidegate.sources.omero.connection import Connection, Server

        return Connection.login(Server("127.0.0.1", self.port, self.authority), name, password)

    def give_files(self, gives: bool) -> None:
        """Let people have files, or pixels only."""
        with self.connect("root", "secret") as root:
            policy = "+read,+write,+image" if gives else "-read,-write,+image"
            root.services("Config").setConfigValue("omero.policy.binary_access", policy)


@dataclass
class Way:
    """How one way went: seconds, the bytes that were read from OMERO, and those of each copy on a disk."""

    name: str
    seconds: float
    read: int
    copies: dict[str, int]
    pixels: str

    def __str__(self) -> str:
        made = ", ".join(f"{what} {size / 1e6:.0f} MB" for what, size in self.copies.items())
        total = sum(self.copies.values()) / 1e6
        told = f"{self.name}: {self.seconds:.1f} s; {self.read / 1e6:.0f} MB from OMERO; "
        return f"{told}{len(self.copies)} copies, {total:.0f} MB ({made})"


def make_slide(path: Path, height: int, width: int) -> str:
    """Write the slide and return the digest of its pixels."""
    pixels = slide(height, width, 1)[0]
    levels = [pixels]
    while max(levels[-1].shape) > 1024:
        levels.append(halve(levels[-1]))
    packed = {"tile": (512, 512), "compression": "zlib", "compressionargs": {"level": 1}, "predictor": True}
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as file:
        file.write(pixels, subifds=len(levels) - 1, metadata={"axes": "YX"}, **packed)
        for level in levels[1:]:
            file.write(level, subfiletype=1, **packed)
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def serve(folder: Path) -> None:
    """Be the server; its port and its authority are told on standard output."""
    from pocket_omero.server import Server

    with Server(folder) as server:
        print(server.port, server.authority, flush=True)
        sys.stdin.read()  # until the benchmark ends


@contextmanager
def served(folder: Path) -> Iterator[Omero]:
    """Serve a folder."""
    (folder / "people.yml").write_text(PEOPLE)
    argv = [sys.executable, "-W", "ignore", __file__, "--serve", str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            port, authority = (server.stdout.readline() if server.stdout else "").split()
            yield Omero(int(port), Path(authority))
        finally:
            server.communicate()  # it ends when its standard input does


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def by_peer(site: ClusterSite, omero: Omero, scratch: Path) -> Way:
    """Export, zip, send, unzip and convert."""
    scratch.mkdir(mode=0o777)
    home = {"HOME": str(scratch), "OMERODIR": str(scratch), "OMERO_USERDIR": str(scratch / "omero")}
    login = ["-s", "127.0.0.1", "-p", str(omero.port), "-u", "ada", "-w", "pixels"]
    export = ["zarr", *login, "--output", str(scratch / "out"), "export", f"Image:{omero.image}"]
    secure = ["-q", "-o", "IdentitiesOnly=yes", "-i", str(site.shell_key), "-F", str(site.ssh_config)]
    (scratch / "batch").write_text(f"put {scratch}/out.zip\n")
    python = [sys.executable, "-W", "ignore", "-c"]
    there = site.cluster.home(ACCOUNT)  # the site's disk, as seen from here: no Python with libraries there
    steps = {
        "export": lambda: subprocess.run(
            [*OTHER, str(Path(sys.executable).with_name("omero")), *export],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONWARNINGS": "ignore", **home},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        ),
        "zip": lambda: shutil.make_archive(str(scratch / "out"), "zip", scratch / "out"),
        "sftp": lambda: subprocess.run(
            ["sftp", *secure, "-b", str(scratch / "batch"), f"{ACCOUNT}@login"],
            stdout=subprocess.DEVNULL,
            check=True,
        ),
        "unzip": lambda: site.as_owner("unzip", "-q", "out.zip", "-d", "in"),
        "tiff": lambda: subprocess.run(
            [*python, CONVERT, str(there / "in" / f"{omero.image}.ome.zarr"), str(there / "image.tif")],
            check=True,
        ),
    }
    took = {}
    for name, step in steps.items():
        began = time.perf_counter()
        step()
        took[name] = time.perf_counter() - began
    print("the peer's way: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))
    copies = {
        "OME-Zarr": size_of(scratch / "out"),
        "zip": size_of(scratch / "out.zip"),
        "zip there": size_of(there / "out.zip"),
        "OME-Zarr there": size_of(there / "in"),
        "TIFF there": size_of(there / "image.tif"),
    }
    found = tifffile.imread(there / "image.tif")
    pixels = hashlib.sha256(found.tobytes()).hexdigest()
    return Way("export, zip, sftp, unzip, TIFF", sum(took.values()), found.nbytes, copies, pixels)


def by_slidegate(site: ClusterSite, omero: Omero, folder: Path, files: bool) -> Way:
    """Stage as a worker does."""
    from slidegate.sources.omero.source import OmeroSource

    remove_all(site)
    omero.give_files(files)
    ref = ImageRef("omero", str(omero.image))
    source = OmeroSource(omero.connect)
    gate = site.gate()
    original = 0

    def look(_done: int, _total: int) -> None:
        nonlocal original
        original = max([original, *(path.stat().st_size for path in folder.parent.glob("*/original"))])

    began = time.perf_counter()
    source.fingerprint(ref)
    source.content_digest(ref)
    source.stage(ref, folder, look)
    entries = describe_folder(folder)
    put_tree(gate, folder, entries)
    seconds = time.perf_counter() - began
    if gate.missing(tree_digest(entries), len(tree_text(entries)), entries):
        raise SystemExit("the Tree is not at the site")
    gate.close()
    source.close()
    staged = open_image(folder)
    _, height, width = staged.shape
    found = staged.read(0, 0, height, 0, width)
    pixels = hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()
    size = size_of(folder)
    copies = {"the file": original} if original else {}
    copies |= {"OME-Zarr": size, "OME-Zarr there": size}
    name = f"slidegate, by {'the file' if files else 'pixels'}"
    return Way(name, seconds, original or found.nbytes, copies, pixels)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="12000 x 14000 pixels instead of 3072 x 4096")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return 0
    height, width = (12_000, 14_000) if chosen.full else (3072, 4096)
    with cluster_site(members=1) as site, tempfile.TemporaryDirectory(prefix="omero-staging-") as name:
        here = Path(name)
        here.chmod(0o755)
        (here / "served").mkdir()
        wanted = make_slide(here / "served" / "slide.ome.tif", height, width)
        with served(here / "served") as omero:
            ways = [
                by_slidegate(site, omero, here / "pixels" / "staged", files=False),
                by_slidegate(site, omero, here / "file" / "staged", files=True),
                by_peer(site, omero, here / "peer"),
            ]
        print(f"{height} x {width} pixels of 16 bits, {height * width * 2 / 1e6:.0f} MB; the file:", end=" ")
        print(f"{size_of(here / 'served' / 'slide.ome.tif') / 1e6:.0f} MB")
        for way in ways:
            print(way)
        if {way.pixels for way in ways} != {wanted}:
            raise SystemExit("the pixels differ")
        pixels, file, peer = ways
        words = "OMERO to ready at the site against export, zip, sftp, unzip, TIFF"
        figure(f"{words}, by pixels", peer.seconds / pixels.seconds, AIM, at_most=False)
        figure(f"{words}, by the file", peer.seconds / file.seconds, AIM, at_most=False)
        bytes_of = [sum(way.copies.values()) for way in ways]
        figure("bytes on disks against the peer's way", max(bytes_of[:2]) / bytes_of[2], 0.7, at_most=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
