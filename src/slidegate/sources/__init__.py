# SPDX-License-Identifier: BSD-3-Clause
"""Where images are read from and where results are written to."""
