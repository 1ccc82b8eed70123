# SPDX-License-Identifier: BSD-3-Clause
"""Where everything lies.

This is the only place that knows the names of files and folders.  There are three roots:

- ``home``: the program and what was installed by the administrator; nothing here is written by a key.
- ``state``: the journal, results, audit.  It must not vanish; every promise of "at most one" rests on it.
- ``data``: contents and work folders.  It may vanish at any time; what is missing is sent again.

Below ``state`` and ``data`` everything belongs to one key, and no name of one key leads to another's folder.
Digests, keys of Attempts and ids of Submissions are checked to be hexadecimal before they arrive here (see
``checks``), so that joining them to a folder cannot leave it.
"""

import os
from typing import Any, Dict, Tuple

from ..errors import UnknownClass


def class_of(config: Dict[str, Any], name: str) -> Tuple[str, Dict[str, Any]]:
    """Return name and settings of the resource class that does the work of class `name` at this site.

    A site may map one class onto another (``"small": {"as": "cpu"}``), so that one crew does all steps.
    Raises UnknownClass where the site has no such class.
    """
    classes = config.get("classes", {})
    name = classes.get(name, {}).get("as", name)
    settings = classes.get(name, {"as": name})
    if "as" in settings:
        raise UnknownClass("This site has no resource class {!r}.".format(name))
    return name, settings


class Layout:
    """Every path of one key at one gate."""

    def __init__(self, home: str, config: Dict[str, Any], key: str) -> None:
        self.home = os.path.abspath(home)
        self.config = config
        self.key = key
        self.settings: Dict[str, Any] = config.get("keys", {}).get(key, {})
        self.state = os.path.join(config["state"], "keys", key)
        self.data = os.path.join(config["data"], "keys", key)
        self.scheduler = os.path.join(config["state"], "scheduler")
        self.attempts = os.path.join(self.state, "attempts")
        self.submissions = os.path.join(self.state, "submissions")
        self.audit = os.path.join(self.state, "audit.jsonl")
        self.usage = os.path.join(self.state, "used.json")
        self.requests = os.path.join(self.state, "requests")
        self.bytes = os.path.join(self.state, "bytes")
        self.channels = os.path.join(self.state, "channels")
        self.errors = os.path.join(self.state, "errors.log")
        self.blobs = os.path.join(self.data, "blobs")
        self.parts = os.path.join(self.data, "parts")
        self.trees = os.path.join(self.data, "trees")
        self.work = os.path.join(self.data, "work")

    # what the administrator installed

    def release_dir(self, digest: str) -> str:
        return os.path.join(self.home, "releases", digest)

    def release(self, digest: str) -> str:
        return os.path.join(self.release_dir(digest), "release.json")

    # state: the journal

    def attempt_dir(self, attempt: str) -> str:
        return os.path.join(self.attempts, attempt)

    def owner(self, attempt: str) -> str:
        return os.path.join(self.attempts, attempt, "owner.json")

    def result(self, attempt: str) -> str:
        return os.path.join(self.attempts, attempt, "result.json")

    def released(self, attempt: str) -> str:
        return os.path.join(self.attempts, attempt, "released.json")

    def submission_dir(self, submission: str) -> str:
        return os.path.join(self.submissions, submission)

    def plan(self, submission: str) -> str:
        return os.path.join(self.submissions, submission, "plan.json")

    def submission_released(self, submission: str) -> str:
        return os.path.join(self.submissions, submission, "released.json")

    def crew(self, what: str, submission: str, crew_class: str, number: int) -> str:
        """Return where the intent, the receipt or the claim of a crew lies."""
        name = "{}.{}.{}.json".format(crew_class, number, what)
        return os.path.join(self.submissions, submission, name)

    # data: contents, and where Attempts compute

    def blob(self, digest: str) -> str:
        return os.path.join(self.blobs, digest[:2], digest)

    def part(self, digest: str) -> str:
        return os.path.join(self.parts, digest)

    def work_dir(self, submission: str, attempt: str) -> str:
        return os.path.join(self.work, submission, attempt)

    def log(self, submission: str, attempt: str) -> str:
        return os.path.join(self.work, submission, attempt, "log")
