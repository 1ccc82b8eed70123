# SPDX-License-Identifier: BSD-3-Clause
"""A whole Slurm cluster on this computer, from Debian's packages, in about a second.

Four places, each with its own network, host name and file system view::

    office  10.99.1.2               where slidegate's worker runs; sees what this computer sees
    login   10.99.1.1, 10.99.2.1    sshd (as Debian ships it), slurmctld
    c1, c2  10.99.2.11, 10.99.2.12  slurmd; no route to the office, nor to the world

Inside are the accounts ``anna`` and ``bert`` (of the cluster) and ``worker`` (of the office), a /home that
login, c1 and c2 share, a /tmp, /run and /var/spool of their own, /etc/slurm/slurm.conf and /etc/ssh. The
checkout and /root are hidden there: Python is /usr/bin/python3. ::

    from tests.cluster import Cluster

    with Cluster.start(Path("/tmp/sgc-1"), MinJobAge=5) as cluster:
        cluster.run("login", ["sbatch", "--parsable", "job.sh"], user="anna").stdout
        cluster.home("anna") / "job.sh"            # the same file, seen from here: root can plant and read
        ["ssh", "-F", cluster.ssh_config, "-i", key, "anna@login"]   # from here, arrives from 10.99.1.2
        cluster.down("c2"); cluster.restore("c2")  # see Cluster for cut, kill_node, stop_controller

``Cluster.start`` takes ``accounting=True`` (slurmdbd and MariaDB, 5 s more), ``memory_limits=True`` (jobs
over their memory are killed; root only), ``cpus=`` and ``memory_mb=`` of a node, and any line of slurm.conf
as a keyword; a list repeats the line, None leaves it out. There are two partitions: ``main`` (default) and
``urgent``, which preempts it.

Everything ends with the process that started it. Tests take the fixture ``cluster`` (one for the whole run)
unless they break more than a node; ``scripts/cluster`` does the same for a person at a terminal.

As root, or as an ordinary user who has an entry in /etc/subuid; then the homes belong to other numbers, so
reach into them with ``cluster.run``. Paths: ``home(NAME)`` outside is /home/NAME inside; ``log(NAME)``
outside is /var/log/NAME.log inside; the office sees everything else as it is outside.
"""

from tests.cluster.cluster import ACCOUNTS, NODES, Cluster, ClusterError, what_is_missing

__all__ = ["ACCOUNTS", "NODES", "Cluster", "ClusterError", "what_is_missing"]
