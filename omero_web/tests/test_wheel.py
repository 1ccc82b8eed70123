# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is installed beside OMERO.web is whole."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILT = "omero_slidegate/static/omero_slidegate/slidegate.js"


@pytest.mark.slow
def test_the_wheel_holds_all_that_omero_web_loads(tmp_path):
    if not (ROOT / BUILT).exists():
        assert not os.environ.get("CI"), "the elements are not built: run make install-dev"
        pytest.skip("the elements are not built: run make install-dev")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("omero_slidegate-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        text = packed.read(BUILT).decode()
    folder = ROOT / "omero_slidegate"
    wanted = {
        str(file.relative_to(ROOT))
        for file in folder.rglob("*")
        if file.is_file() and file.suffix not in (".pyc",)
    }
    assert wanted <= names, wanted - names
    assert {
        f"omero_slidegate/{name}" for name in ("desired.yml", "templates/omero_slidegate/launch.html")
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "./assets/" in text
    assert any(name.startswith("omero_slidegate/static/omero_slidegate/assets/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "config/"))]


@pytest.mark.slow
def test_the_app_runs_in_the_oldest_python_that_omero_web_takes():
    vermin = Path(sys.executable).with_name("vermin")
    command = [
        str(vermin),
        "-q",
        "-t=3.10-",
        "--eval-annotations",
        "--no-tips",
        str(ROOT / "omero_slidegate"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
