# SPDX-License-Identifier: BSD-3-Clause
"""OMERO's own config.xml, written by OMERO's own class and read by the real ``omero config``."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidegate.omero_config import Change, State, WebDefaults, Wish, apply, read_desired
from slidegate.omero_config.errors import BadConfig, ConfigBusy, NoWebDefaults

pytestmark = pytest.mark.omero
DATA = Wish("omero.data.dir", State.PRESENT, "/OMERO")
Config = Callable[..., str]


def nothing(key: str) -> list[Any]:
    return []


def held(path: Path) -> dict[str, str]:
    from omero.config import ConfigXml

    config = ConfigXml(str(path), read_only=True, exclusive=False)
    return config.as_map()


def beside(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def test_what_is_desired_is_what_omero_config_reads_back(config_xml: Path, omero_config: Config) -> None:
    text = 'omero.web.apps: [omero_figure]\nomero.data.dir: "/a b/<ü> & \\"x\\""\nomero.web.debug: false'
    apply(config_xml, read_desired(text, Path(), {}), nothing)
    assert omero_config("get", "omero.web.apps") == '["omero_figure"]'
    assert omero_config("get", "omero.data.dir") == '/a b/<ü> & "x"'
    assert omero_config("get", "omero.web.debug") == "false"


def test_what_omero_config_has_set_stays(config_xml: Path, omero_config: Config) -> None:
    omero_config("append", "omero.web.apps", '"mine"')
    omero_config("set", "omero.db.host", "db")
    wishes = read_desired("omero.web.apps: [omero_figure]\nomero.db.name: {state: absent}", Path(), {})
    apply(config_xml, wishes, nothing)
    assert omero_config("get") == 'omero.db.host=db\nomero.web.apps=["mine", "omero_figure"]'


def test_a_second_time_the_file_is_not_touched(config_xml: Path) -> None:
    assert apply(config_xml, [DATA], nothing) == (Change("omero.data.dir", None, "/OMERO"),)
    before = (config_xml.read_bytes(), config_xml.stat().st_mtime_ns, config_xml.stat().st_ino)
    assert apply(config_xml, [DATA], nothing) == ()
    assert (config_xml.read_bytes(), config_xml.stat().st_mtime_ns, config_xml.stat().st_ino) == before
    assert beside(config_xml) == {"config.xml"}


def test_a_check_makes_and_changes_nothing(config_xml: Path) -> None:
    assert apply(config_xml, [DATA], nothing, check=True)
    assert beside(config_xml) == set()
    apply(config_xml, [DATA], nothing)
    before = config_xml.read_bytes()
    assert apply(config_xml, [Wish("omero.data.dir", State.ABSENT, None)], nothing, check=True)
    assert config_xml.read_bytes() == before


def test_only_the_profile_that_is_active_changes(
    config_xml: Path, omero_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(config_xml, [DATA], nothing)
    monkeypatch.setenv("OMERO_CONFIG", "other")
    apply(config_xml, [Wish("omero.data.dir", State.PRESENT, "/other")], nothing)
    assert omero_config("get", "omero.data.dir") == "/other"
    monkeypatch.delenv("OMERO_CONFIG")
    assert omero_config("get", "omero.data.dir") == "/OMERO"


def test_a_key_that_stands_twice_in_the_file_is_mended(config_xml: Path) -> None:
    apply(config_xml, [DATA], nothing)
    entry = '<property name="omero.data.dir" value="/OMERO" />'
    config_xml.write_text(config_xml.read_text().replace(entry, entry + entry.replace("/OMERO", "/late")))
    assert held(config_xml)["omero.data.dir"] == "/late"
    assert len(apply(config_xml, [DATA], nothing)) == 1
    assert apply(config_xml, [DATA], nothing) == ()
    assert held(config_xml)["omero.data.dir"] == "/OMERO"


def test_the_file_keeps_its_mode_and_a_new_one_is_for_its_owner_alone(config_xml: Path) -> None:
    apply(config_xml, [DATA], nothing)
    assert stat.S_IMODE(config_xml.stat().st_mode) == 0o600
    config_xml.chmod(0o640)
    apply(config_xml, [Wish("omero.data.dir", State.ABSENT, None)], nothing)
    assert stat.S_IMODE(config_xml.stat().st_mode) == 0o640


@pytest.mark.root
def test_the_file_keeps_its_owner_and_its_group(config_xml: Path) -> None:
    apply(config_xml, [DATA], nothing)
    os.chown(config_xml, 4003, 4004)
    apply(config_xml, [Wish("omero.data.dir", State.ABSENT, None)], nothing)
    assert (config_xml.stat().st_uid, config_xml.stat().st_gid) == (4003, 4004)


@pytest.mark.root
def test_root_does_nothing_in_the_folder_of_another_account(config_xml: Path) -> None:
    os.chown(config_xml.parent, 4001, 4002)
    with pytest.raises(BadConfig, match=r"belongs to #4001: run this as that account \(sudo -u #4001"):
        apply(config_xml, [DATA], nothing, check=True)
    assert beside(config_xml) == set()


@pytest.mark.root
def test_a_disk_that_is_not_to_be_written_to_is_told(small_disk: Path) -> None:
    path = small_disk / "config.xml"
    with pytest.raises(BadConfig, match="cannot be used: Read-only file system"):
        apply_read_only(path)
    apply(path, [Wish("omero.data.dir", State.PRESENT, "/other")], nothing)
    with pytest.raises(BadConfig, match="may not be written by whoever runs this"):
        apply_read_only(path)
    assert held(path) == {"omero.config.version": "5.1.0", "omero.data.dir": "/other"}


def apply_read_only(path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
    try:
        apply(path, [DATA], nothing)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(path.parent)], check=True)


@pytest.mark.root
def test_a_full_disk_leaves_the_file_as_it_was(small_disk: Path) -> None:
    path = small_disk / "config.xml"
    apply(path, [DATA], nothing)
    before = path.read_bytes()
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"x" * 4096)
    with pytest.raises(BadConfig, match=r"cannot be used: No space left on device"):
        apply(path, [Wish("omero.long", State.PRESENT, "x" * 100_000)], nothing)
    assert path.read_bytes() == before
    assert beside(path) == {"config.xml", "filler"}


# OMERO's class forgets to close the lock that it did not get
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whoever_holds_the_lock_is_waited_for_and_then_named(config_xml: Path) -> None:
    from omero.config import ConfigXml

    apply(config_xml, [DATA], nothing)
    before = config_xml.read_bytes()
    other = ConfigXml(str(config_xml))
    other.save_on_close = False
    with pytest.raises(ConfigBusy, match="Another program has held the lock"):
        apply(config_xml, [Wish("omero.data.dir", State.ABSENT, None)], nothing, patience=0.1)
    assert config_xml.read_bytes() == before
    assert apply(config_xml, [DATA], nothing, patience=0.1) == ()  # nothing to do needs no lock
    other.close()
    assert apply(config_xml, [Wish("omero.data.dir", State.ABSENT, None)], nothing)


def test_what_a_killed_program_left_is_no_hindrance(config_xml: Path) -> None:
    apply(config_xml, [DATA], nothing)
    config_xml.with_name("config.xml.temp").write_text("<icegrid><prop")
    config_xml.with_name("config.xml.temp").chmod(0o644)
    config_xml.with_name("config.xml.lock").touch()
    apply(config_xml, [Wish("omero.data.dir", State.PRESENT, "/other")], nothing)
    assert held(config_xml)["omero.data.dir"] == "/other"
    assert stat.S_IMODE(config_xml.stat().st_mode) == 0o600
    assert beside(config_xml) == {"config.xml"}


APPLY = """\
import sys
from pathlib import Path
from slidegate.omero_config import State, Wish, apply
for number in range(5):
    key = f"omero.k{sys.argv[2]}{number}"
    wishes = [Wish(key, State.PRESENT, "x"), Wish("omero.list", State.PRESENT, [key])]
    apply(Path(sys.argv[1]), wishes, lambda _: [])
"""


@pytest.mark.slow
def test_several_at_once_lose_nothing_of_each_other(config_xml: Path) -> None:
    argv = [sys.executable, "-W", "ignore", "-c", APPLY, str(config_xml)]
    running = [subprocess.Popen([*argv, who]) for who in "abc"]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    wanted = {f"omero.k{who}{number}" for who in "abc" for number in range(5)}
    got = held(config_xml)
    assert wanted <= set(got)
    assert set(json.loads(got["omero.list"])) == wanted
    assert beside(config_xml) == {"config.xml"}


NOT_OMERO = {
    "<icegrid><properties": "no XML that can be read, in line 1",
    "<html><body/></html>": "is not OMERO's config.xml: it begins with <html>",
    "<icegrid><properties/></icegrid>": "not as OMERO writes it",
}


@pytest.mark.parametrize("text", NOT_OMERO)
def test_what_is_not_omero_s_file_is_left_alone(config_xml: Path, text: str) -> None:
    config_xml.write_text(text)
    with pytest.raises(BadConfig) as caught:
        apply(config_xml, [DATA], nothing)
    assert NOT_OMERO[text] in str(caught.value)
    assert config_xml.read_text() == text
    assert beside(config_xml) == {"config.xml"}


def test_a_link_and_a_folder_that_is_not_there_are_told(config_xml: Path) -> None:
    apply(config_xml, [DATA], nothing)
    link = config_xml.with_name("link.xml")
    link.symlink_to(config_xml)
    with pytest.raises(BadConfig, match="is a link, which OMERO would replace"):
        apply(link, [DATA], nothing)
    with pytest.raises(BadConfig, match="There is no folder"):
        apply(config_xml.parent / "gone" / "config.xml", [DATA], nothing)
    with pytest.raises(BadConfig, match="cannot be used: Is a directory"):
        apply(config_xml.parent, [DATA], nothing)


def test_if_one_key_cannot_be_as_desired_no_key_changes(config_xml: Path) -> None:
    apply(config_xml, [DATA, Wish("omero.web.apps", State.PRESENT, "no list")], nothing)
    before = config_xml.read_bytes()
    with pytest.raises(BadConfig, match=r"omero\.web\.apps holds something that is no list"):
        apply(config_xml, read_desired("omero.data.dir: /new\nomero.web.apps: [a]", Path(), {}), nothing)
    assert config_xml.read_bytes() == before


@pytest.mark.slow
def test_lists_start_as_omero_config_append_starts_them(config_xml: Path, omero_config: Config) -> None:
    words = ["omero", "config", "append", "omero.web.ui.top_links", '["Figure", "figure_index"]']
    script = f"import sys; from omero.cli import argv; sys.exit(argv({words!r}))"  # it loads OMERO.web
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
    theirs = omero_config("get", "omero.web.ui.top_links")
    omero_config("set", "omero.web.ui.top_links")
    text = "omero.web.ui.top_links: [[Figure, figure_index]]\nomero.web.ui.right_plugins: [[a, b, c]]"
    apply(config_xml, read_desired(text, Path(), {}), WebDefaults())
    assert omero_config("get", "omero.web.ui.top_links") == theirs
    right = json.loads(omero_config("get", "omero.web.ui.right_plugins"))
    assert [each[0] for each in right] == ["Acquisition", "Preview", "a"]


@pytest.mark.slow
def test_omero_web_is_asked_in_a_folder_of_its_own_and_only_for_its_lists(omerodir: Path) -> None:
    defaults = WebDefaults()
    assert defaults("omero.web.apps") == []
    assert defaults("omero.nobody.knows") == []
    assert [each["name"] for each in defaults("omero.web.ui.metadata_panes")][:2] == ["tag", "map"]
    with pytest.raises(NoWebDefaults, match=r"no list under omero\.web\.debug"):
        defaults("omero.web.debug")
    assert [each.name for each in omerodir.iterdir()] == ["etc"]


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("/nowhere/python", "No such file or directory"),
        ("/bin/true", "it answered nothing"),
        ("without-omero", "ModuleNotFoundError: No module named 'omeroweb'"),
    ],
)
def test_where_omero_web_is_not_installed_is_said(tmp_path: Path, python: str, why: str) -> None:
    other = tmp_path / "without-omero"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    other.chmod(0o755)
    python = str(tmp_path / python)  # which changes no path that is whole
    with pytest.raises(NoWebDefaults) as caught:
        WebDefaults(python)("omero.web.apps")
    assert f"cannot be asked for its defaults by {python} ({why})" in str(caught.value)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"), max_size=20)
texts |= st.text("\t\n\r &<>\"'=", max_size=8)
values = texts | st.lists(st.text(max_size=4), max_size=3, unique=True)
keys = st.sampled_from(["omero.a", "omero.b", "omero.web.apps"])


@pytest.mark.slow
@given(st.lists(st.dictionaries(keys, values, max_size=3), max_size=3))
def test_whatever_was_applied_before_twice_is_once(steps: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.xml"
        for step in steps:
            wishes = [Wish(key, State.EXACT, value) for key, value in step.items()]
            apply(path, wishes, nothing)
            assert apply(path, wishes, nothing) == ()
            got = held(path) if path.exists() else {}
            for key, value in step.items():
                assert got[key] == value if isinstance(value, str) else json.loads(got[key]) == value
