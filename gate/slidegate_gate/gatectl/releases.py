# SPDX-License-Identifier: BSD-3-Clause
"""Releases: installed workflows.  Jobs run from these and from nothing else.

A Release is named by the digest of its files and of its Runtime, so its name says exactly what runs.  It is
built under another name and renamed: a Release that can be seen is whole, and it never changes.
"""

import os
import shutil
from argparse import Namespace
from typing import Any, Dict, List, Tuple

from slidegate_gate.manifests import BadWorkflow, Workflow, read_workflow
from slidegate_gate.serve import files, status

from .errors import StillInUse, UnknownName
from .homes import key_layouts, locked_home, open_home, rename, write
from .runtimes import ensure_runtime

__all__ = ["check", "find_releases", "install", "list_all", "remove"]


def check(asked: Namespace) -> None:
    """Say whether a folder can be installed; raise BadWorkflow with a sentence for each fault."""
    print("{name} {version} can be installed".format(**read_workflow(asked.folder).manifest))


def install(asked: Namespace) -> None:
    """Make a Release of the workflow in a folder, and its Runtime from a folder of wheels.

    Raises BadWorkflow or RuntimeNotBuilt.  A repeat finds both and changes nothing.
    """
    workflow = read_workflow(asked.folder)
    manifest = workflow.manifest
    stated = manifest["runtime"]
    wheels = asked.wheels or os.path.join(asked.folder, "wheels")
    with locked_home(asked.home) as config:
        for step in manifest["steps"]:
            if step["class"] not in config["classes"]:
                words = "config.json has no class {class!r}, which the step {do!r} needs: add it."
                raise BadWorkflow(words.format(**step))
        lock = workflow.contents[stated["lock"]]
        runtime, built = ensure_runtime(asked.home, lock, wheels, asked.python, stated.get("python", "3.6"))
        digest, new = _ensure_release(asked.home, workflow, runtime)
    print("{name} {version}".format(**manifest))
    print("release {} ({})".format(digest, "new" if new else "was there"))
    print("runtime {} ({})".format(runtime, "new" if built else "was there"))


def _ensure_release(home: str, workflow: Workflow, runtime: str) -> Tuple[str, bool]:
    entries = [[name, len(data), files.digest_of(data)] for name, data in sorted(workflow.contents.items())]
    digest = files.digest_of(files.canonical({"release": 1, "entries": entries, "runtime": runtime}))
    target = os.path.join(home, "releases", digest)
    if os.path.isdir(target):
        return digest, False
    files.make_dirs(os.path.dirname(target))
    made = files.temporary(home)
    for name, data in workflow.contents.items():
        write(os.path.join(made, name), data)
    release = {
        "format": 1,
        "name": workflow.manifest["name"],
        "version": workflow.manifest["version"],
        "digest": digest,
        "runtime": runtime,
        "python": os.path.join(home, "runtimes", runtime, "bin", "python"),
        "manifest": workflow.manifest,
        "schema": workflow.schema,
    }
    files.write_json(os.path.join(made, "release.json"), release)
    rename(made, target)
    return digest, True


def find_releases(home: str) -> List[Dict[str, Any]]:
    """Return the release.json of each Release, by name, version and digest."""
    open_home(home)
    folder = os.path.join(home, "releases")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = [files.read_json(os.path.join(folder, name, "release.json")) for name in names if name[0] != "."]
    return sorted(filter(None, found), key=lambda one: (one["name"], one["version"], one["digest"]))


def list_all(asked: Namespace) -> None:
    """Print each Release."""
    for one in find_releases(asked.home):
        print("{name} {version}  release {digest}  runtime {runtime}".format(**one))


def remove(asked: Namespace) -> None:
    """Remove the Releases of a name, or the one whose digest begins so.

    Raises UnknownName, and StillInUse where accepted work is not at its end.  Their Runtimes go with the next
    ``gatectl clean``.
    """
    name = asked.name
    releases = find_releases(asked.home)
    chosen = [one["digest"] for one in releases if one["name"] == name or one["digest"].startswith(name)]
    if not chosen:
        raise UnknownName("No workflow or Release is called {!r}: see `gatectl workflow list`.".format(name))
    for layout in key_layouts(asked.home):
        for submission, plan in status.open_submissions(layout):
            if plan["release"] in chosen and status.alive(layout, submission, plan):
                words = "Release {} still has work to do: cancel it, or wait until it is done."
                raise StillInUse(words.format(plan["release"]))
    for digest in chosen:
        hidden = files.temporary(asked.home)
        os.rename(os.path.join(asked.home, "releases", digest), hidden)
        shutil.rmtree(hidden)
        print("removed release {}".format(digest))
