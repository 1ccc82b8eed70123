# SPDX-License-Identifier: BSD-3-Clause
"""Talking to a slidegate server from Python."""
