# SPDX-License-Identifier: BSD-3-Clause
"""The server and the command line."""
