# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's interfaces, each a class that makes itself known by its name."""
