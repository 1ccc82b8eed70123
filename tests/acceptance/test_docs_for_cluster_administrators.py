# SPDX-License-Identifier: BSD-3-Clause
"""The commands on the administrators' two pages, typed in their order by bert at a cluster's login node."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slidegate.sites.kit import write_kit
from tests.cluster import Cluster
from tests.small_workflow import manifest

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]  # it plants files in their homes

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "how-to"
HOME = "/home/bert/reader"
BLOCK = re.compile(r"^```\n(.*?)^```", re.S | re.M)
GATECTL = 'gatectl() { python3 -IS ~/.slidegate-gate/current ctl "$@"; }\n'
TINY = manifest(
    "nuclei", "step.py", [{"do": "all", "class": "cpu"}], {"said": {"type": "summary", "path": "said"}}
)


def blocks(page: str) -> list[str]:
    """Return the blocks of commands of a page; examples that nobody types say that they are text."""
    return BLOCK.findall((PAGES / page).read_text("utf-8"))


def carry(home: Path, folder: Path, name: str, version: str) -> None:
    """Put a kit there, with a workflow that needs no wheels."""
    workflow = folder / name / "nuclei"
    workflow.mkdir(parents=True)
    (workflow / "workflow.json").write_text(json.dumps({**TINY, "version": version}))
    (workflow / "parameters.schema.json").write_text('{"type": "object", "additionalProperties": false}')
    (workflow / "runtime.lock").write_text("")
    (workflow / "step.py").write_text("import sys\nsys.stdin.read()\n")
    write_kit(home / name, workflow.parent, [])
    program = home / name / "slidegate_gate" / "__init__.py"
    program.write_text(re.sub('__version__ = ".*"', f'__version__ = "{version}"', program.read_text()))


@pytest.fixture
def home(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    bert = cluster.home("bert")
    home = bert / "reader"
    home.mkdir()
    carry(home, tmp_path, "gate-kit", "1.0.0")
    carry(home, tmp_path, "gate-kit-new", "1.1.0")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    shutil.copy(tmp_path / "id.pub", home / "omero.pub")
    owner = bert.stat()
    for path in [home, *home.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    yield home
    shutil.rmtree(home)


def test_the_commands_for_administrators_work_in_their_order(cluster: Cluster, home: Path) -> None:
    def typed(block: str) -> str:
        argv = ["env", f"--chdir={HOME}", f"HOME={HOME}", "bash", "-ec", GATECTL + block]
        done = cluster.run("login", argv, user="bert", check=False, timeout=180)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        return done.stdout

    install, let_in, limit, watch, away = blocks("for-cluster-administrators.md")
    upgrade, look, back, clean, workflow = blocks("upgrade-and-roll-back.md")
    said = typed(install)
    assert "gate 1.0.0+" in said
    assert "BAD" not in said
    said = typed(let_in)
    assert "slidegate:omero\n" in said
    assert "/usr/bin/squeue --me" in said
    said = typed(limit)
    assert "gpu_hours_per_day=0\n" in said
    said = typed(watch)
    assert "omero  nuclei\n" in said
    assert "could be freed" in said
    said = typed(upgrade)
    assert "gate 1.1.0+" in said
    typed(look)
    older, newer = re.findall(r"gate (1\.[01]\.0)\+", typed(back))
    assert (older, newer) == ("1.0.0", "1.1.0")
    typed(clean)
    assert typed(workflow).count("nuclei 1.") == 3  # it was installed, and two are listed
    said = typed(away)
    assert "removed: restrict,from=" in said
    assert not (home / ".slidegate-gate").exists()
    assert (cluster.home("bert") / ".ssh" / "authorized_keys").read_text().count(HOME) == 0


def test_what_root_may_add_is_understood_by_sshd(cluster: Cluster, home: Path) -> None:
    page = (PAGES / "for-cluster-administrators.md").read_text("utf-8")
    (block,) = re.findall(r"^```text\n(Match .*?)^```", page, re.S | re.M)
    (home / "sshd_config").write_text(f"HostKey /etc/ssh/ssh_host_ed25519_key\n{block}")
    argv = ["/usr/sbin/sshd", "-T", "-f", f"{HOME}/sshd_config"]
    said = {}
    for user in ("slidegate", "anna"):
        done = cluster.run("login", [*argv, "-C", f"user={user},host=x,addr=10.99.1.2"])
        said[user] = done.stdout.splitlines()
    for line in ("authorizedkeysfile /etc/ssh/gate_keys/%u", "disableforwarding yes", "permittty no"):
        assert line in said["slidegate"]
        assert line not in said["anna"]
    assert any(line.startswith("forcecommand exec /usr/bin/python3 -IS /home/") for line in said["slidegate"])
