# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can stop gatectl. Each message says what is wrong, why that matters, and what to do."""

from typing import List

from slidegate_gate.errors import GateError

__all__ = [
    "BadWorkflow",
    "NoHome",
    "RuntimeNotBuilt",
    "StillInUse",
    "UnknownName",
    "UnsafePermissions",
    "UnsuitablePython",
]


class NoHome(GateError):
    """The folder is not the home of a gate, or holds other things."""

    code = "no-home"


class UnsafePermissions(GateError):
    """Somebody else could write where the gate must be alone."""

    code = "unsafe-permissions"


class UnknownName(GateError):
    """No key, Release or workflow has that name, or the name cannot be one."""

    code = "unknown-name"


class BadWorkflow(GateError):
    """The workflow's folder cannot be installed; `faults` has one sentence for each reason."""

    code = "bad-workflow"

    def __init__(self, faults: List[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class UnsuitablePython(GateError):
    """The interpreter for a Runtime does not start or is older than the workflow allows."""

    code = "unsuitable-python"


class RuntimeNotBuilt(GateError):
    """The environment of a workflow cannot be built from the wheels that were given."""

    code = "runtime-not-built"


class StillInUse(GateError):
    """Accepted work still needs what was to be removed."""

    code = "still-in-use"
