# SPDX-License-Identifier: BSD-3-Clause
"""What to carry to a cluster: the gate as plain files, workflows with their wheels, and a page about it."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import slidegate_gate

from slidegate.domain.errors import BadRequest, UnknownWorkflow

_INTERPRETER = re.compile(r"-cp3(\d+)-cp3\d+-")
_PAGE = """\
# A gate for slidegate

Carry this folder to the cluster's login node, into the account that the jobs shall run in. Nothing here
needs root, the internet or a daemon. `slidegate_gate/` is the whole program: plain Python, to be read before
it is run.

On the login node, in this folder:

    python3 slidegate_gate ctl install --site SITE --scheduler slurm --partition PARTITION
{workflows}    python3 slidegate_gate ctl key add KEY {allowed}
    python3 slidegate_gate ctl authorize KEY.pub --key KEY --from ADDRESS
    python3 slidegate_gate ctl selftest
    python3 slidegate_gate ctl explain

`SITE` is what the site calls itself in its answers. `KEY` and `KEY.pub` are what `slidegate key create KEY`
printed where slidegate runs, and `ADDRESS` is where its connections come from. `--account` and `--qos` of
`install` say what Slurm shall charge; `--state` and `--data` put the journal and the images elsewhere than
into the home.
{interpreter}

`selftest` says in words what does not fit; `explain` prints every program that the key can ever start. To
remove it all, with its line in `~/.ssh/authorized_keys`: `python3 slidegate_gate ctl remove --yes`.

Then, where slidegate runs:

    slidegate site add NAME --ssh HOST --user ACCOUNT --key KEY --host-key "ssh-ed25519 AAAA..."
    slidegate site check NAME

with the host key from `/etc/ssh/ssh_host_ed25519_key.pub` of the login node.
"""


def write_kit(folder: Path, workflows_dir: Path, names: Sequence[str]) -> list[str]:
    """Write everything that a gate needs into a new folder, whole or not at all.

    Parameters
    ----------
    workflows_dir
        Where workflows lie with their wheels, a folder each.
    names
        Which of them to take along; all where none is named.

    Returns
    -------
    The workflows that are in it.

    Raises
    ------
    BadRequest
        Something lies at that place already, or it cannot be written.
    UnknownWorkflow
        There is no such workflow to take along.
    """
    there = {path.parent.name: path.parent for path in sorted(workflows_dir.glob("*/workflow.json"))}
    missing = [name for name in names if name not in there]
    if missing:
        known = ", ".join(there) or "none"
        raise UnknownWorkflow(f"There is no workflow {missing[0]!r} in {workflows_dir}. There is: {known}.")
    chosen = {name: there[name] for name in (names or there)}
    if folder.exists():
        raise BadRequest(f"There is something at {folder} already. Name a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".kit-", dir=folder.parent))
        try:
            _fill(made, chosen)
            made.chmod(0o755)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise BadRequest(f"{folder} cannot be written: {error.strerror}.") from error
    return list(chosen)


def _fill(folder: Path, workflows: dict[str, Path]) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(Path(slidegate_gate.__file__).parent, folder / "slidegate_gate", ignore=ignored)
    for name, path in workflows.items():
        shutil.copytree(path, folder / "workflows" / name, ignore=ignored)
    wheels = [path.name for path in folder.glob("workflows/*/wheels/*.whl")]
    minors = sorted({found.group(1) for found in map(_INTERPRETER.search, wheels) if found})
    page = _PAGE.format(
        workflows="".join(
            f"    python3 slidegate_gate ctl workflow install workflows/{name}\n" for name in workflows
        ),
        allowed=" ".join(f"--workflow {name}" for name in workflows) or "--workflow NAME",
        interpreter=(
            f"The wheels here are for Python 3.{', 3.'.join(minors)}: where `python3` is another, say\n"
            "`--python PATH` to `workflow install`."
            if minors
            else ""
        ),
    )
    (folder / "README.md").write_text(page, encoding="utf-8")
