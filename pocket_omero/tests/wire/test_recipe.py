# SPDX-License-Identifier: GPL-2.0-or-later
"""zeroc-ice is compiled once for a recipe and a Python, and what is missing for it is said."""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[3] / "scripts"


def loaded(script):
    loader = importlib.machinery.SourceFileLoader("build_zeroc_ice", str(script))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def recipe(tmp_path):
    """A copy of the recipe."""
    shutil.copytree(SCRIPTS / "zeroc-ice", tmp_path / "scripts" / "zeroc-ice")
    shutil.copy(SCRIPTS / "build-zeroc-ice", tmp_path / "scripts")
    return tmp_path / "scripts" / "build-zeroc-ice"


def test_a_wheel_that_was_built_is_found_at_once(tmp_path):
    shelf = tmp_path / "pocket-omero" / "zeroc-ice" / loaded(SCRIPTS / "build-zeroc-ice").digest()
    shelf.mkdir(parents=True)
    wheel = shelf / "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl"
    wheel.touch()
    done = subprocess.run(
        [sys.executable, SCRIPTS / "build-zeroc-ice"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.strip() == str(wheel)


def test_where_it_is_installed_nothing_is_built(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPTS / "build-zeroc-ice", "--install"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_another_recipe_is_another_wheel(recipe):
    before = loaded(recipe).digest()
    assert loaded(recipe).digest() == before
    header = recipe.parent / "zeroc-ice" / "current-frame.h"
    header.write_text(header.read_text() + "\n")
    assert loaded(recipe).digest() != before


def test_what_is_missing_is_said_with_the_packages_that_bring_it_and_where_wheels_are(
    recipe, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    module = loaded(recipe)
    with pytest.raises(SystemExit) as words:
        module.need_compiler()
    assert "g++" in str(words.value)
    assert "sudo scripts/system-packages" in str(words.value)
    assert "--help" in str(words.value)
    assert "Glencoe" in module.__doc__


def test_nothing_is_missing_where_it_is_built():
    if not os.environ.get("CI") and shutil.which("g++") is None:
        pytest.skip("needs a compiler: run scripts/system-packages")
    assert loaded(SCRIPTS / "build-zeroc-ice").missing() == []


def test_everything_that_is_downloaded_is_named_by_version_and_hash():
    for line in (SCRIPTS / "zeroc-ice" / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or ("==" in line and "--hash=sha256:" in line)
