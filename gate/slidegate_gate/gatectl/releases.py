# SPDX-License-Identifier: BSD-3-Clause
"""Releases: installed workflows. Jobs run from these and from nothing else.

A Release is named by the digest of its files and of its Runtime, so its name says exactly what runs. It is
built under another name and renamed: a Release that can be seen is whole, and it never changes.
"""

import os
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple

from slidegate_gate.serve import files

from .errors import BadWorkflow, StillInUse, UnknownName
from .homes import open_home, rename_folder, write_file
from .manifests import check_workflow
from .runtimes import ensure_runtime

__all__ = ["Installed", "find_releases", "install_workflow", "remove_workflow"]


class Installed(NamedTuple):
    """What `install_workflow` did."""

    name: str
    version: str
    release: str
    runtime: str
    new_release: bool
    new_runtime: bool


def install_workflow(home: str, folder: str, wheels: str, python: str) -> Installed:
    """Make a Release of the workflow in `folder`, and its Runtime from the folder `wheels`.

    Raises BadWorkflow, UnsuitablePython or RuntimeNotBuilt. A repeat finds both and changes nothing.
    """
    config = open_home(home)
    home = os.path.abspath(home)
    workflow = check_workflow(folder)
    manifest = workflow.manifest
    for step in manifest["steps"]:
        if step["class"] not in config["classes"]:
            raise BadWorkflow(
                [
                    "config.json has no class {!r}, which the step {!r} needs.".format(
                        step["class"], step["do"]
                    )
                ]
            )
    stated = manifest["runtime"]
    runtime, new_runtime = ensure_runtime(
        home, os.path.join(folder, stated["lock"]), wheels, python, stated.get("python", "3.6")
    )
    contents = {}
    for name, path in workflow.entries:
        with open(path, "rb") as file:
            contents[name] = file.read()
    tree = [[name, len(data), files.digest_of(data)] for name, data in sorted(contents.items())]
    named = {"release": 1, "tree": {"tree": 1, "entries": tree}, "runtime": runtime}
    digest = files.digest_of(files.canonical(named))
    target = os.path.join(home, "releases", digest)
    new_release = not os.path.isdir(target)
    if new_release:
        made = files.temporary(os.path.dirname(target))
        for name, data in contents.items():
            write_file(os.path.join(made, name), data)
        release = {
            "format": 1,
            "name": manifest["name"],
            "version": manifest["version"],
            "digest": digest,
            "runtime": runtime,
            "python": os.path.join(home, "runtimes", runtime, "bin", "python"),
            "manifest": manifest,
            "schema": workflow.schema,
        }
        files.write_json(os.path.join(made, "release.json"), release)
        rename_folder(made, target)
    return Installed(manifest["name"], manifest["version"], digest, runtime, new_release, new_runtime)


def find_releases(home: str) -> List[Dict[str, Any]]:
    """Return the release.json of each Release, by name, version and digest."""
    folder = os.path.join(home, "releases")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [files.read_json(os.path.join(folder, name, "release.json")) for name in names if name[0] != "."]
    return sorted((one for one in found if one), key=lambda one: (one["name"], one["version"], one["digest"]))


def remove_workflow(home: str, name: str) -> List[str]:
    """Remove the Releases of that name, or the one whose digest begins so; return their digests.

    Raises UnknownName, and StillInUse where accepted work is not at its end. Their Runtimes go with the next
    ``gatectl clean``.
    """
    config = open_home(home)
    chosen = [
        one["digest"]
        for one in find_releases(home)
        if one["name"] == name or (len(name) >= 8 and one["digest"].startswith(name))
    ]
    if not chosen:
        raise UnknownName("No workflow or Release is called {!r}: see `gatectl workflow list`.".format(name))
    for submission in _unfinished(config["state"]):
        if submission["release"] in chosen:
            raise StillInUse(
                "Release {} still has work to do: cancel it, or wait until it is done.".format(
                    submission["release"][:12]
                )
            )
    for digest in chosen:
        path = os.path.join(home, "releases", digest)
        hidden = files.temporary(os.path.dirname(path))
        os.rename(path, hidden)
        shutil.rmtree(hidden)
    return chosen


def _unfinished(state: str) -> Iterator[Dict[str, Any]]:
    # A Submission is at its end when each of its Attempts has a result.
    keys = os.path.join(state, "keys")
    for key in os.listdir(keys) if os.path.isdir(keys) else []:
        folder = os.path.join(keys, key, "submissions")
        for submission in os.listdir(folder) if os.path.isdir(folder) else []:
            plan = files.read_json(os.path.join(folder, submission, "plan.json")) or {"attempts": []}
            attempts = [os.path.join(keys, key, "attempts", one["attempt"]) for one in plan["attempts"]]
            if not all(os.path.exists(os.path.join(path, "result.json")) for path in attempts):
                yield plan
