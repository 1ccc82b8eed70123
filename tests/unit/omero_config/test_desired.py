# SPDX-License-Identifier: BSD-3-Clause
"""What can be desired, and what is said of what cannot be understood."""

import sys
from pathlib import Path
from typing import Any

import pytest

from slidegate.omero_config.apply import apply
from slidegate.omero_config.desired import read_desired
from slidegate.omero_config.errors import BadDesired, NoOmeroPy
from slidegate.omero_config.values import Identity, State, Wish

pytestmark = pytest.mark.omero
NOWHERE = Path("/nowhere")


def read(text: str, folder: Path = NOWHERE, **environment: str) -> list[Wish]:
    return list(read_desired(text, folder, environment))


def value(text: str) -> Any:
    (wish,) = read(f"omero.x: {text}")
    return wish.value


def test_a_value_alone_is_desired_to_be_there() -> None:
    assert read("omero.web.apps: [omero_figure]\nomero.db.host: db") == [
        Wish("omero.web.apps", State.PRESENT, ["omero_figure"], Identity.WHOLE),
        Wish("omero.db.host", State.PRESENT, "db"),
    ]


def test_json_is_taken_too() -> None:
    assert read('{"omero.db.host": "\\ud83d\\ude00"}') == [Wish("omero.db.host", State.PRESENT, "😀")]


@pytest.mark.parametrize("key", ["top_links", "right_plugins", "center_plugins"])
def test_entries_of_the_user_interface_are_known_by_their_first_element(key: str) -> None:
    (wish,) = read(f"omero.web.ui.{key}: [[Label, view]]")
    assert wish.identity is Identity.FIRST


def test_each_list_has_its_rule_and_another_can_be_stated() -> None:
    assert read("omero.web.open_with: [[a, b]]")[0].identity is Identity.FIRST
    assert read("omero.web.ui.metadata_panes: [{name: tag, index: 1}]")[0].identity is Identity.NAME
    assert read("omero.web.middleware: [{class: a.B, index: 0.5}]")[0].identity is Identity.CLASS
    assert read("omero.x: {value: [[a, b]], identity: first}")[0].identity is Identity.FIRST


def test_entries_that_are_to_go_can_be_called_by_their_name() -> None:
    text = "omero.web.ui.top_links: {state: absent, value: [History, [Help, x]]}"
    assert read(text)[0].value == [["History"], ["Help", "x"]]
    text = "omero.web.middleware: {state: absent, value: [a.B]}"
    assert read(text)[0].value == [{"class": "a.B"}]


@pytest.mark.parametrize("written", ["yes", "on", "12:30", "0777", "2026-01-01", "1_000", "+5", ".5", "a b"])
def test_what_only_looks_like_something_else_is_text(written: str) -> None:
    assert value(written) == written


def test_switches_and_numbers_are_written_as_omero_reads_them() -> None:
    assert [value("true"), value("False"), value("4064"), value('"1.50"')] == [
        "true",
        "false",
        "4064",
        "1.50",
    ]


def test_a_value_can_come_from_a_variable_or_from_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    text = "omero.a: {from_env: A}\nomero.b: {from_file: secret}\nomero.web.apps: {from_env: APPS}"
    got = read(text, tmp_path, A="one", APPS='["x"]')
    assert [each.value for each in got] == ["one", "s3cret", ["x"]]
    assert all(each.secret for each in got)


def test_what_is_secret_goes_by_the_name_and_by_what_is_said() -> None:
    text = (
        "omero.db.pass: x\nomero.web.secret_key: {value: x, secret: false}\nomero.a: {value: x, secret: true}"
    )
    assert [each.secret for each in read(text)] == [True, True, True]
    text = "omero.data.dir: x\nomero.a: {from_env: A, secret: false}"
    assert [each.secret for each in read(text, A="x")] == [False, False]


NOT_UNDERSTOOD = {
    "": "is a mapping of OMERO's keys",
    "[a]": "is a mapping of OMERO's keys",
    "omero.x: [": "no YAML that can be read. In line 1",
    "omero.x: 1\nomero.x: 2": "line 2, column 1: the name of a value stands twice",
    '{"omero.x": "1", "omero.x": "2"}': "the name of a value twice",
    "1: x": "is no text: put it in quotes",
    "omero.x: {value: {1: a}}": "is no text: put it in quotes",
    "omero.x: &hunter2 [a]\nomero.y: *hunter2": "an alias",
    "omero.x: !hunter2 a": "could not determine a constructor for the tag '...'",
    "omero.x: !!timestamp 2026-01-01": "something in it that JSON does not have",
    "omero/x: a": "something else in it than letters",
    "omero.config.version: a": "belongs to the file itself",
    "omero.x:": "has no value",
    "omero.x: {}": "exactly one of value, from_env and from_file",
    "omero.x: {value: a, from_env: B}": "exactly one of",
    "omero.x: {valeu: a}": "words that are not known (valeu)",
    "omero.x: {value: a, state: gone}": "has a state that is not known: present, absent, exact are",
    "omero.x: {value: a, secret: maybe}": "true or false",
    "omero.x: {value: [a], identity: label}": "identity that is not known",
    "omero.x: {value: a, identity: first}": "only the entries of a list have",
    "omero.x: {state: absent, identity: first}": "exactly one of",
    "omero.x: {state: absent, value: a}": "is to be absent, and yet has a value",
    "omero.x: 1.5": "put it in quotes",
    'omero.x: "\\0"': "a character that cannot stand in config.xml",
    'omero.x: "\\uFFFF"': "a character that cannot stand in config.xml",
    "omero.x: [1.0e+999]": "a number in it that JSON does not have",
    "omero.x: " + 30 * "[" + 30 * "]": "nested more than 20 deep",
    "omero.web.apps: omero_figure": "is a list for OMERO.web",
    "omero.web.apps: [a, a]": "an entry twice",
    "omero.web.ui.top_links: [Data]": "begins with its name",
    "omero.web.ui.metadata_panes: [{label: x, index: 1}]": "says its name",
    "omero.web.middleware: [{class: a.B}]": "without an index",
    "omero.x: {from_env: GONE}": "comes from the variable GONE, which is not set",
    "omero.x: {from_env: ''}": "no name under from_env",
    "omero.x: {from_file: gone}": "comes from /nowhere/gone, where there is no file",
}


@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=lambda text: text[:40])
def test_what_cannot_be_understood_is_said_in_words(text: str) -> None:
    with pytest.raises(BadDesired) as caught:
        read(text)
    assert NOT_UNDERSTOOD[text] in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "omero.pass: {value: hunter2, state: no}",
        "omero.pass: 'hunter2",
        "omero.pass: hunter2: x",
        "a: [hunter2",
    ],
)
def test_no_value_is_repeated_in_what_is_said(text: str) -> None:
    with pytest.raises(BadDesired) as caught:
        read(text)
    assert "hunter2" not in str(caught.value)


def test_without_omero_s_library_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.xml").touch()
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setitem(sys.modules, "omero.config", None)
    with pytest.raises(NoOmeroPy, match=r"install slidegate\[omero\]"):
        read("omero.x: a")
    with pytest.raises(NoOmeroPy, match=r"install slidegate\[omero\]"):
        apply(tmp_path / "config.xml", read('{"omero.x": "a"}'), lambda _key: [])


def test_a_file_that_cannot_be_a_value_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1_000_001)
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(BadDesired, match="larger than a value can be"):
        read("omero.x: {from_file: large}", tmp_path)
    with pytest.raises(BadDesired, match="no text in UTF-8"):
        read("omero.x: {from_file: binary}", tmp_path)
