# SPDX-License-Identifier: BSD-3-Clause
"""Reading finished results: their files, the picture and its nuclei as tiles, the table as columns."""

from slidegate.api.results.routes import make_router

__all__ = ["make_router"]
