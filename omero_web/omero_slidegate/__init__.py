# SPDX-License-Identifier: AGPL-3.0-or-later
"""Run on cluster, in OMERO.web: a thin app that talks to slidegate over HTTP."""

__all__ = ["__version__"]
__version__ = "0.1.0"
