# SPDX-License-Identifier: BSD-3-Clause
"""The table of threats in SECURITY.md is true: its tests are there, and they notice a missing mitigation."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.mitigations import MITIGATIONS, Row, rows_of

ROOT = Path(__file__).parents[2]
ROWS = rows_of(ROOT / "SECURITY.md")


def test_each_row_says_how_its_mitigation_is_taken_out_and_no_other_is() -> None:
    lines = (ROOT / "SECURITY.md").read_text("utf-8").split("## Threats")[1].splitlines()
    assert len([line for line in lines if line.startswith("| `")]) == len(ROWS) > 40
    assert sorted(row.name for row in ROWS) == sorted(MITIGATIONS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_test_of_a_row_exists(row: Row) -> None:
    file, *names = row.test.partition("[")[0].split("::")
    found: ast.AST = ast.parse((ROOT / file).read_text("utf-8"))
    for name in names:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        inside = [one for one in ast.iter_child_nodes(found) if isinstance(one, kinds) and one.name == name]
        assert len(inside) == 1, f"{name} is not in {file}"
        found = inside[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_mitigation_of_a_row_is_where_it_is_said_to_be(row: Row) -> None:
    changed: dict[str, str] = {}
    for change in MITIGATIONS[row.name]:
        text = changed.setdefault(change.file, (ROOT / change.file).read_text("utf-8"))
        changed[change.file] = change.apply(text)
        compile(changed[change.file], change.file, "exec")


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.root
def test_a_few_mitigations_are_missed_when_they_are_taken_out() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "take-out-mitigations"), "--sample", "3", "--seed", "3"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 tests notice" in done.stdout
