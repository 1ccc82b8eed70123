# SPDX-License-Identifier: BSD-3-Clause
"""The page on keys and people: what it says can be typed."""

import re
import shlex
from pathlib import Path

from tests.unit.house.test_howto import blocks, looks_like
from tests.unit.keys.test_commands import Keyboard, keyboard  # noqa: F401  (a fixture)

PAGE = "how-to/keys-and-people.md"


def test_every_command_of_the_page_works_in_its_order(keyboard: Keyboard) -> None:  # noqa: F811
    printed = ""
    typed = 0
    for language, text in blocks(PAGE):
        keyboard.type("person", "add", "ada")  # who was removed above is needed below
        if language == "text":
            assert looks_like(printed, text)
            continue
        for line in text.splitlines():
            code, printed, err = keyboard.type(*shlex.split(line)[1:])
            assert code == 0, f"{line}\n{err}"
            typed += 1
    assert typed == 12


def test_every_command_that_is_named_in_passing_exists() -> None:
    from typer.main import get_command

    from slidegate.cli.app import app

    page = (Path("docs") / PAGE).read_text()
    named = set(re.findall(r"`slidegate ([a-z]+ [a-z]+|cancel)", page))
    groups = get_command(app).commands  # type: ignore[attr-defined]
    assert named
    for words in named:
        group, _, command = words.partition(" ")
        assert group in groups
        assert not command or command in groups[group].commands
