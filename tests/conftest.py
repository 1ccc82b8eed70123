# SPDX-License-Identifier: BSD-3-Clause
"""What every test may rely on."""

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs root on a person's laptop, and fail it in CI: a skipped proof proves nothing."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("this test uses other accounts or mounts: CI must run it as root")
        pytest.skip("needs root: it uses other accounts or mounts")


@pytest.fixture(autouse=True)
def _no_home_of_a_person(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the Runs of the person who runs them."""
    monkeypatch.setenv("SLIDEGATE_HOME", f"{tmp_path}/slidegate-home")
