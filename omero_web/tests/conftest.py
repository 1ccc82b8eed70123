# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a person's laptop may lack: omero-py and OMERO.web."""

import importlib.util
import os

import pytest


def pytest_ignore_collect() -> bool | None:
    """Leave these tests out where OMERO.web is missing, but not in CI."""
    missing = any(importlib.util.find_spec(name) is None for name in ("omero", "omeroweb"))
    return True if missing and not os.environ.get("CI") else None


@pytest.fixture
def settings(monkeypatch):
    """The app's settings, as OMERO.web would have put them there."""
    from omero_slidegate import settings as module

    for name, default, mapping, _ in (values[:4] for values in module.CUSTOM_SETTINGS_MAPPINGS.values()):
        monkeypatch.setattr(module, name, mapping(default), raising=False)
    return module
