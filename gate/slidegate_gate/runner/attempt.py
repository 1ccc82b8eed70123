# SPDX-License-Identifier: BSD-3-Clause
"""One Attempt, as its folder shows it: which Units there are, which are done, and which one to take next.

Nothing is kept in memory that a killed member would have to hand over.  Each step is a barrier: its Units
become ready when all Units of the step before are done.  After the last step comes one more Unit, RESULT,
which hashes the outputs and commits the result.

::

    shared/                        files that steps with "redo": "same-bytes" write whole
    leases/<step>.<unit>.<try>     who took the Unit; created exclusively
    tries/<step>.<unit>.<try>/     what that try wrote
    done/<step>.<unit>             created exclusively, naming the one try that counts
    members/<member>               how a member shows that it lives
    log                            what the steps said
"""

import contextlib
import os
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..serve import files
from ..serve.layout import Layout
from .leases import Watch
from .step_process import Log

__all__ = ["RESULT", "Attempt", "Unit"]

RESULT = "RESULT"  # in capitals, as no step can be called
ALL = "all"
MAX_TRIES = 3


class Unit(NamedTuple):
    """A try of a Unit: its step, its name, and how many tries of it there were before."""

    step: str
    name: str
    number: int


class Attempt:
    """An Attempt of a Submission: `plan` is its entry in the plan, `steps` those of the manifest."""

    def __init__(
        self, layout: Layout, submission: str, plan: Dict[str, Any], steps: List[Dict[str, Any]]
    ) -> None:
        self.plan = plan
        self.steps = steps
        self.result_path = layout.result(plan["attempt"])
        self.folder = layout.work_dir(submission, plan["attempt"])
        self.shared = os.path.join(self.folder, "shared")
        self.log = Log(layout.log(submission, plan["attempt"]))
        self.inputs: Optional[Dict[str, str]] = None
        self.done: Dict[str, Dict[str, Dict[str, Any]]] = {}
        # what the member that looks at this Attempt remembers of its last look
        self.step = steps[0]["do"]
        self.silence = 0.0
        self.pause = 0.0
        self.look_at = 0.0

    # what there is to do

    def has_result(self) -> bool:
        """Say whether the one effect of this Attempt exists."""
        return os.path.exists(self.result_path)

    def next_step(self) -> Tuple[str, List[str]]:
        """Return the first step that is not complete, and its Units that are not done."""
        self._read_done()
        for step in self.steps:
            done = self.done.get(step["do"], {})
            missing = [unit for unit in self._units_of(step) if unit not in done]
            if missing:
                return step["do"], missing
        return RESULT, [ALL]

    def _units_of(self, step: Dict[str, Any]) -> List[str]:
        """Return the names of a step's Units, once the step that lists them is complete."""
        if "units" not in step:
            return [ALL]
        return [unit for record in self.done[step["units"]].values() for unit in record["units"]]

    def _read_done(self) -> None:
        for name in self._names("done"):
            step, _, unit = name.partition(".")
            if unit not in self.done.setdefault(step, {}):
                record = files.read_json(self._path("done", name))
                if record is not None:
                    self.done[step][unit] = record

    # taking a Unit

    def tries_of(self, step: str) -> Dict[str, int]:
        """Return the number of the latest try of each Unit of the step that was ever taken."""
        latest: Dict[str, int] = {}
        for name in self._names("leases"):
            of_step, unit, number = name.split(".")
            if of_step == step:
                latest[unit] = max(int(number), latest.get(unit, 0))
        return latest

    def take(self, unit: Unit, member: str) -> bool:
        """Take the lease of a try; False where another member was faster."""
        return files.create_json(self._path("leases", "{}.{}.{}".format(*unit)), {"member": member})

    def silence_of(self, unit: Unit, watch: Watch) -> float:
        """Return for how many seconds the member that took the try was seen to show no life."""
        lease = files.read_json(self._path("leases", "{}.{}.{}".format(*unit))) or {}
        return watch.silence(self.heartbeat(lease.get("member", "")))

    def heartbeat(self, member: str) -> str:
        """Return the path of the file in which `member` counts while it works here."""
        return self._path("members", member)

    def prepare(self) -> None:
        """Make the folders that are missing."""
        for name in ("shared", "leases", "tries", "done", "members"):
            os.makedirs(self._path(name), 0o700, exist_ok=True)

    # doing it

    def try_folder(self, unit: Unit) -> str:
        """Make and return the folder that belongs to this try alone."""
        folder = self._path("tries", "{}.{}.{}".format(*unit))
        os.makedirs(folder, 0o700, exist_ok=True)
        return folder

    def folders_of(self, step: str) -> List[str]:
        """Return the folders of the tries that count, sorted by the names of their Units."""
        done = self.done.get(step, {})
        return [self._path("tries", done[unit]["try"]) for unit in sorted(done)]

    def commit(self, unit: Unit, record: Dict[str, Any]) -> None:
        """Let this try count, unless another try of its Unit already does."""
        record = dict(record, **{"try": "{}.{}.{}".format(*unit)})
        files.create_json(self._path("done", "{}.{}".format(unit.step, unit.name)), record)

    def finish(self, state: str, member: str, **more: Any) -> None:
        """Commit the result: the one effect.  Where there is one already, that one stays."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        record = dict(more, state=state, by=member, at=at, usage=self.usage())
        files.create_json(self.result_path, record)

    def usage(self) -> Dict[str, Any]:
        """Return what the Units that count have cost together."""
        self._read_done()
        records = [record for step in self.done.values() for record in step.values()]
        return {
            "units": len(records),
            "seconds": round(sum(record["seconds"] for record in records), 3),
            "cpu_seconds": round(sum(record["cpu_seconds"] for record in records), 3),
            "max_rss_bytes": max([record["max_rss_bytes"] for record in records] or [0]),
        }

    # where things lie

    def _path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def _names(self, folder: str) -> List[str]:
        names: List[str] = []
        with contextlib.suppress(FileNotFoundError):
            names = [name for name in os.listdir(self._path(folder)) if not name.startswith(".")]
        return names
