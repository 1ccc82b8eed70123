# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of pocket OMERO share: the table of what real clients tried and got."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marks here mean."""
    config.addinivalue_line(
        "markers", "client(name, *packages): operations of this client, counted in a table"
    )
    config.addinivalue_line("markers", "needs(*packages): is left out where one of them is not installed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what is not installed on a person's laptop, and fail it in CI."""
    missing = [name for mark in item.iter_markers("needs") for name in mark.args if not _there(name)]
    if missing and os.environ.get("CI"):
        pytest.fail(f"this test needs {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def _there(name: str) -> bool:
    if name == "chromium":
        return CHROMIUM.exists()
    if name == "unshare":
        return shutil.which("unshare") is not None
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Write the client into the report: reports come back from where tests are shared among processes."""
    mark = item.get_closest_marker("client")
    if mark and call.when == "setup":
        item.user_properties.append(("client", mark.args[0]))
    return (yield)


def pytest_terminal_summary(terminalreporter) -> None:  # type: ignore[no-untyped-def]
    """Print, for each client, how many of its operations were tried and how many did what they should."""
    tried: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for outcome in ("passed", "failed", "xfailed", "xpassed"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, name in getattr(report, "user_properties", []):
                if key == "client" and report.when == "call":
                    tried[name] += 1
                    passed[name] += outcome in {"passed", "xpassed"}
    if not tried:
        return
    terminalreporter.section("operations of real OMERO clients")
    terminalreporter.write_line(f"{'client':<34}{'version':<12}{'tried':>7}{'passed':>8}")
    for name in sorted(tried):
        package = name.split(" ")[0]
        version = importlib.metadata.version(package) if _there(package) else ""
        terminalreporter.write_line(f"{name:<34}{version:<12}{tried[name]:>7}{passed[name]:>8}")
