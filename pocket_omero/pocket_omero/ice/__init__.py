# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO's wire: what its slice modules say, servants, the router, connections and certificates."""
