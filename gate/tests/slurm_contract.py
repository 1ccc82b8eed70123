# SPDX-License-Identifier: BSD-3-Clause
"""The promises of every adapter, kept by the one for Slurm: run on the login node of a real Slurm.

``python3 -m unittest slurm_contract``, as an account that may start jobs, in a home that its nodes share.
"""

import os
import unittest

from scheduler_contract import Contract
from slidegate_gate.schedulers import SchedulerError

OF_MODULE = "from slidegate_gate.schedulers import slurm; slurm."


class SlurmArrays(Contract, unittest.TestCase):
    adapter = "slurm"
    resources = {"memory_mb": 100, "minutes": 5, "cpus": int(os.environ.get("CPUS_OF_A_NODE", "4"))}
    deaths = {
        "before sbatch": ("subprocess.Popen.__init__ = die", (0,)),
        "while sbatch runs": ("subprocess.Popen.wait = die", (1,)),
        "together with sbatch": (
            "subprocess.Popen.wait = lambda child, *more: die(os.kill(child.pid, signal.SIGKILL))",
            (0, 1),
        ),
        "before the number is kept": (OF_MODULE + "entry = die", (1,)),
    }

    def config(self):
        settings = {"name": "slurm", "poll_seconds": 0.3, "settle_seconds": 2, "max_array": 1000}
        return {"scheduler": settings}

    def where(self):
        return os.path.expanduser("~")

    def lives(self, about):
        return False  # on another computer; that it has ended was said by Slurm

    def nobody(self):
        return "999999"

    def test_a_request_that_slurm_refuses_is_no_array(self):
        for resources in ({"memory_mb": 10**9}, {"partition": "nosuch"}, {"gpus": 4}):
            with self.assertRaises(SchedulerError):
                argv = self.argv()
                self.scheduler.submit(self.name, argv, 1, dict(self.resources, **resources))
            self.assertEqual(self.found(self.name), [], resources)

    def test_why_an_array_waits_is_told_in_a_word(self):
        self.submit(count=2)
        self.until(self.running(2))
        array = self.submit(self.name + "2", 1, self.mark + "two")
        self.until(lambda: "reason" in self.scheduler.states([array])[array])
        self.assertIn(self.scheduler.states([array])[array]["reason"], ("Resources", "Priority"))

    def test_what_was_cancelled_by_somebody_else_is_told_with_its_cause(self):
        array = self.submit(count=3)
        self.until(self.running(2))
        self.opened().cancel(array)
        self.until(lambda: self.state_of(array) == "ended")
        self.assertEqual(
            self.scheduler.states([array])[array], {"state": "ended", "causes": {"cancelled": 3}}
        )
