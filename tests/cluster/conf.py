# SPDX-License-Identifier: BSD-3-Clause
"""The files in /etc that a cluster has."""

from collections.abc import Mapping

ADDRESSES = {"office": "10.99.1.2", "login": "10.99.1.1", "c1": "10.99.2.11", "c2": "10.99.2.12"}
CONTROLLER = "10.99.2.1"

Settings = Mapping[str, object]

SLURM: dict[str, object] = {
    "ClusterName": "lab",
    "SlurmctldHost": f"login({CONTROLLER})",
    "SlurmUser": "slurm",
    "SlurmdUser": "root",
    "AuthType": "auth/munge",
    "CredType": "cred/munge",
    "StateSaveLocation": "/var/spool/slurmctld",
    "SlurmdSpoolDir": "/var/spool/slurmd",
    "SlurmctldPidFile": "/run/slurmctld.pid",
    "SlurmdPidFile": "/run/slurmd.pid",
    "SlurmctldLogFile": "/var/log/slurmctld.log",
    "SlurmdLogFile": "/var/log/slurmd.%n.log",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "AccountingStorageType": "accounting_storage/none",
    "JobCompType": "jobcomp/none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core",
    "SchedulerType": "sched/backfill",
    # the defaults wait three seconds before a job starts
    "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1",
    "MpiDefault": "none",
    "ReturnToService": 2,
    "SlurmdTimeout": 5,
    "MessageTimeout": 3,
    "TCPTimeout": 1,
    "KillWait": 2,
    "MinJobAge": 60,
    "PropagateResourceLimits": "NONE",
    "PrivateData": "jobs",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "CANCEL",
    "SlurmdParameters": "config_overrides",
    "PartitionName": [
        "main Nodes=c1,c2 Default=YES MaxTime=60 DefaultTime=5 PriorityTier=1",
        "urgent Nodes=c1,c2 MaxTime=60 DefaultTime=5 PriorityTier=10 PreemptMode=off",
    ],
}
ACCOUNTING: dict[str, object] = {
    "AccountingStorageType": "accounting_storage/slurmdbd",
    "AccountingStorageHost": CONTROLLER,
    "JobAcctGatherType": "jobacct_gather/linux",
}
MEMORY_LIMITS: dict[str, object] = {
    "ProctrackType": "proctrack/cgroup",
    "TaskPlugin": "task/cgroup",
    "SelectTypeParameters": "CR_Core_Memory",
    "DefMemPerCPU": 100,
}
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=no\n"

SLURMDBD = f"""\
AuthType=auth/munge
DbdHost=login
DbdAddr={CONTROLLER}
SlurmUser=slurm
PrivateData=jobs
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=3306
StorageUser=slurm
StorageLoc=slurm
LogFile=/var/log/slurmdbd.log
PidFile=/run/slurmdbd.pid
"""

# what differs from the sshd_config that Debian ships, which is the rest of it
SSHD = "UsePAM no\nHostKey /etc/ssh/ssh_host_ed25519_key\n"

# name: uid, home, shell. The numbers of Debian's own accounts are not those of this computer.
PEOPLE = {"anna": 20001, "bert": 20002, "worker": 20003}
DAEMONS = {"sshd": 20101, "munge": 20102, "slurm": 20103, "mysql": 20104}


def passwd() -> str:
    """Return the accounts that exist inside."""
    lines = ["root:x:0:0:root:/root:/bin/bash", "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"]
    lines += [f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash" for name, uid in PEOPLE.items()]
    lines += [f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin" for name, uid in DAEMONS.items()]
    return "\n".join(lines) + "\n"


def group() -> str:
    """Return a group for each account."""
    lines = ["root:x:0:", "tty:x:5:", "nogroup:x:65534:"]
    lines += [f"{name}:x:{uid}:" for name, uid in {**PEOPLE, **DAEMONS}.items()]
    return "\n".join(lines) + "\n"


def shadow() -> str:
    """Return no password for anybody, without locking them out of ssh."""
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in ("root", *PEOPLE, *DAEMONS))


def hosts() -> str:
    """Return the names of the four."""
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in ADDRESSES.items())]
    return "\n".join(lines) + "\n"


def slurm_conf(*layers: Settings, cpus: int, memory_mb: int) -> str:
    """Return slurm.conf; of a line in several layers the last one holds."""
    settings: dict[str, object] = dict(SLURM)
    for layer in layers:
        settings.update(layer)
    partitions = settings.pop("PartitionName")
    hardware = f"CPUs={cpus} Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb}"
    settings["NodeName"] = [f"{name} NodeAddr={ADDRESSES[name]} {hardware}" for name in ("c1", "c2")]
    settings["PartitionName"] = partitions
    lines = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines += [f"{name}={each}" for each in values]
    return "\n".join(lines) + "\n"
