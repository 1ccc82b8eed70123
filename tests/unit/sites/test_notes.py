# SPDX-License-Identifier: BSD-3-Clause
import os
from pathlib import Path

import pytest

from slidegate.sites.notes import write_note


def test_a_note_is_replaced_whole_and_read_by_this_account_alone(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    path.write_text("before")
    path.chmod(0o644)
    write_note(path, "after")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("after", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["site.json"]


def test_a_note_that_was_cut_off_leaves_the_one_before_and_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site.json"
    write_note(path, "before")

    def full(_handle: int) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(os, "fsync", full)
        write_note(path, "half")
    assert path.read_text() == "before"
    write_note(path, "after")
    assert path.read_text() == "after"


def test_file_and_folder_are_flushed_before_a_note_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: flushed.append(Path(f"/proc/self/fd/{handle}").readlink())
    )
    write_note(tmp_path / "site.json", "text")
    assert [path.name for path in flushed] == [".site.json.part", tmp_path.name]
