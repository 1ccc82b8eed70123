# SPDX-License-Identifier: BSD-3-Clause
"""The verbs for workflows: check, install, list, remove."""

import os
import shutil
from argparse import Namespace

from slidegate_gate.home.config import UnknownName, key_layouts, locked_home, open_home
from slidegate_gate.serve import files, status
from slidegate_gate.workflows.manifests import BadWorkflow, read_workflow
from slidegate_gate.workflows.releases import ensure_release, find_releases
from slidegate_gate.workflows.runtimes import ensure_runtime

from .errors import StillInUse


def check(asked: Namespace) -> None:
    """Say whether a folder can be installed; raise BadWorkflow with a sentence for each fault."""
    print("{name} {version} can be installed".format(**read_workflow(asked.folder).manifest))


def install(asked: Namespace) -> None:
    """Make a Release of the workflow in a folder, and its Runtime from a folder of wheels.

    Raises BadWorkflow or RuntimeNotBuilt.  A repeat finds both and changes nothing.
    """
    workflow = read_workflow(asked.folder)
    stated = workflow.manifest["runtime"]
    lock = workflow.contents[stated["lock"]]
    wheels = asked.wheels or os.path.join(asked.folder, "wheels")
    with locked_home(asked.home) as config:
        for step in workflow.manifest["steps"]:
            if step["class"] not in config["classes"]:
                words = "config.json has no class {class!r}, which the step {do!r} needs: add it."
                raise BadWorkflow(words.format(**step))
        runtime, built = ensure_runtime(asked.home, lock, wheels, asked.python, stated.get("python", "3.6"))
        release, made = ensure_release(asked.home, workflow, runtime, prepare=built)
    print("{name} {version}".format(**workflow.manifest))
    print("release {} ({})".format(release, "new" if made else "was there"))
    print("runtime {} ({})".format(runtime, "new" if built else "was there"))


def list_all(asked: Namespace) -> None:
    """Print each Release."""
    open_home(asked.home)
    for one in find_releases(asked.home):
        print("{name} {version}  release {digest}  runtime {runtime}".format(**one))


def remove(asked: Namespace) -> None:
    """Remove the Releases of a name, or the one whose digest begins so, with eight digits or more.

    Raises UnknownName, and StillInUse where accepted work is not at its end.  Their Runtimes go with the next
    ``gatectl clean``.
    """
    name = asked.name
    with locked_home(asked.home):
        found = [(one["name"], one["digest"]) for one in find_releases(asked.home)]
        chosen = [digest for called, digest in found if called == name or digest[: max(8, len(name))] == name]
        if not chosen:
            words = "No workflow or Release is called {!r}: see `gatectl workflow list`."
            raise UnknownName(words.format(name))
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
