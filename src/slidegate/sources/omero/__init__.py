# SPDX-License-Identifier: BSD-3-Clause
"""Images in OMERO, and results back into it. Needs omero-py: ``pip install slidegate[omero]``."""
