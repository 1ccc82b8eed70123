# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can stop gatectl.  Each message says what is wrong, why that matters, and what to do."""

from slidegate_gate.errors import GateError


class StillInUse(GateError):
    """Accepted work still needs what was to be removed."""

    code = "still-in-use"


class NotSwitched(GateError):
    """The current version of the gate stays the current one."""

    code = "not-switched"
