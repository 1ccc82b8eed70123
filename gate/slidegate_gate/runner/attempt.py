# SPDX-License-Identifier: BSD-3-Clause
"""One Attempt, as its folder shows it: which Units there are, which are done, and who has taken which.

Nothing is kept in memory that a killed member would have to hand over.  Each step is a barrier: its Units
become ready when all Units of the step before are done.  After the last step comes one more Unit, RESULT,
which hashes the outputs and commits the result.  Leases save work, nothing more: two members that compute the
same Unit do no harm, as only one of them can commit it.

::

    shared/                        files that steps with "redo": "same-bytes" write whole
    leases/<step>.<unit>.<try>     names the member that took the Unit; a symbolic link, created exclusively
    tries/<step>.<unit>.<try>/     what that try wrote
    done/<step>.<unit>             created exclusively, naming the one try that counts
    members/<member>               how a member shows that it lives
    log                            what the steps said
"""

import contextlib
import os
import time
from typing import Any, Dict, List, NamedTuple

from ..errors import GateError
from ..serve import files
from ..serve.layout import Layout

RESULT = "RESULT"  # in capitals, as no step can be called
ALL = "all"


class Unit(NamedTuple):
    """A try of a Unit: its step, its name, and how many tries of it there were before."""

    step: str
    name: str
    number: int


class Attempt:
    """An Attempt of a Submission: `plan` is its entry in the plan, `steps` those of the manifest."""

    def __init__(self, layout: Layout, submission: str, plan: Dict[str, Any], steps: List[Any]) -> None:
        self.plan = plan
        self.steps = steps
        self.result = layout.result(plan["attempt"])
        self.folder = layout.work_dir(submission, plan["attempt"])
        self.log = layout.log(submission, plan["attempt"])
        self.inputs: Dict[str, str] = {}
        self.done: Dict[str, Dict[str, Any]] = {step["do"]: {} for step in steps}
        # what the member that looks at this Attempt remembers of its last look
        self.step = steps[0]["do"]
        self.silence = self.pause = self.look_at = 0.0

    def path(self, *names: str) -> str:
        """Return a path in the folder of this Attempt."""
        return os.path.join(self.folder, *names)

    def has_result(self) -> bool:
        """Say whether the one effect of this Attempt exists."""
        return os.path.exists(self.result)

    def look(self) -> List[str]:
        """Find out which step comes next; return its Units that are not done."""
        for folder in ("shared", "leases", "tries", "done", "members"):
            os.makedirs(self.path(folder), 0o700, exist_ok=True)
        for name in files.names_in(self.path("done")):
            step, _, unit = name.partition(".")
            if unit not in self.done[step]:
                self.done[step][unit] = files.read_json(self.path("done", name))
        for step in self.steps:
            # the step that lists the Units of this one is complete, as all steps before this one are
            lists = self.done[step["units"]].values() if "units" in step else [{"units": [ALL]}]
            units = [unit for record in lists for unit in record["units"]]
            missing = [unit for unit in units if unit not in self.done[step["do"]]]
            if missing:
                self.step = step["do"]
                return missing
        self.step = RESULT
        return [ALL]

    def tries(self) -> Dict[str, int]:
        """Return the number of the latest try of each Unit of the next step that was ever taken."""
        # in order, so that the latest try comes last
        leases = [name.split(".") for name in files.names_in(self.path("leases"))]
        return {unit: int(number) for step, unit, number in leases if step == self.step}

    def take(self, unit: Unit, member: str) -> bool:
        """Take the lease of a try; False where another member was faster.

        A link comes into being with what it says, in one step.  It is not flushed: who loses a lease in a
        power cut was cut off with it, or lets a Unit be done twice.
        """
        lease = self.path("leases", "{}.{}.{}".format(*unit))
        with contextlib.suppress(FileExistsError):
            os.symlink(member, lease)
        # also where the answer was lost and the repeat refused, as on NFS
        return os.readlink(lease) == member

    def heartbeat_of(self, unit: Unit) -> str:
        """Return the file in which the member counts that took the try."""
        return self.path("members", os.readlink(self.path("leases", "{}.{}.{}".format(*unit))))

    def folders_of(self, step: str) -> List[str]:
        """Return the folders of the tries that count, sorted by the names of their Units; all are there."""
        folders = [self.path("tries", record["try"]) for _, record in sorted(self.done[step].items())]
        return [folder for folder in folders if os.stat(folder)]

    def commit(self, unit: Unit, record: Dict[str, Any]) -> None:
        """Let this try count, unless another try of its Unit already does."""
        record["try"] = "{}.{}.{}".format(*unit)
        files.create_json(self.path("done", unit.step + "." + unit.name), record)

    def fail(self, failure: GateError, member: str) -> None:
        """Let the Attempt have failed, and say why."""
        error = {"code": failure.code, "message": str(failure)[:2000], "transient": failure.transient}
        self.finish("failed", member, error=error)

    def finish(self, state: str, member: str, **more: Any) -> None:
        """Commit the result: the one effect.  Where there is one already, that one stays."""
        records = [record for step in self.done.values() for record in step.values()]
        usage = {name: round(sum(one[name] for one in records), 3) for name in ("seconds", "cpu_seconds")}
        usage.update(units=len(records), max_rss_bytes=max([one["max_rss_bytes"] for one in records] or [0]))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        files.create_json(self.result, dict(more, state=state, by=member, at=at, usage=usage))
