# SPDX-License-Identifier: BSD-3-Clause
"""The administrator's hand tool: install the gate, its keys and its workflows; look at them; tidy up.

Nothing here can be reached with a key. Everything is safe to repeat.
"""
