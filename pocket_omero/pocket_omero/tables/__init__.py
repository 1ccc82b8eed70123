# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.tables: measurements in HDF5 files.

The engine is the one that a real OMERO.tables server runs: `omero.hdfstorageV2` of omero-py, on PyTables.
What a query may say, how columns are stored and what is refused is therefore not an imitation.
"""

from pocket_omero.tables.sheet import Sheet

__all__ = ["Sheet"]
