# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's interfaces, each a class that makes itself known by its name."""

import importlib
import pkgutil

__all__ = ["make_known"]


def make_known() -> None:
    """Import all modules with services and requests, once, so that they can be found by their names."""
    for package in ("pocket_omero.services", "pocket_omero.commands"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
            importlib.import_module(module.name)
