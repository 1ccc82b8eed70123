# SPDX-License-Identifier: BSD-3-Clause
"""The house keeps small files. (The gate has tighter limits of its own.)"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = [
    "src",
    "analysis/slidegate_analysis",
    "gate/slidegate_gate",
    "scripts",
    "benchmarks",
    "pocket_omero/pocket_omero",
    "omero_web/omero_slidegate",
]
# what is made of OMERO's own parts has their licence
LICENCES = {
    "AGPL-3.0-or-later": re.compile("omero_web/"),
    "GPL-2.0-or-later": re.compile("pocket_omero/|scripts/zeroc-ice/|benchmarks/pocket_"),
    "BSD-3-Clause": re.compile(""),
}
MODULE_LINES = 500
FUNCTION_LINES = 60
COLUMNS = 110


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def docstring_lines(node: ast.AST) -> int:
    body = getattr(node, "body", [])
    first = body[0] if body and isinstance(body[0], ast.Expr) else None
    if first and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return first.end_lineno - first.lineno + 1
    return 0


def too_large(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    faults = []
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    documented = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)]
    lines = text.count("\n") - sum(docstring_lines(node) for node in documented)
    if lines > MODULE_LINES:
        faults.append(f"{path} has {lines} lines without docstrings; {MODULE_LINES} are allowed")
    for function in functions:
        length = function.end_lineno - function.lineno + 1 - docstring_lines(function)
        if length > FUNCTION_LINES:
            faults.append(f"{path}:{function.lineno} {function.name} has {length} lines")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS:
            faults.append(f"{path}:{number} has {len(line)} columns")
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        starts = [n.lineno for n in body if isinstance(n, ast.stmt)] if isinstance(body, list) else []
        if len(starts) != len(set(starts)):
            faults.append(f"{path}:{starts[0]} has two statements on one line")
    return faults


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_are_small_enough_to_read_at_one_sitting(path: Path) -> None:
    assert too_large(path) == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_names_its_licence_in_its_first_lines(path: Path) -> None:
    head = "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:2])
    name = path.relative_to(ROOT).as_posix()
    licence = next(licence for licence, made in LICENCES.items() if made.match(name))
    assert f"SPDX-License-Identifier: {licence}" in head


def test_the_budget_check_itself_sees_what_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text("def f():\n" + "    x = 1\n" * 61 + "y = 1; z = 2\n" + "# " + "w" * 120 + "\n")
    assert len(too_large(path)) == 3
