# SPDX-License-Identifier: BSD-3-Clause
"""What the page on backups says can be typed, in its order, and prints what it says, on both databases."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slidegate.store import Store
from tests.unit.domain.histories import request
from tests.unit.store.test_backup import lost

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "back-up-and-restore.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_page_on_backups_works_as_it_is_written(url: str, tmp_path: Path) -> None:
    store = Store.open(url)
    store.history.request(request(), 1.0)
    store.close()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLIDEGATE_HOME": str(tmp_path),
    }
    if not url.startswith("sqlite"):
        environment["SLIDEGATE_DATABASE_URL"] = url
    (tmp_path / "backup").mkdir()
    printed = ""
    ran = 0
    for language, words in BLOCK.findall(PAGE.read_text("utf-8")):
        if language == "text":
            pattern = "(.|\n)*".join(re.escape(part) for part in words.split("…"))
            assert re.fullmatch(pattern, printed), f"the page says\n{words}\nbut this was printed:\n{printed}"
            continue
        if "restore" in words:
            lost(url)
        done = subprocess.run(
            ["bash", "-euc", words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stderr}"
        printed = done.stdout
        ran += 1
        if "restore" in words:
            store = Store.open(url)
            assert list(store.sites.reconciling()) == ["local"]
            store.sites.reconciled("local")  # as the service does once it has heard from the site
            store.close()
    assert ran == 7  # blocks, so that none is passed over
