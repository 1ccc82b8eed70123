# SPDX-License-Identifier: GPL-2.0-or-later
"""RawFileStore: files of the folder are read, files of clients go both ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pytest
from omero.rtypes import rstring
from pocket_omero.server import Client, Server

pytestmark = [pytest.mark.omero, pytest.mark.slow]


@contextmanager
def store(client: Client, file: int) -> Iterator[Any]:
    proxy = client.sf.createRawFileStore()
    try:
        proxy.setFileId(file)
        yield proxy
    finally:
        proxy.close()


def new_file(client: Client) -> int:
    file = omero.model.OriginalFileI()
    file.name, file.path, file.mimetype = rstring("notes.txt"), rstring("/here/"), rstring("text/plain")
    return int(client.sf.getUpdateService().saveAndReturnObject(file).id.val)


def test_what_is_written_is_read_with_its_size_and_digest(alice: Client, server: Server) -> None:
    data = np.random.default_rng(1).bytes(300_000)
    file = new_file(alice)
    with store(alice, file) as proxy:
        assert not proxy.exists()
        with pytest.raises(omero.ResourceError, match="not there"):
            proxy.read(0, 10)
        for start in range(0, len(data), 100_000):
            part = data[start : start + 100_000]
            proxy.write(part, start, len(part))
        saved = proxy.save()
        assert (saved.size.val, saved.hash.val) == (len(data), hashlib.sha1(data).hexdigest())
        assert proxy.read(250_000, 100_000) == data[250_000:]
        assert proxy.read(400_000, 10) == b""
        assert proxy.truncate(1000)
        assert not proxy.truncate(1000)
        assert proxy.size() == 1000
    path = server.house.files.path(server.house.state.get("OriginalFile", file))
    assert path.stat().st_mode & 0o777 == 0o600
    assert server.house.state.get("OriginalFile", file)["size"] == 1000  # closing notes it, too


def test_omeros_own_upload_and_download_work(alice: Client, tmp_path: Path) -> None:
    source, target = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(np.random.default_rng(2).bytes(3_000_001))
    uploaded = alice.upload(str(source))
    assert uploaded.hash.val == hashlib.sha1(source.read_bytes()).hexdigest()
    alice.download(uploaded, str(target))
    assert target.read_bytes() == source.read_bytes()


def test_files_of_the_folder_are_read_and_never_written(alice: Client, server: Server) -> None:
    (row,) = server.house.state.where("OriginalFile", "name", "five.ome.tif")
    path = server.folder / "shapes" / "five.ome.tif"
    with store(alice, row.id) as proxy:
        assert proxy.size() == path.stat().st_size == row["size"]
        assert row["hash"] == hashlib.sha1(path.read_bytes()).hexdigest()
        assert proxy.read(0, 1 << 20) == path.read_bytes()
        for call in (lambda: proxy.write(b"x", 0, 1), lambda: proxy.truncate(0)):
            with pytest.raises(omero.SecurityViolation, match="only read"):
                call()
        assert proxy.save() is None
    assert path.stat().st_size == row["size"]


def test_a_colleague_may_read_a_file_but_not_write_it(alice: Client, bob: Client) -> None:
    file = new_file(alice)
    with store(alice, file) as proxy:
        proxy.write(b"mine", 0, 4)
    with store(bob, file) as proxy:
        assert proxy.read(0, 4) == b"mine"
        with pytest.raises(omero.SecurityViolation):
            proxy.write(b"his!", 0, 4)


@pytest.mark.parametrize(("position", "length"), [(-1, 4), (0, 5), (0, -1)])
def test_bytes_that_are_not_there_cannot_be_written(alice: Client, position: int, length: int) -> None:
    with (
        store(alice, new_file(alice)) as proxy,
        pytest.raises(omero.ApiUsageException, match="cannot be written"),
    ):
        proxy.write(b"four", position, length)


@pytest.mark.parametrize(
    ("policy", "permitted"), [("+read,+write,+image", "alice bob"), ("-read,+write", "alice"), ("-write", "")]
)
def test_the_policy_keeps_files_from_people_and_clients_are_told(
    server: Server, alice: Client, bob: Client, policy: str, permitted: str
) -> None:
    [row] = [row for row in server.house.state.all("OriginalFile") if row["name"] == "uint8.tif"]
    before = server.house.config["omero.policy.binary_access"]
    server.house.config["omero.policy.binary_access"] = policy
    try:
        for name, client in (("alice", alice), ("bob", bob)):
            seen = client.sf.getQueryService().get("OriginalFile", row.id)
            told = seen.details.permissions.isRestricted(omero.constants.permissions.BINARYACCESS)
            with store(client, row.id) as proxy:
                if name in permitted.split():
                    assert (len(proxy.read(0, 8)), told) == (8, False)
                    continue
                with pytest.raises(omero.SecurityViolation):
                    proxy.read(0, 8)
                assert told
    finally:
        server.house.config["omero.policy.binary_access"] = before
