# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests of any OMERO project. Loaded by pytest wherever pocket OMERO is installed."""
