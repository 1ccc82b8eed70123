# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can stop gatectl.  Each message says what is wrong, why that matters, and what to do."""

from slidegate_gate.errors import GateError


class NoHome(GateError):
    """The folder is not the home of a gate, or holds other things."""

    code = "no-home"


class UnsafePermissions(GateError):
    """Somebody else could write where the gate must be alone."""

    code = "unsafe-permissions"


class UnknownName(GateError):
    """No key, Release or workflow has that name, or the name cannot be one."""

    code = "unknown-name"


class Unfit(GateError):
    """A check of the self-test failed."""

    code = "unfit"


class StillInUse(GateError):
    """Accepted work still needs what was to be removed."""

    code = "still-in-use"
