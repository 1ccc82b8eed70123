# SPDX-License-Identifier: BSD-3-Clause
"""What Slurm's programs say, as `slidegate_gate.schedulers.slurm` has to understand it.

RECORDED was seen: the programs of Slurm 22.05.8 (Debian 12), called as the adapter calls them, on a cluster
of two nodes made for it.  WRITTEN was not: it is put together from the documentation of the version that is
named (the page "Job State Codes", the manual pages of squeue, sacct and sbatch, the release notes, and the
table of messages in slurm_errno.c), for states, flags and messages that 22.05.8 does not have or that could
not be brought about here.  In both an array is named sg-..., as the gate names its own.
"""

NAME = "sg-omero.0123456789abcdef0123456789abcdef.cpu.1"

# rows of squeue --me --array --noheader --states=all --format=%F|%K|%T|%r|%j
SQUEUE = {
    "RECORDED 22.05.8: two elements run, six wait for room": (
        "1|2|PENDING|Resources|{0}\n1|3|PENDING|Resources|{0}\n1|4|PENDING|Resources|{0}\n"
        "1|5|PENDING|Resources|{0}\n1|6|PENDING|Resources|{0}\n1|7|PENDING|Resources|{0}\n"
        "1|0|RUNNING|None|{0}\n1|1|RUNNING|None|{0}\n",
        {"state": "running"},
    ),
    "RECORDED 22.05.8: all wait behind others": (
        "1|0|PENDING|Priority|{0}\n1|1|PENDING|Priority|{0}\n",
        {"state": "queued", "reason": "Priority"},
    ),
    "RECORDED 22.05.8: more minutes than the partition allows": (
        "1|0|PENDING|PartitionTimeLimit|{0}\n",
        {"state": "queued", "reason": "PartitionTimeLimit"},
    ),
    "RECORDED 22.05.8: just submitted": ("1|0|PENDING|None|{0}\n", {"state": "queued"}),
    "RECORDED 22.05.8: the limit of time was reached": (
        "1|0|TIMEOUT|TimeLimit|{0}\n1|1|TIMEOUT|TimeLimit|{0}\n",
        {"state": "ended", "causes": {"time-limit": 2}},
    ),
    "RECORDED 22.05.8: the node was called down": (
        "1|0|NODE_FAIL|NodeDown|{0}\n1|1|NODE_FAIL|NodeDown|{0}\n1|2|RUNNING|None|{0}\n",
        {"state": "running"},
    ),
    "RECORDED 22.05.8: cancelled while some ran and some waited": (
        "1|2|CANCELLED|Resources|{0}\n1|3|CANCELLED|Resources|{0}\n1|0|CANCELLED|None|{0}\n"
        "1|1|CANCELLED|None|{0}\n",
        {"state": "ended", "causes": {"cancelled": 4}},
    ),
    "RECORDED 22.05.8: stopped for a while": ("1|0|SUSPENDED|None|{0}\n", {"state": "running"}),
    "RECORDED 22.05.8: one failed, one did its work": (
        "1|0|FAILED|NonZeroExitCode|{0}\n1|1|COMPLETED|None|{0}\n",
        {"state": "ended", "causes": {"failed": 1}},
    ),
    "RECORDED 22.05.8: the memory was not enough": (
        "1|0|OUT_OF_MEMORY|OutOfMemory|{0}\n",
        {"state": "ended", "causes": {"out-of-memory": 1}},
    ),
    "RECORDED 22.05.8: another partition took the node": (
        "1|0|PREEMPTED|None|{0}\n",
        {"state": "ended", "causes": {"preempted": 1}},
    ),
    "RECORDED 22.05.8: the end is being cleared away": ("1|0|COMPLETING|None|{0}\n", {"state": "running"}),
    "WRITTEN 21.08: the reason is a sentence": (
        "1|0|PENDING|Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority "
        "partitions|{0}\n",
        {"state": "queued", "reason": "Nodes_required_for_job_are_DOWN_DRAINED_or_reserved_for_jobs"},
    ),
    "WRITTEN 21.08: nodes are named in the reason": (
        "1|0|PENDING|ReqNodeNotAvail, UnavailableNodes:c[1-2]|{0}\n",
        {"state": "queued", "reason": "ReqNodeNotAvail_UnavailableNodes_c_1_2_"},
    ),
    "WRITTEN 21.08: held after it was put back": (
        "1|0|SPECIAL_EXIT|JobHeldUser|{0}\n",
        {"state": "queued", "reason": "JobHeldUser"},
    ),
    "WRITTEN 21.08: put back, and held as its reservation is gone": (
        "1|0|REQUEUE_HOLD|job_requeued_in_held_state|{0}\n1|1|RESV_DEL_HOLD|ReservationDeleted|{0}\n",
        {"state": "queued", "reason": "ReservationDeleted"},
    ),
    "WRITTEN 21.08: the node did not boot": (
        "1|0|BOOT_FAIL|NodeDown|{0}\n",
        {"state": "ended", "causes": {"node-lost": 1}},
    ),
    "WRITTEN 21.08: another cluster of a federation took it": ("1|0|REVOKED|None|{0}\n", {"state": "ended"}),
    "WRITTEN 21.08: its deadline has passed": (
        "1|0|DEADLINE|DeadLine|{0}\n",
        {"state": "ended", "causes": {"time-limit": 1}},
    ),
    "WRITTEN 23.02: the node is being switched on": ("1|0|POWER_UP_NODE|None|{0}\n", {"state": "running"}),
    "WRITTEN 23.11: it could not be launched, nor its node configured": (
        "1|0|LAUNCH_FAILED|JobLaunchFailure|{0}\n1|1|RECONFIG_FAIL|None|{0}\n",
        {"state": "ended", "causes": {"node-lost": 2}},
    ),
    "WRITTEN 25.05: it is put back to be run soon": ("1|0|EXPEDITING|None|{0}\n", {"state": "queued"}),
    "WRITTEN: a word that nobody knows yet, alone": ("1|0|LEVITATING|None|{0}\n", {"state": "unknown"}),
    "WRITTEN: a word that nobody knows yet, beside one that runs": (
        "1|0|LEVITATING|None|{0}\n1|1|RUNNING|None|{0}\n",
        {"state": "running"},
    ),
    "WRITTEN: a word that nobody knows yet, beside one that has ended": (
        "1|0|UPDATE_DB|None|{0}\n1|1|COMPLETED|None|{0}\n",
        {"state": "unknown"},
    ),
}

# What else is in a queue, of which nothing may be read.
OTHERS = (
    "7|N/A|RUNNING|None|bash\n"
    "8|0|RUNNING|None|my-own-array\n"
    "9|N/A|RUNNING|None|sg-not-an-array\n"
    "10|0|FAILED|BadConstraints|sg-refused\n"  # RECORDED 22.05.8: what a refused sbatch leaves behind
    "JOBID|ARRAY|STATE|REASON|NAME\n"
    "slurm_load_jobs warning: something\n"
    "11|0|RUNNING|None|a name with\n1|0\n"
    "x|0|RUNNING|None|sg-x\n01|0|RUNNING|None|sg-x\n1|0|running|None|sg-x\n1|0|RUNNING|a|b|sg-x\n"
    "12|0|RUNNING|None|sg-../../x\n13|0|RUNNING|None|sg-x;y\n"
)

# (code, standard output, standard error) of sbatch, and what it means
SBATCH = {
    "RECORDED 22.05.8": ((0, "4711\n", ""), "4711"),
    "RECORDED 22.05.8: no such partition": (
        (
            1,
            "",
            "sbatch: error: invalid partition specified: nosuch\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
        ),
        "refused",
    ),
    "RECORDED 22.05.8: more memory than any node has": (
        (
            1,
            "",
            "sbatch: error: Memory specification can not be satisfied\n"
            "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
        ),
        "refused",
    ),
    "RECORDED 22.05.8: a partition for others": (
        (
            1,
            "",
            "sbatch: error: Batch job submission failed: User's group not permitted to use this partition\n",
        ),
        "refused",
    ),
    "RECORDED 22.05.8: more elements than MaxArraySize": (
        (1, "", "sbatch: error: Batch job submission failed: Invalid job array specification\n"),
        "refused",
    ),
    "RECORDED 22.05.8: no GPUs": (
        (1, "", "sbatch: error: Invalid generic resource (gres) specification\n"),
        "refused",
    ),
    "RECORDED 22.05.8: an option that it does not have": (
        (1, "", "sbatch: unrecognized option '--nosuch'\nTry \"sbatch --help\" for more information\n"),
        "refused",
    ),
    "RECORDED 22.05.8: no controller": (
        (
            1,
            "",
            "sbatch: error: Batch job submission failed: "
            "Unable to contact slurm controller (connect failure)\n",
        ),
        "unknown",
    ),
    "WRITTEN 21.08: the answer did not come in time": (
        (1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
        "unknown",
    ),
    "WRITTEN 21.08: the answer was lost": (
        (1, "", "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n"),
        "unknown",
    ),
    "WRITTEN 21.08: an account that is not its own": (
        (
            1,
            "",
            "sbatch: error: Batch job submission failed: "
            "Invalid account or account/partition combination specified\n",
        ),
        "refused",
    ),
    "WRITTEN 21.08: over the limits of the account": (
        (
            1,
            "",
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job "
            "violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
        ),
        "refused",
    ),
    "WRITTEN 22.05: a filter of the site talks, then Slurm refuses": (
        (
            1,
            "",
            "sbatch: lua: Verify job...\nsbatch: lua: no account given\n"
            "sbatch: error: Batch job submission failed: Unspecified error\n",
        ),
        "refused",
    ),
    "WRITTEN 22.05: a filter of the site talks, and all is well": (
        (0, "4711\n", "sbatch: lua: Verify job...\nsbatch: Job estimates: SLURM_TASKS=1\n"),
        "4711",
    ),
    "WRITTEN 23.02: a wrapper talks on the standard output": (
        (0, "-----\n  Welcome to the cluster\n-----\n--> Verifying...OK\n4711\n", ""),
        "4711",
    ),
    "WRITTEN 23.11: one of several clusters": ((0, "4711;lab-east.2\n", ""), "4711"),
    "WRITTEN 24.05: asked too often": (
        (
            1,
            "",
            "sbatch: error: Batch job submission failed: Rate limit exceeded, please retry momentarily\n",
        ),
        "unknown",
    ),
    "WRITTEN 25.05: the controller that answers does not control": (
        (1, "", "sbatch: error: Batch job submission failed: Slurm backup controller in standby mode\n"),
        "unknown",
    ),
    "WRITTEN: two numbers": ((0, "4711\n4712\n", ""), "unknown"),
    "WRITTEN: no number": ((0, "Submitted batch job 4711\n", ""), "unknown"),
    "WRITTEN: nothing": ((0, "", ""), "unknown"),
    "WRITTEN: a number that is none": ((0, "0\n", ""), "unknown"),
    "WRITTEN: a job was accepted, and then something failed": (
        (1, "4711\n", "sbatch: error: cli_filter: post-submit failed\n"),
        "unknown",
    ),
    "WRITTEN: it was killed": ((-9, "", ""), "unknown"),
    "WRITTEN: an error that nobody knows yet": (
        (1, "", "sbatch: error: Batch job submission failed: The stars are not right\n"),
        "unknown",
    ),
}

# rows of sacct --parsable2 --format=JobID,State,JobName, in forms RECORDED 22.05.8
SACCT = (
    "JobID|State|JobName\n"
    "1_0|COMPLETED|{0}\n1_0.batch|COMPLETED|batch\n"
    "1_1|TIMEOUT|{0}\n1_1.batch|CANCELLED|batch\n"
    "1_2|CANCELLED by 20001|{0}\n1_2.batch|CANCELLED|batch\n"
    "1_3|OUT_OF_MEMORY|{0}\n1_3.batch|OUT_OF_MEMORY|batch\n"
    "1_[4,6-7]|CANCELLED by 20001|{0}\n"
    "1_8|RUNNING|{0}\n1_9|LEVITATING|{0}\n"
    "2_0|FAILED|{0}\n"
    "30|FAILED|{0}\n"
).format(NAME)

SCANCEL = {
    "RECORDED 22.05.8: a number that nobody has": ((0, "", ""), True),
    "RECORDED 22.05.8: no controller": (
        (
            8,
            "",
            "scancel: error: Kill job error on job id 5: "
            "Unable to contact slurm controller (connect failure)\n",
        ),
        False,
    ),
}
