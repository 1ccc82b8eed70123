# SPDX-License-Identifier: BSD-3-Clause
"""The reference of gatectl leaves nothing out."""

import re
from pathlib import Path

import pytest
from slidegate_gate.gatectl.main import VERBS
from slidegate_gate.serve.limits import DEFAULTS

ROOT = Path(__file__).parents[3]
ROOMS = ("door", "gatectl", "home", "selftest", "workflows")
PAGE = (ROOT / "docs/reference/gatectl.md").read_text(encoding="utf-8")


def codes() -> list[str]:
    sources = [ROOT / "gate/slidegate_gate" / name for name in ROOMS]
    texts = [path.read_text(encoding="utf-8") for source in sources for path in source.glob("*.py")]
    found = [code for text in texts for code in re.findall(r'^    code = "([a-z-]+)"$', text, re.MULTILINE)]
    assert len(found) > 5
    return found


@pytest.mark.parametrize("words", [verb[0] for verb in VERBS])
def test_every_verb_is_in_the_table(words: str) -> None:
    assert re.search(rf"^\| `{words}[` ]", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    "option", sorted({option for verb in VERBS for option in verb[3] if option[0] == "-"})
)
def test_every_option_is_named(option: str) -> None:
    assert f"`{option}" in PAGE


@pytest.mark.parametrize("code", codes())
def test_every_error_code_is_explained(code: str) -> None:
    assert f"| `{code}` |" in PAGE


@pytest.mark.parametrize("limit", DEFAULTS)
def test_every_limit_is_explained(limit: str) -> None:
    assert f"`{limit}`" in PAGE
