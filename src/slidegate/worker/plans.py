# SPDX-License-Identifier: BSD-3-Clause
"""What a site is asked to do: a plan is a function of its Tasks' rows, so it can be made again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate.domain.values import Digest, SubmissionId, canonical_json
from slidegate.sites.trees import tree_text

_MOST_ABOUT = 3500  # bytes; a site takes notes of 4096


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, and the Tree that holds nothing else.

    Attributes
    ----------
    text
        The canonical JSON of ``plan.json``.
    tree
        The text of the Tree.
    """

    text: bytes
    tree: bytes

    @property
    def digest(self) -> Digest:
        """The name of the Tree."""
        return Digest(hashlib.sha256(self.tree).hexdigest())

    @property
    def submission(self) -> SubmissionId:
        """The name of the Submission that this plan makes."""
        return SubmissionId(self.digest[:32])


def make_plan(run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Plan:
    """Return the plan for Tasks of one Run, all of them staged.

    Notes let a server that has lost its database make its Runs anew, see :mod:`slidegate.worker.rebuilding`.
    They hold no image names, which could be names of patients.
    """
    about = {name: run[name] for name in ("person", "release", "identity", "parameters")}
    about["tasks"] = sum(run["counts"].values())
    if len(canonical_json(about)) > _MOST_ABOUT:
        about = {}
    attempts = [
        {
            "attempt": task["attempt_key"],
            "inputs": {"image": task["input"], **_regions_of(task)},
            "parameters": run["parameters"],
            "note": {"task": task["id"], "attempt": task["attempt"], "content": task["content"],
                     "input": task["input"], **_regions_of(task), **about},
        }
        for task in sorted(tasks, key=lambda task: int(task["number"]))
    ]  # fmt: skip
    note = {
        "run": run["id"],
        "person": run["person"],
        "workflow": run["workflow"],
        "identity": run["identity"],
    }
    text = canonical_json({"plan": 1, "release": run["release"], "note": note, "attempts": attempts})
    return Plan(text, tree_text([("plan.json", len(text), hashlib.sha256(text).hexdigest())]))


def _regions_of(task: Mapping[str, Any]) -> dict[str, Any]:
    return {} if task["regions"] is None else {"regions": task["regions"]}
