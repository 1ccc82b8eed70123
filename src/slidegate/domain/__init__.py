# SPDX-License-Identifier: BSD-3-Clause
"""What a Run is: values, states, moves, events, errors. No I/O, no clock, no framework."""
