# SPDX-License-Identifier: BSD-3-Clause
"""What the how-to pages say can be typed, and prints what they say that it prints."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from slidegate_gate.schemas import WORDS_OF_PROPERTY, check_schema
from slidegate_gate.serve import checks

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of each fenced block of a page."""
    return BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def looks_like(printed: str, stated: str) -> bool:
    """Say whether a text is what the page states, where … stands for anything on a line."""
    pattern = "[^\n]*".join(re.escape(part) for part in stated.split("…"))
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


@pytest.mark.slow
def test_add_a_workflow_works_as_it_is_written(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    folder = tmp_path / "howto"
    folder.mkdir()
    printed = ""
    ran = 0
    for language, text in blocks("how-to/add-a-workflow.md"):
        if language == "sh":
            script = "set -eu\n" + text.replace("build/howto", str(folder))
            done = subprocess.run(
                ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            printed = done.stdout
            ran += 1
        elif language == "text":
            assert looks_like(printed, text), f"the page says\n{text}\nbut this was printed:\n{printed}"
    assert ran == 5  # blocks, so that none is passed over


def test_the_page_shows_the_example_as_it_is() -> None:
    folder = ROOT / "tests/data/workflows/count_bytes"
    shown = [json.loads(text) for language, text in blocks("how-to/add-a-workflow.md") if language == "json"]
    manifest = json.loads((folder / "workflow.json").read_text())
    assert shown[0] == {name: manifest[name] for name in manifest if name not in ("title", "description")}
    assert shown[1] == json.loads((folder / "parameters.schema.json").read_text())


def test_what_the_page_says_of_forms_is_what_a_site_takes() -> None:
    page = (ROOT / "docs/how-to/shape-the-launch-form.md").read_text(encoding="utf-8")
    ((_, shown),) = [block for block in blocks("how-to/shape-the-launch-form.md") if block[0] == "json"]
    check_schema(json.loads(shown))
    unsaid = [word for word in WORDS_OF_PROPERTY if f"`{word}`" not in page and f'"{word}"' not in page]
    assert unsaid == []
    assert [pattern for pattern in checks.PATTERNS if f"`{pattern}`" not in page] == []


@pytest.mark.parametrize("place", [1.5, "1", True, None])
def test_a_place_in_the_form_is_a_whole_number(place: object) -> None:
    of = {"type": "object", "additionalProperties": False, "properties": {}}
    check_schema(of | {"properties": {"size": {"type": "number", "x-order": -3}}})
    with pytest.raises(ValueError, match="x-order of size cannot be"):
        check_schema(of | {"properties": {"size": {"type": "number", "x-order": place}}})


def test_a_page_that_states_something_else_would_be_noticed() -> None:
    assert looks_like("release abc (new)\n", "release … (new)\n")
    assert not looks_like("release abc (was there)\n", "release … (new)\n")
