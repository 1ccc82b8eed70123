# SPDX-License-Identifier: BSD-3-Clause
"""What is installed elsewhere is whole: a wheel in an environment of its own serves the pages."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.acceptance.served import ROOT, free_port, until

PAGES = ROOT / "src" / "slidegate" / "api" / "pages" / "index.html"


@pytest.mark.slow
def test_an_installed_wheel_serves_the_pages(tmp_path: Path) -> None:
    if not PAGES.exists():
        assert not os.environ.get("CI"), "the pages are not built: run make install"
        pytest.skip("the pages are not built: run make install")
    argv = [
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        tmp_path,
        ROOT,
    ]
    subprocess.run([sys.executable, "-m", "pip", *map(str, argv)], check=True)
    (wheel,) = tmp_path.glob("slidegate-*.whl")
    venv.create(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    # what it needs is here already
    (site / "libraries.pth").write_text(f"import site; site.addsitedir({libraries!r})\n")

    python = tmp_path / "venv" / "bin" / "python"
    start = [str(python), "-P", "-c", "from slidegate.cli import main; main()"]
    environment = {**os.environ, "SLIDEGATE_HOME": str(tmp_path / "home")}
    where = subprocess.run(
        [str(python), "-P", "-c", "import slidegate; print(slidegate.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert where.stdout.startswith(str(site))
    port = str(free_port())
    with subprocess.Popen([*start, "api", "--port", port], env=environment, cwd=tmp_path) as process:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
            page = httpx.get(f"http://127.0.0.1:{port}/", timeout=30)
            assert page.status_code == 200
            assets = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
            assert assets
            for asset in assets:
                assert httpx.get(f"http://127.0.0.1:{port}{asset}", timeout=30).status_code == 200
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == 200
    except httpx.TransportError:
        return False
