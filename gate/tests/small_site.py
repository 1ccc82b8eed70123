# SPDX-License-Identifier: BSD-3-Clause
"""A site for tests: a home with one Release whose steps are plain Python, and ways to begin Attempts there.

The steps obey their parameters, so that a test can make any of them slow, wrong or mortal.
"""

import json
import os
import subprocess
import sys
import time

import slidegate_gate
from slidegate_gate import contents
from slidegate_gate.config import load_config
from slidegate_gate.serve import files, trees
from slidegate_gate.serve.layout import Layout

PACKAGE = os.path.dirname(os.path.abspath(slidegate_gate.__file__))
KEY = "test"
SUBMISSION = "5" * 32
RELEASE = "ab" * 32

STEPS = '''
import json, os, signal, sys, time

def first_times(ask, what):
    """Say yes the first `n` times this Unit is tried, where the parameter `what` names the Unit with n."""
    wanted = ask["parameters"].get(what, {}).get(ask["step"] + "." + ask["unit"], 0)
    trial = int(ask["out"].rpartition(".")[2])
    return trial < wanted

def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)

for line in sys.stdin:
    ask = json.loads(line)
    parameters = ask["parameters"]
    with open(os.path.join(parameters["ledger"], "tried"), "a") as file:
        file.write("{} {} {} {}\\n".format(ask["attempt"]["key"], ask["step"], ask["unit"], os.getpid()))
    sys.stderr.write("working on {} {}\\n".format(ask["step"], ask["unit"]))
    sys.stderr.flush()
    if first_times(ask, "slow"):
        time.sleep(60)
    time.sleep(parameters.get("seconds", 0))
    if first_times(ask, "die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if first_times(ask, "eat"):
        food = bytearray(600 << 20)
    if first_times(ask, "leave"):
        sys.exit(3)
    if first_times(ask, "garble"):
        print("Traceback (most recent call last):", flush=True)
        continue
    if first_times(ask, "chatter"):
        print("{}\\n{}", flush=True)
        continue
    if first_times(ask, "refuse"):
        print(json.dumps({"ok": False, "code": "too-dark", "message": "It is dark."}), flush=True)
        continue
    if first_times(ask, "hesitate"):
        print(json.dumps({"ok": False, "code": "licence", "message": "Wait.", "transient": True}), flush=True)
        continue
    if "environment" in parameters:
        with open(os.path.join(parameters["ledger"], "environment"), "w") as file:
            json.dump(dict(os.environ, cwd=os.getcwd()), file)
    answer = {"ok": True, "result": {"unit": ask["unit"]}}
    if ask["step"] == "plan":
        answer["units"] = ["u%03d" % number for number in range(parameters["units"])]
        write(ask["out"], "plan.json", json.dumps(parameters["units"]))
    if ask["step"] == "detect":
        with open(os.path.join(ask["inputs"]["image"], "pixels", "0")) as file:
            pixels = file.read()
        with open(os.path.join(ask["results"]["plan"][0], "plan.json")) as file:
            assert json.load(file) == parameters["units"]
        write(ask["shared"], "labels/" + ask["unit"], pixels + ask["unit"])
        write(ask["out"], "part", ask["unit"])
        sys.stderr.write(parameters.get("noise", "") * 1000)
    if ask["step"] == "finish":
        parts = [open(os.path.join(folder, "part")).read() for folder in ask["results"]["detect"]]
        if parameters.get("output", "whole") != "missing":
            write(ask["out"], "table", " ".join(parts))
        if parameters.get("output") == "link":
            os.symlink("/etc/passwd", os.path.join(ask["out"], "link"))
        if parameters.get("output") == "name":
            write(ask["out"], "a name with spaces", "")
    print(json.dumps(answer), flush=True)
'''

MANIFEST = {
    "slidegate": 1,
    "name": "small",
    "version": "1.0.0",
    "runtime": {"lock": "runtime.lock"},
    "command": ["python", "./steps.py"],
    "each": ["image"],
    "inputs": {"image": {"type": "image"}},
    "parameters": "parameters.schema.json",
    "steps": [
        {"do": "plan", "class": "small"},
        {"do": "detect", "units": "plan", "class": "cpu", "redo": "same-bytes"},
        {"do": "finish", "class": "small", "redo": "fresh"},
    ],
    "workers": {"max": 8},
    "outputs": {
        "labels": {"type": "labels", "path": "labels"},
        "table": {"type": "table/objects", "path": "table"},
        "regions": {"type": "table/regions", "path": "regions", "optional": True},
    },
}


class SmallSite:
    """A home, a key and a Submission in `folder`; Attempts are put there as an accepted plan would."""

    def __init__(self, folder, lease_seconds=1.0, classes=None):
        self.folder = folder
        self.home = os.path.join(folder, "home")
        os.makedirs(self.home)
        config = {
            "format": 1,
            "site": "small",
            "scheduler": {"name": "local", "cores": 8},
            "classes": classes or {"small": {"as": "cpu"}, "cpu": {"members": 2}},
            "keys": {KEY: {"workflows": ["*"]}},
            "lease_seconds": lease_seconds,
            "idle_seconds": 2 * lease_seconds,
        }
        files.write_json(os.path.join(self.home, "config.json"), config)
        self.layout = Layout(self.home, load_config(self.home), KEY)
        self.ledger = os.path.join(folder, "ledger")
        os.makedirs(self.ledger)
        self.attempts = []
        self.members = []
        release = self.layout.release_dir(RELEASE)
        os.makedirs(release)
        with open(os.path.join(release, "steps.py"), "w") as file:
            file.write(STEPS)
        record = {
            "format": 1,
            "name": "small",
            "version": "1.0.0",
            "digest": RELEASE,
            "runtime": "cd" * 32,
            "python": sys.executable,
            "manifest": MANIFEST,
            "schema": {"type": "object", "properties": {}, "additionalProperties": False},
        }
        files.write_json(self.layout.release(RELEASE), record)
        blob = contents.add_bytes(self.layout, b"pixels of ")
        self.image = contents.write_tree(self.layout, [("pixels/0", 10, blob)])

    def begin(self, *parameters):
        """Accept one Submission with an Attempt for each set of parameters; return their keys."""
        entries = []
        for number, more in enumerate(parameters):
            attempt = "{:064x}".format(number)
            os.makedirs(self.layout.attempt_dir(attempt))
            files.write_json(self.layout.owner(attempt), {"submission": SUBMISSION})
            chosen = dict({"units": 3, "ledger": self.ledger}, **more)
            entries.append(
                {"attempt": attempt, "inputs": {"image": self.image}, "parameters": chosen, "note": {}}
            )
        os.makedirs(self.layout.submission_dir(SUBMISSION))
        plan = {"plan": 1, "release": RELEASE, "note": {}, "attempts": entries}
        files.write_json(self.layout.plan(SUBMISSION), plan)
        self.attempts = [entry["attempt"] for entry in entries]
        return self.attempts

    def member(self, element=0, array="array", crew_class="cpu", number=1):
        """Start a member of the Submission's crew."""
        argv = [sys.executable, "-m", "slidegate_gate", "runner", "--home", self.home, "--key", KEY]
        argv += ["--submission", SUBMISSION, "--class", crew_class, "--round", str(number)]
        environment = {
            "SLIDEGATE_LOCAL_ARRAY": array,
            "SLIDEGATE_LOCAL_ELEMENT": str(element),
            "PYTHONPATH": os.path.dirname(PACKAGE),
            "TMPDIR": self.folder,
        }
        member = subprocess.Popen(argv, env=environment)
        self.members.append(member)
        return member

    def run(self, count=1, **named):
        """Run a crew to its end; return the exit codes of its members."""
        members = [self.member(element, **named) for element in range(count)]
        return [member.wait(timeout=60) for member in members]

    def close(self):
        for member in self.members:
            if member.poll() is None:
                member.kill()
            member.wait()

    def result(self, attempt):
        return files.read_json(self.layout.result(attempt))

    def outputs(self, attempt):
        """Return {name: text} of the Tree of a result."""
        entries = trees.load_tree(self.layout, self.result(attempt)["tree"])
        found = {}
        for name, _, digest in entries:
            with open(self.layout.blob(digest)) as file:
                found[name] = file.read()
        return found

    def tried(self, *start):
        """Return the lines of the ledger, split, that begin with these words."""
        try:
            with open(os.path.join(self.ledger, "tried")) as file:
                lines = [line.split() for line in file]
        except FileNotFoundError:
            return []
        return [line for line in lines if tuple(line[: len(start)]) == start]

    def work(self, attempt, *names):
        return os.path.join(self.layout.work_dir(SUBMISSION, attempt), *names)


def until(condition, seconds=20.0):
    """Wait for `condition`; fail loudly where it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited too long")
        time.sleep(0.02)


def log_of(site, attempt):
    with open(site.work(attempt, "log")) as file:
        return file.read()


def as_json(path):
    with open(path) as file:
        return json.load(file)
