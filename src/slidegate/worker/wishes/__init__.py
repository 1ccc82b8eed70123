# SPDX-License-Identifier: BSD-3-Clause
"""Grants wishes: what the pages need of a source or a site, or have written to a file."""
