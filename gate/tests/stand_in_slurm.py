# SPDX-License-Identifier: BSD-3-Clause
"""A folder with programs named like Slurm's, which answer what a test wants, and note each call."""

import contextlib
import json
import os
import sys

PROGRAM = """#!{} -IS
import json, os, sys, time
here, tool = os.path.split(os.path.abspath(sys.argv[0]))
umask = os.umask(0)
call = dict(tool=tool, argv=sys.argv[1:], environment=dict(os.environ), cwd=os.getcwd(), umask=umask)
with open(os.path.join(here, "calls"), "a") as file:
    file.write(json.dumps(call) + "\\n")
with open(os.path.join(here, tool + ".json")) as file:
    told = json.load(file)
time.sleep(told["seconds"])
sys.stdout.write(told["answer"])
sys.stderr.write(told["words"])
sys.stdout.flush()
while told["endless"]:
    sys.stdout.write("1|0|RUNNING|None|sg-x\\n" * 1000)
if told["code"] < 0:
    os.kill(os.getpid(), -told["code"])
sys.exit(told["code"])
"""


class StandIn:
    """Programs in `folder`; all succeed and say nothing until they are told otherwise."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        for tool in ("sbatch", "squeue", "scancel", "sacct"):
            with open(os.path.join(folder, tool), "w") as file:
                file.write(PROGRAM.format(sys.executable))
            os.chmod(file.name, 0o700)
            self.tell(tool)

    def tell(self, tool, answer="", words="", code=0, seconds=0, endless=False):
        """Let a program answer this from now on."""
        told = {"answer": answer, "words": words, "code": code, "seconds": seconds, "endless": endless}
        with open(os.path.join(self.folder, tool + ".new"), "w") as file:
            json.dump(told, file)
        os.replace(file.name, os.path.join(self.folder, tool + ".json"))

    def calls(self, tool):
        """Return how a program was called, each time."""
        calls = []
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, "calls")) as file:
            calls = [json.loads(line) for line in file]
        return [call for call in calls if call["tool"] == tool]
