# SPDX-License-Identifier: BSD-3-Clause
"""A small gate in a temporary folder, with a scheduler that only keeps a list."""

import copy
import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from slidegate_gate.config import load_config
from slidegate_gate.errors import SchedulerUnknown
from slidegate_gate.protocol import frames
from slidegate_gate.protocol.canonical import canonical
from slidegate_gate.serve import files
from slidegate_gate.serve.layout import Layout
from slidegate_gate.serve.loop import Gate

GATE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from slidegate_gate.__main__ import main
sys.exit(main())
"""
RELEASE = "ab" * 32
STEPS = [
    {"do": "plan", "class": "small"},
    {"do": "detect", "class": "cpu", "units": "plan", "redo": "same-bytes"},
    {"do": "finish", "class": "small"},
]
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["size"],
    "properties": {
        "size": {"type": "number", "minimum": 1, "maximum": 50},
        "block": {"type": "integer", "default": 2048, "enum": [1024, 2048]},
        "channel": {"type": "string", "default": "0", "maxLength": 5, "pattern": "^[A-Za-z0-9_-]+$"},
        "fast": {"type": "boolean"},
    },
}


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def key_of(number):
    """The key of an Attempt."""
    return digest_of(b"attempt %d" % number)


def verify(path):
    """Return number and digest of the last record of an audit chain; ValueError where it is broken."""
    number, head = 0, "0" * 64
    with open(path, "rb") as file:
        for line in file.read().splitlines():
            number += 1
            try:
                record = json.loads(line.decode("ascii"))
                good = (record["prev"], record["seq"]) == (head, number) and canonical(record) == line
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                raise ValueError("line {} does not continue the chain".format(number))
            head = digest_of(line)
    return number, head


class FolderScheduler:
    """Keeps one file per array, so that what a killed process has submitted stays submitted."""

    def __init__(self, folder):
        self.folder = folder
        self.before_submit = lambda: None
        self.after_submit = lambda: None
        self.answers = True
        self.asked = 0
        os.makedirs(folder, exist_ok=True)

    def submit(self, name, argv, count, resources):
        self.before_submit()
        array = "{}+{}".format(name, os.urandom(4).hex())
        record = {"name": name, "argv": argv, "count": count, "resources": resources}
        files.create_json(os.path.join(self.folder, array), record)
        self.after_submit()
        return array

    def find(self, name):
        if not self.answers:
            raise SchedulerUnknown()
        return [array for array in self.arrays() if array.split("+")[0] == name]

    def states(self, arrays):
        self.asked += 1
        if not self.answers:
            raise SchedulerUnknown()
        ended = os.listdir(self.folder)
        return {array: {"state": "ended" if array + ".ended" in ended else "running"} for array in arrays}

    def cancel(self, array):
        files.create_json(os.path.join(self.folder, array + ".ended"), {})

    def arrays(self):
        return sorted(
            name for name in os.listdir(self.folder) if not name.endswith((".ended",)) and name[0] != "."
        )

    def record(self, array):
        return files.read_json(os.path.join(self.folder, array))


class Site:
    """A home with one Release, and requests to it as a client would make them."""

    def __init__(self, home, limits=None, classes=None):
        self.home = home
        self.config = {
            "format": 1,
            "site": "local",
            "scheduler": {"name": "local", "cores": 1},
            "classes": classes
            or {"small": {"as": "cpu"}, "cpu": {"members": 2, "memory_mb": 100, "minutes": 5}},
            "keys": {
                "one": {"workflows": ["nuclei"]},
                "two": {"workflows": ["*"]},
                "none": {"workflows": []},
            },
            "limits": limits or {},
        }
        files.make_dirs(home)
        self.write_config()
        self.release = {
            "format": 1,
            "name": "nuclei",
            "version": "0.1.0",
            "digest": RELEASE,
            "runtime": "cd" * 32,
            "python": "/runtime/bin/python",
            "schema": SCHEMA,
            "manifest": {
                "inputs": {"image": {"type": "image"}, "regions": {"type": "regions", "optional": True}},
                "steps": STEPS,
                "workers": {"max": 64},
            },
        }
        files.make_dirs(os.path.join(home, "releases", RELEASE))
        files.write_json(os.path.join(home, "releases", RELEASE, "release.json"), self.release)
        self.scheduler = FolderScheduler(os.path.join(home, "fake-scheduler"))
        self.count = 0
        self.gates = {}

    def write_config(self):
        files.write_json(os.path.join(self.home, "config.json"), self.config)

    def layout(self, key="one"):
        return Layout(self.home, load_config(self.home), key)

    def gate(self, key="one"):
        """The open connection of a key."""
        if key not in self.gates:
            self.gates[key] = Gate(self.layout(key), self.scheduler, "0.1.0", "/program", "local")
        return self.gates[key]

    def reconnect(self):
        self.gates = {}

    def say(self, message, body=b"", key="one"):
        """Send a message as it is; return the answer and its body."""
        return self.gate(key).handle(frames.Frame(message, memoryview(body)))

    def ask(self, verb, body=b"", key="one", **fields):
        """Send a well-formed request; return the answer."""
        self.count += 1
        answer, self.body = self.say(dict(fields, id="%x" % self.count, verb=verb), body, key)
        return answer

    def put(self, data, key="one"):
        """Send a content in one piece; return its digest."""
        answer = self.ask("put", data, key, digest=digest_of(data), size=len(data), offset=0)
        assert answer.get("committed"), answer
        return digest_of(data)

    def put_tree(self, contents, key="one"):
        """Send files and their Tree; return the Tree's digest."""
        entries = [[name, len(data), self.put(data, key)] for name, data in sorted(contents.items())]
        return self.put(canonical({"tree": 1, "entries": entries}), key)

    def plan(self, numbers, key="one", **changes):
        """Send a plan of Attempts with these numbers; return its Tree's digest."""
        image = self.put_tree({"zarr.json": b"{}", "0/c/0": b"pixels"}, key)
        attempts = [
            dict(
                {
                    "attempt": key_of(number),
                    "inputs": {"image": image},
                    "parameters": {"size": 8},
                    "note": {"number": number},
                },
                **changes.get("each", {}),
            )
            for number in numbers
        ]
        plan = {"plan": 1, "release": RELEASE, "note": {}, "attempts": attempts}
        plan.update(changes.get("plan", {}))
        return self.put_tree({"plan.json": json.dumps(plan).encode()}, key)

    def submit(self, numbers, number=1, key="one", **changes):
        return self.ask("submit", key=key, plan=self.plan(numbers, key, **changes), round=number)

    def work_file(self, submission, attempt, name, record):
        """Write a file as a member of a crew would."""
        path = os.path.join(self.layout().work_dir(submission, attempt), name)
        files.make_dirs(os.path.dirname(path))
        files.write_json(path, record)


class SiteTest(unittest.TestCase):
    """Gives each test a new site."""

    limits = None
    classes = None

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="gate-")
        self.addCleanup(shutil.rmtree, folder, True)
        # No test pulls the plug, and waiting for the disk would take most of the time.
        patch = mock.patch.object(os, "fsync", lambda handle: None)
        patch.start()
        self.addCleanup(patch.stop)
        chosen = copy.deepcopy((self.limits, self.classes))
        self.site = Site(os.path.join(folder, "home"), *chosen)

    def assert_refused(self, answer, code, transient=None):
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(answer["error"]["code"], code, answer["error"])
        if transient is not None:
            self.assertEqual(answer["error"]["transient"], transient)
        return answer["error"]["detail"]

    def assert_ok(self, answer):
        self.assertTrue(answer["ok"], answer.get("error"))
        return answer


class Process:
    """``serve`` as a real process, spoken to over a pipe."""

    def __init__(self, home, key="one", program=None, environment=None):
        argv = [program] if program else ["-c", START, GATE_FOLDER]
        self.child = subprocess.Popen(
            [sys.executable, "-IS"] + argv + ["serve", "--home", home, "--key", key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, **(environment or {})),
        )
        self.reader = frames.FrameReader(self.child.stdout.fileno(), 20)
        self.body = b""

    def send(self, data):
        """Write raw bytes."""
        os.write(self.child.stdin.fileno(), data)

    def send_request(self, verb, body=b"", **fields):
        frames.write_frame(self.child.stdin.fileno(), dict(fields, id="1", verb=verb), body)

    def ask(self, verb, body=b"", **fields):
        self.send_request(verb, body, **fields)
        answer = self.reader.read()
        self.body = bytes(answer.body)
        return answer.message

    def answer(self):
        frame = self.reader.read()
        return None if frame is None else frame.message

    def silent(self, seconds=0.2):
        """Say whether nothing is answered for a while."""
        return not select.select([self.child.stdout], [], [], seconds)[0]

    def close(self):
        """End the channel; return the exit code and what was said on standard error."""
        self.child.stdin.close()
        said = self.child.stderr.read()
        code = self.child.wait(20)
        self.child.stdout.close()
        self.child.stderr.close()
        return code, said

    def kill(self):
        self.child.kill()
        self.child.wait(20)
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            stream.close()
