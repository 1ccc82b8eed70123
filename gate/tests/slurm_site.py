# SPDX-License-Identifier: BSD-3-Clause
"""A small site (see `small_site`) whose crews are arrays of Slurm, driven by lines of JSON.

``python3 slurm_site.py FOLDER`` on the login node of a real Slurm reads a call as a line,
``[name, [...], {...}]``, and answers with a line.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import small_site
from slidegate_gate.schedulers import SchedulerUnknown, slurm
from slidegate_gate.serve import files

SETTINGS = {"name": "slurm", "poll_seconds": 0.3, "settle_seconds": 2}


class SlurmSite:
    """The calls."""

    def __init__(self, folder):
        os.umask(0o077)
        self.site = small_site.SmallSite(folder, lease_seconds=2.0)
        config = dict(files.read_json(os.path.join(self.site.home, "config.json")), scheduler=SETTINGS)
        config["classes"]["cpu"]["memory_mb"] = 300
        files.write_json(os.path.join(self.site.home, "config.json"), config)
        self.scheduler = slurm.Scheduler(config, self.site.layout.scheduler)
        self.round = 0

    def begin(self, *parameters):
        return self.site.begin(*parameters)

    def crew(self, count, **resources):
        """Start the crew of the next round; return its array."""
        self.round += 1
        argv = [sys.executable, "-ISB", "-c", START, os.path.dirname(small_site.PACKAGE), "runner"]
        argv += ["--home", self.site.home, "--key", small_site.KEY, "--submission", small_site.SUBMISSION]
        argv += ["--class", "cpu", "--round", str(self.round)]
        name = "sg-{}.cpu.{}".format(os.path.basename(self.site.folder), self.round)
        given = dict({"memory_mb": 300, "minutes": 5, "cpus": 1}, **resources)
        return self.scheduler.submit(name, argv, count, given)

    def states(self, array):
        """Return what is told of an array; that it is not known is said so."""
        try:
            return self.scheduler.states([array]).get(array, {"state": "unknown"})
        except SchedulerUnknown as error:
            return {"state": "unknown", "why": str(error)}

    def tried(self, *start):
        return self.site.tried(*start)

    def result(self, attempt):
        return self.site.result(attempt)

    def outputs(self, attempt):
        return self.site.outputs(attempt)

    def log(self, attempt):
        return small_site.log_of(self.site, attempt)

    def environment(self):
        return small_site.as_json(os.path.join(self.site.ledger, "environment"))

    def job_log(self):
        """Return what the elements of the last crew have written besides."""
        name = "sg-{}.cpu.{}".format(os.path.basename(self.site.folder), self.round)
        with open(os.path.join(self.site.layout.scheduler, "logs", name)) as file:
            return file.read()


START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from slidegate_gate.__main__ import main
sys.exit(main())
"""


def main():
    site = SlurmSite(sys.argv[1])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, arguments, named = json.loads(line)
        print(json.dumps(getattr(site, name)(*arguments, **named)), flush=True)


if __name__ == "__main__":
    main()
