# SPDX-License-Identifier: BSD-3-Clause
"""The gate is plain, short Python that an old login node can run and its administrator can read."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GATE = ROOT / "gate"
PACKAGE = GATE / "slidegate_gate"
MODULES = sorted(PACKAGE.rglob("*.py"))
OLDEST = (3, 6)
CODE_LINES = {
    "protocol": 200,
    "serve": 1000,
    "runner": 400,
    "gatectl": 500,
    "home": 290,
    "door": 150,
    "selftest": 300,
    "workflows": 260,
}
SCHEDULER_CODE_LINES = 200
ON_LOGIN_NODES = {"3.9", "3.11"}  # the python3 of RHEL 9, and of Debian 12
DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


def code_lines(path: Path) -> int:
    """Count lines that are not blank, no comment and no docstring."""
    text = path.read_text(encoding="utf-8")
    silent = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            silent.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if number not in silent and re.match(r"\s*[^\s#]", line))


def imported(path: Path) -> set[str]:
    """Return the top-level names of what a module imports; the gate itself for relative imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("slidegate_gate" if node.level else str(node.module).split(".")[0])
    return names


def interpreters() -> dict[str, str]:
    """Return one interpreter for each minor version from 3.6 on that this computer has."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    for home in (Path.home(), Path("/root")):
        folders += [str(path) for path in sorted(home.glob(".pyenv/versions/*/bin"))]
    found = {}
    for minor in range(OLDEST[1], 30):
        for folder in folders:
            path = shutil.which(f"python3.{minor}", path=folder)
            # pyenv puts names on the path that only say which versions it has
            if path and subprocess.run([path, "-IS", "-c", ""], capture_output=True).returncode == 0:
                found.setdefault(f"3.{minor}", path)
    return found


INTERPRETERS = interpreters()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_written_in_the_oldest_python(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST)


def test_nothing_newer_than_the_oldest_python_is_used() -> None:
    vermin = Path(sys.executable).parent / "vermin"
    ran = subprocess.run(
        [vermin, "--target=3.6-", "--violations", "--no-tips", PACKAGE], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_the_standard_library_and_the_gate_only(path: Path) -> None:
    assert imported(path) <= set(sys.stdlib_module_names) | {"slidegate_gate"}


REACHABLE = sorted([*(PACKAGE / "serve").glob("*.py"), *(PACKAGE / "protocol").glob("*.py")])
ALLOWED = {"serve": {"errors", "protocol"}, "protocol": {"errors"}}


@pytest.mark.parametrize("path", REACHABLE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_key_can_reach_imports_nothing_of_the_other_rooms(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            rooms = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            assert set(rooms) <= ALLOWED[path.parent.name]
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "level", 0) == 0:
            assert "slidegate_gate" not in ast.unparse(node)


@pytest.mark.parametrize("room", CODE_LINES)
def test_a_room_is_short_enough_for_its_readers(room: str) -> None:
    lines = {path.name: code_lines(path) for path in sorted((PACKAGE / room).rglob("*.py"))}
    assert sum(lines.values()) <= CODE_LINES[room], lines


def test_a_scheduler_is_short_enough_for_its_readers() -> None:
    shared = code_lines(PACKAGE / "schedulers" / "__init__.py")
    adapters: dict[str, int] = {}
    for path in (PACKAGE / "schedulers").glob("[a-z]*.py"):
        name = path.stem.split("_")[0]
        adapters[name] = adapters.get(name, shared) + code_lines(path)
    assert adapters
    assert {name: lines for name, lines in adapters.items() if lines > SCHEDULER_CODE_LINES} == {}


def test_the_oldest_python_is_among_the_interpreters_in_ci() -> None:
    if not os.environ.get("CI"):
        pytest.skip("a person's laptop need not have old interpreters")
    assert "3.6" in INTERPRETERS


@pytest.mark.parametrize("version", INTERPRETERS)
def test_every_module_can_be_imported_without_site_packages(version: str) -> None:
    names = [".".join(path.relative_to(GATE).with_suffix("").parts) for path in MODULES]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    code = f"import sys; sys.path.insert(0, {str(GATE)!r}); import {', '.join(names)}"
    ran = subprocess.run([INTERPRETERS[version], "-ISB", "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def number_of(version: str) -> int:
    return int(version.split(".")[1])


ENDS = {min(INTERPRETERS, key=number_of), max(INTERPRETERS, key=number_of)}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", [one for one in INTERPRETERS if one in ENDS | ON_LOGIN_NODES])
def test_the_gates_own_tests_pass_under_the_oldest_the_newest_and_the_pythons_of_login_nodes(
    version: str,
) -> None:
    memory = {"TMPDIR": "/dev/shm"} if Path("/dev/shm").is_dir() else {}  # flushing to disk is not the point
    ran = subprocess.run(
        [INTERPRETERS[version], "-B", "-m", "unittest", "discover", "-s", "tests"],
        cwd=GATE,
        env={**os.environ, **memory},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert ran.returncode == 0, ran.stderr[-5000:]
    assert re.search(r"Ran [1-9][0-9]+ tests", ran.stderr)
