# SPDX-License-Identifier: BSD-3-Clause
"""Why a try of a Unit, or a whole Attempt, failed.

`code` is stable; `transient` tells the person's side whether a new Attempt may succeed with nothing changed;
`again` tells the crew whether another try of the same Unit may.
"""

from typing import Any, Dict

from ..errors import GateError

MAX_MESSAGE = 2000


class Failure(GateError):  # noqa: N818 - a situation is named as what it is
    """The work failed."""

    again = False

    def error(self) -> Dict[str, Any]:
        """Return the part of ``result.json`` that says why."""
        return {"code": self.code, "message": str(self)[:MAX_MESSAGE], "transient": self.transient}


class StepFailed(Failure):
    """A step said that it cannot do its work."""

    def __init__(self, code: str, message: str, transient: bool) -> None:
        super().__init__(message)
        self.code = code
        self.transient = self.again = transient


class StepCrashed(Failure):
    """The process of a step ended, or answered something that is no answer, again and again."""

    code = "step-crashed"
    again = True


class MembersDied(Failure):
    """Each member of the crew that took one Unit disappeared while working on it, as if killed."""

    code = "step-crashed"


class InputVanished(Failure):
    """An input is not kept at the site any more; it has to be sent again."""

    code = "input-vanished"
    transient = True


class BadOutput(Failure):
    """What the workflow wrote is not what its manifest promises."""

    code = "bad-output"
