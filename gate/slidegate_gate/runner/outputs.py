# SPDX-License-Identifier: BSD-3-Clause
"""What goes into an Attempt, and what comes out of it.

The outputs are all files in ``shared`` and in the folders of the last step's tries.  Where both have a file
of one name, the last step's counts: it may complete what the steps before it have written.
"""

import errno
from typing import Any, Dict

from .. import contents
from ..errors import BadOutput, Failure, GateError, MissingBlobs, NoSpace
from ..produced import MAX_FILES, files_in, is_plain
from ..protocol import messages
from ..serve import files
from ..serve.layout import Layout
from .attempt import Attempt
from .step_process import InputVanished


def inputs(layout: Layout, attempt: Attempt) -> Dict[str, str]:
    """Return the folder of each input, with every file there in its size; raise MissingBlobs otherwise."""
    return {name: contents.materialise(layout, tree) for name, tree in attempt.plan["inputs"].items()}


def cause(layout: Layout, attempt: Attempt, error: Exception) -> GateError:
    """Return why an Attempt fails, which may be that the site has no space or has lost files of it.

    Raises any other error of the site: it may be this computer's alone, and others can do the work.
    """
    try:
        inputs(layout, attempt)
        files.write_json(attempt.path("room"), "." * 65536)
    except (OSError, GateError) as found:
        error = found
    if isinstance(error, (FileNotFoundError, MissingBlobs)):
        return InputVanished()
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace("The site has no space left for what the workflow writes.")
    if not isinstance(error, Failure):
        raise error
    return error


def store(layout: Layout, attempt: Attempt, promised: Dict[str, Any]) -> str:
    """Make the outputs blobs and return the digest of their Tree.

    Raises BadOutput where a file has a name or a kind that a Tree cannot hold, or where one of the outputs
    that the manifest promises, and does not call optional, is missing.  Safe to repeat.
    """
    found: Dict[str, str] = {}
    for folder in [attempt.path("shared")] + attempt.folders_of(attempt.steps[-1]["do"]):
        found.update(files_in(folder))
    if len(found) > MAX_FILES:
        raise BadOutput("There are {} output files, too many for one Tree.".format(len(found)))
    for path in [output["path"] for output in promised.values() if not output.get("optional")]:
        if not any((name + "/").startswith(path + "/") for name in found):
            raise BadOutput("The workflow did not write its output {}.".format(path))
    for name, path in found.items():
        if not messages.is_name(name) or not is_plain(path):
            raise BadOutput("The output {!r} is no readable file with a plain name.".format(name))
    return contents.write_tree(layout, contents.link_outputs(layout, found))
