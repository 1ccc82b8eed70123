# SPDX-License-Identifier: BSD-3-Clause
"""A command loads what it needs, and the api nothing that opens a site."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("sqlalchemy", "fastapi", "pydantic", "numpy", "httpx", "rich", "argon2", "uvicorn")
ROOMS = ("slidegate.worker", "slidegate.sites", "slidegate.sources", "slidegate.local_site", "slidegate_gate")


@pytest.mark.parametrize(
    ("loads", "not_loaded"),
    [("slidegate.cli.app", HEAVY), ("slidegate.wiring.api, slidegate.api.app, slidegate.cache", ROOMS)],
)
def test_nothing_is_loaded_that_is_not_needed(loads: str, not_loaded: tuple[str, ...]) -> None:
    program = f"import sys, {loads}\nprint(*[name for name in {not_loaded!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
