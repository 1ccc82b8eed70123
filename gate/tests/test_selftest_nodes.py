# SPDX-License-Identifier: BSD-3-Clause
"""What jobs report of the computers that they run on."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gatectl_home import HomeTest
from slidegate_gate.errors import SchedulerError
from slidegate_gate.selftest import nodes
from slidegate_gate.selftest.places import Unfit
from support import GATE_FOLDER

MEMBER = """
import fcntl, os, socket, sys
sys.path.insert(0, sys.argv[1])
from slidegate_gate.selftest import nodes, places
from slidegate_gate.serve import files
socket.gethostname = lambda: sys.argv[3]
{}
nodes.member(sys.argv[2])
"""


class Jobs:
    """A scheduler whose nodes are processes with host names c0, c1, ... and the fault that is given.

    Each job comes to the first node that is not excluded.
    """

    def __init__(self, fault="", started=2, state="queued", nodes=2):
        self.nodes = nodes
        self.requests = []
        self.state = state
        self.fault = fault
        self.started = started
        self.children = []
        self.cancelled = []

    def submit(self, name, argv, count, resources):
        self.requests.append(dict(resources, count=count))
        free = [node for node in range(self.nodes) if "c{}".format(node) != resources.get("exclude")]
        if not free:
            raise SchedulerError("Requested node configuration is not available")
        if len(self.children) < self.started:
            code = MEMBER.format(self.fault)
            host = "c{}.cluster.example.org".format(free[0])
            words = [sys.executable, "-c", code, GATE_FOLDER, argv[-1], host]
            self.children.append(subprocess.Popen(words))
        return str(16 + len(self.requests))

    def states(self, arrays):
        return {array: {"state": self.state, "reason": "QOSMaxJobsPerUserLimit"} for array in arrays}

    def cancel(self, array):
        self.cancelled.append(array)
        for child in self.children:
            child.kill()
            child.wait()


class TrialTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.config = {name: os.path.join(self.folder, name) for name in ("state", "data")}
        for path in self.config.values():
            os.mkdir(path)

    def trial(self, jobs, seconds=20.0):
        return nodes.Trial(self.config, jobs, {"members": 8, "memory_mb": 100, "minutes": 120}, seconds)

    def run_with(self, fault=""):
        jobs = Jobs(fault)
        trial = self.trial(jobs)
        trial.run()
        self.assertEqual(jobs.cancelled, ["17", "18"])
        return trial

    def test_good_nodes_are_named_and_leave_no_trace(self):
        trial = self.run_with()
        self.assertEqual(trial.faults, {"c0": [], "c1": []})
        self.assertEqual(trial.alone, "")
        trial.names_are_given_once()
        self.assertEqual([os.listdir(path) for path in self.config.values()], [[], []])

    def test_where_there_is_one_node_both_jobs_share_it_and_that_is_said(self):
        trial = self.trial(Jobs(nodes=1))
        trial.run()
        self.assertEqual(trial.faults, {"c0": []})
        self.assertIn("node configuration is not available", trial.alone)
        self.assertEqual([one.get("exclude") for one in trial.scheduler.requests], [None, "c0", None])
        trial.names_are_given_once()

    def test_a_node_whose_name_could_be_read_as_something_else_is_not_passed_on(self):
        trial = self.run_with('socket.gethostname = lambda: "c0,c1"')
        self.assertEqual([one.get("exclude") for one in trial.scheduler.requests], [None, None])

    def test_locks_that_do_not_reach_a_node_are_found(self):
        trial = self.run_with("fcntl.flock = lambda handle, how: None")
        for faults in trial.faults.values():
            self.assertIn("a lock that the login node holds was given", "; ".join(faults))

    def test_names_that_are_given_twice_are_found(self):
        trial = self.run_with("files.create_json = lambda path, record: True")
        with self.assertRaises(Unfit) as caught:
            trial.names_are_given_once()
        self.assertIn("30 names were given", str(caught.exception))

    def test_a_clock_that_is_off_on_a_node_is_found(self):
        trial = self.run_with("import time; there = time.time; places.time.time = lambda: there() + 3600")
        self.assertIn("clock is -3600 seconds", "; ".join(trial.faults["c1"]))

    def test_jobs_that_wait_are_told_with_the_schedulers_reason_and_called_off(self):
        for started in (0, 1):
            jobs = Jobs(started=started)
            with self.assertRaises(Unfit) as caught:
                self.trial(jobs, 1.0).run()
            self.assertIn("{} of 2 jobs".format(started), str(caught.exception))
            self.assertIn("QOSMaxJobsPerUserLimit", str(caught.exception))
            self.assertIn("--wait", str(caught.exception))
            self.assertEqual(jobs.cancelled, ["17", "18"][: started + 1])
            self.assertEqual(os.listdir(self.config["state"]), [])

    def test_jobs_that_end_without_a_word_are_told(self):
        with self.assertRaises(Unfit) as caught:
            self.trial(Jobs(started=0, state="ended"), 0.2).run()
        self.assertIn("do nodes see {}".format(sys.executable), str(caught.exception))

    def test_the_jobs_are_short_so_that_they_start_soon(self):
        for seconds, minutes in ((20.0, 3), (120.0, 5), (7200.0, 10)):  # the first must outlive the wait
            resources = {"members": 8, "memory_mb": 100, "minutes": 10}
            trial = nodes.Trial(self.config, Jobs(), resources, seconds)
            self.assertEqual(trial.resources["minutes"], minutes)


class WholeTest(HomeTest):
    def test_the_jobs_of_this_computer_report(self):
        self.be_anna()
        self.good("install")
        said = self.good("selftest", "--wait", "30")
        self.assertIn("good  jobs of the class 'cpu' start and report\n", said)
        self.assertIn("good  a name is given once among all of them\n", said)


if __name__ == "__main__":
    unittest.main()
