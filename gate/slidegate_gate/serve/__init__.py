# SPDX-License-Identifier: BSD-3-Clause
"""What a key can reach: frames, checks, journal, trees, limits, audit and one scheduler."""
