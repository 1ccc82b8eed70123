# SPDX-License-Identifier: BSD-3-Clause
"""The cluster that other tests stand on is what it claims to be."""

import pytest

from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_both_nodes_are_idle_and_run_one_job_under_the_account_of_its_owner(cluster: Cluster) -> None:
    script = "#!/bin/sh\nsrun -l sh -c 'hostname; id -un'\n"
    job = ["sbatch", "--parsable", "-W", "-N", "2", "-n", "2", "-o", "both.out"]
    cluster.run("login", job, user="anna", input=script)
    said = (cluster.home("anna") / "both.out").read_text().splitlines()
    assert sorted(said) == ["0: anna", "0: c1", "1: anna", "1: c2"]
