# SPDX-License-Identifier: BSD-3-Clause
"""A gate at a real Slurm, for benchmarks/chaos.py: the way to it, the gate and slurmctld can be killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.acceptance.embedded import Place  # noqa: E402
from tests.cluster import Cluster  # noqa: E402

SLIDEGATE = Path(sys.executable).with_name("slidegate")
SITE, KEY = "lab", "chaos"
DEATHS = ("way", "way", "gate there", "slurmctld")


class Lab:
    """The site ``lab``: anna's account at a cluster, with the workflow count_bytes."""

    def __init__(self, cluster: Cluster, place: Place, environment: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._place = place
        self._environment = dict(environment)
        self._install()

    def _here(self, *words: object) -> None:
        """Type a slidegate command."""
        argv = [str(SLIDEGATE), *map(str, words)]
        subprocess.run(argv, env=self._environment, capture_output=True, check=True)

    def _gatectl(self, *words: str, program: str = ".slidegate-gate/current") -> None:
        argv = ["python3", "-IS", f"/home/anna/{program}", "ctl", *words]
        self._cluster.run("login", argv, user="anna", timeout=300)

    def _install(self) -> None:
        """Bring the gate and the workflow into anna's account, and name the site here, as people do."""
        kit, home = self._place.root / "kit", self._cluster.home("anna")
        self._here("site", "kit", kit, "--workflow", "count_bytes")
        self._here("key", "create", KEY)
        shutil.copy(self._place.settings.home / "keys" / KEY / "id.pub", kit / "key.pub")
        shutil.move(kit, home / "kit")
        owner = home.stat()
        for path in [home / "kit", *(home / "kit").rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
        self._gatectl("install", "--site", SITE, "--scheduler", "slurm", program="kit/slidegate_gate")
        path = home / ".slidegate-gate" / "config.json"
        config = json.loads(path.read_text())
        for resources in config["classes"].values():
            resources.update(memory_mb=100, minutes=5)
        config["classes"]["cpu"]["members"] = 2
        config["scheduler"].update(poll_seconds=1, settle_seconds=1)
        path.write_text(json.dumps(config | {"lease_seconds": 2}))
        self._gatectl("workflow", "install", "kit/workflows/count_bytes")
        self._gatectl("key", "add", KEY, "--workflow", "count_bytes")
        self._gatectl("authorize", "kit/key.pub", "--key", KEY)
        where = ["--ssh", "login", "--ssh-config", self._cluster.ssh_config, "--user", "anna", "--key", KEY]
        self._here("site", "add", SITE, *where, "--host-key", self._cluster.host_key)

    def kill(self, what: str, chance: random.Random) -> int:
        """Let something on the way, or there, die; return how much did."""
        match what:
            case "way":
                found = self._place.processes("ssh", "slidegate")
                return _kill(chance.choice(found)) if found else 0
            case "gate there":
                said = self._cluster.run(
                    "login", ["pgrep", "-u", "anna", "-f", " serve "], check=False
                ).stdout
                found = [int(word) for word in str(said).split()]
                if not found:
                    return 0
                argv = ["kill", "-9", str(chance.choice(found))]
                return int(self._cluster.run("login", argv, user="anna", check=False).returncode == 0)
            case _:
                self._cluster.stop_controller(saving=chance.random() < 0.5)
                time.sleep(chance.uniform(0.5, 2.0))
                self._cluster.start_controller()
                time.sleep(1.0)
                for node in ("c1", "c2"):
                    self._cluster.restore(node)
                return 1


def _kill(process: int) -> int:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return 1
    return 0
