# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.scripts: finding them, and running them in processes of their own."""

from pocket_omero.scripts.collection import PYTHON, install_scripts, is_official, new_script
from pocket_omero.scripts.runner import Job, Runner

__all__ = ["PYTHON", "Job", "Runner", "install_scripts", "is_official", "new_script"]
