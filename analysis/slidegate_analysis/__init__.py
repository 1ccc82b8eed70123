# SPDX-License-Identifier: BSD-3-Clause
"""What runs in a Runtime at a site; knows no server."""
