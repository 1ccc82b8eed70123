# SPDX-License-Identifier: BSD-3-Clause
"""Releases: installed workflows.  Jobs run from these and from nothing else.

A Release is named by the digest of its files and of its Runtime, so its name says exactly what runs.  It is
built under another name and renamed: a Release that can be seen is whole, and it never changes.
"""

import os
from typing import Any, Dict, List, Tuple

from .. import folders
from ..protocol.canonical import canonical, digest_of
from ..serve import files
from .manifests import Workflow
from .runtimes import BUILD_SECONDS, RuntimeNotBuilt, run_program

__all__ = ["ensure_release", "find_releases", "step_command"]


def ensure_release(home: str, workflow: Workflow, runtime: str, prepare: bool) -> Tuple[str, bool]:
    """Return the digest of the Release of a workflow in a Runtime, and whether it was made now.

    What the manifest calls ``prepare`` is run for a new Release, and where `prepare` says so.  Raises
    RuntimeNotBuilt where that fails.  Safe to repeat.
    """
    entries = [[name, len(data), digest_of(data)] for name, data in sorted(workflow.contents.items())]
    digest = digest_of(canonical({"release": 1, "entries": entries, "runtime": runtime}))
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
    target = os.path.join(home, "releases", digest)
    if os.path.isdir(target):
        if prepare:
            _prepare(release, target)
        return digest, False
    files.make_dirs(os.path.dirname(target))
    made = files.temporary(home)
    folders.write(made, dict(workflow.contents, **{"release.json": canonical(release)}))
    _prepare(release, made)
    folders.publish(made, target)
    return digest, True


def _prepare(release: Dict[str, Any], folder: str) -> None:
    if "prepare" in release["manifest"]:
        code, words = run_program(step_command(release, folder, "prepare"), folder, BUILD_SECONDS)
        if code:
            raise RuntimeNotBuilt("What the workflow runs when it is installed failed: {}".format(words))


def find_releases(home: str) -> List[Dict[str, Any]]:
    """Return the release.json of each Release, by name, version and digest."""
    folder = os.path.join(home, "releases")
    found = [files.read_json(os.path.join(folder, name, "release.json")) for name in files.names_in(folder)]
    return sorted(filter(None, found), key=lambda one: (one["name"], one["version"], one["digest"]))


def step_command(release: Dict[str, Any], folder: str, which: str = "command") -> List[str]:
    """Return an argument list of a Release: the Runtime's interpreter, and files in the Release's folder."""
    words = release["manifest"][which][1:]
    return [release["python"]] + [os.path.join(folder, one[2:]) if one[:2] == "./" else one for one in words]
