# SPDX-License-Identifier: BSD-3-Clause
"""Administrators are told how long the gate is, and it is true."""

import re
from pathlib import Path

import pytest

from tests.unit.gate.test_gate_is_readable_old_python import code_lines

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "gate" / "slidegate_gate"
PAGE = (ROOT / "docs" / "how-to" / "for-cluster-administrators.md").read_text("utf-8")
ROWS = re.findall(r"^\| (`.*`) \| ([0-9]+) \|", PAGE, re.M)


def modules(cell: str) -> list[Path]:
    """Return what a cell names; names after the first lie in the same folder."""
    first, *others = re.findall(r"`([a-z_/]+\.py)`", cell)
    return [PACKAGE / first, *((PACKAGE / first).parent / name for name in others)]


@pytest.mark.parametrize(("cell", "stated"), ROWS)
def test_a_part_is_as_long_as_the_page_says(cell: str, stated: str) -> None:
    assert abs(sum(map(code_lines, modules(cell))) / int(stated) - 1) < 0.15


def test_the_reading_list_has_all_of_what_a_key_can_reach() -> None:
    listed = {path for cell, _ in ROWS for path in modules(cell)}
    for room in ("protocol", "serve", "door"):
        assert set((PACKAGE / room).glob("[a-z]*.py")) <= listed, room
