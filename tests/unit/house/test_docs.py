# SPDX-License-Identifier: BSD-3-Clause
"""Pages that cannot rot: links lead somewhere, the reference is that of the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "workflows").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#]+?)(#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = [target for target, _ in LINK.findall(page.read_text("utf-8")) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.slow
def test_the_reference_of_commands_parameters_and_errors_is_that_of_the_code() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "make-reference"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_figures_page_names_every_benchmark() -> None:
    page = (ROOT / "docs" / "reference" / "figures.md").read_text("utf-8")
    for line in re.findall(r'^    "(\w+)": \(\[', (ROOT / "benchmarks" / "all.py").read_text("utf-8"), re.M):
        assert f"benchmarks/{line}.py" in page, line


def test_every_word_of_make_that_a_page_uses_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    used = {
        word for page in PAGES for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.M)
    }
    assert used and used <= targets, used - targets
