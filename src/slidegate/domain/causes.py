# SPDX-License-Identifier: BSD-3-Clause
"""Why jobs of a cluster wait, and why they ended: a scheduler's words, in words for people."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

CAUSES = ("cancelled", "out-of-memory", "time-limit", "node-lost", "preempted", "failed")
"""How members of a crew can end before the work does. Of those that befell equally many, the first counts."""

REASON = re.compile("[A-Za-z0-9_]{1,60}")

_ACCOUNT = "waits because of a limit of your account at the site"
_NODES = "waits because computers of the site are down or reserved"
_NEVER = "cannot start as the site is set up: tell the administrator of the site"
_HELD = "is held back: ask the administrator of the site"
_WAITS = (
    ("Resources", "waits for a free computer"),
    ("Priority", "waits because others are before it in the queue"),
    ("JobArrayTaskLimit", "waits for other jobs of this run"),
    ("JobHeld", _HELD),
    ("Reservation", _NODES),
    ("ReqNodeNotAvail", _NODES),
    ("Nodes_required", _NODES),
    ("NodeDown", _NODES),
    ("PartitionDown", _NODES),
    ("PartitionInactive", _NODES),
    ("BeginTime", "waits for the time at which it may begin"),
    ("Dependency", "waits for another job"),
    ("DependencyNeverSatisfied", _NEVER),
    ("Licenses", "waits for a licence"),
    ("Partition", _NEVER),
    ("BadConstraints", _NEVER),
    ("Invalid", _NEVER),
    ("AccountNotAllowed", _NEVER),
    ("QOSNotAllowed", _NEVER),
    ("Assoc", _ACCOUNT),
    ("QOS", _ACCOUNT),
    ("MaxJobsPerAccount", _ACCOUNT),
    ("MaxMemPerLimit", _ACCOUNT),
)


def waits(reason: str) -> str:
    """Say why a job has not started; a reason that is not known here is shown as it is."""
    fitting = [(len(name), words) for name, words in _WAITS if reason.startswith(name)]
    return f"{max(fitting)[1] if fitting else 'waits'} ({reason})"


def main_cause(crews: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why most members of crews ended, None when nothing is known."""
    numbers = dict.fromkeys(CAUSES, 0)
    for crew in crews:
        for cause, number in crew.get("causes", {}).items():
            numbers[cause] += number
    most = max(numbers.values())
    return next(cause for cause in CAUSES if numbers[cause] == most) if most else None


def known_causes(said: object) -> dict[str, int]:
    """Return what is understood of the causes that a site names."""
    found = said if isinstance(said, dict) else {}
    return {cause: found[cause] for cause in CAUSES if type(found.get(cause)) is int and found[cause] > 0}


def why_queued(crews: Mapping[str, Any] | None) -> str | None:
    """Return why the crews of a Submission have not started; of those that wait, the newest counts."""
    known = sorted((crews or {}).values(), key=lambda crew: int(crew["round"]))
    said = [crew["reason"] for crew in known if crew["state"] == "queued" and "reason" in crew]
    return waits(said[-1]) if said else None
