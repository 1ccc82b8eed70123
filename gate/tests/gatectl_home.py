# SPDX-License-Identifier: BSD-3-Clause
"""A home in a temporary folder, gatectl as a function, and a small workflow, for the tests of gatectl."""

import base64
import contextlib
import io
import json
import os
import shutil
import tempfile
import unittest
from unittest import mock

from slidegate_gate.gatectl.main import _parser, main
from slidegate_gate.serve import files

MANIFEST = {
    "slidegate": 1,
    "name": "tiny",
    "version": "1.0.0",
    "runtime": {"lock": "runtime.lock"},
    "command": ["python", "./step.py"],
    "each": ["image"],
    "inputs": {"image": {"type": "image"}},
    "parameters": "parameters.schema.json",
    "steps": [{"do": "plan", "class": "small"}, {"do": "work", "units": "plan", "class": "cpu"}],
    "outputs": {"summary": {"type": "summary", "path": "summary.json"}},
}
PARSER = _parser()  # making it takes longer than most of what it is asked for
SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"n": {"type": "integer"}}}


class HomeTest(unittest.TestCase):
    """Each test has a folder of its own, with a home in it that is not installed yet."""

    compiles = False  # whether what is installed is compiled, which takes longer than most tests

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gatectl-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = os.path.join(self.folder, "home")
        self.instead("slidegate_gate.gatectl.main._parser", lambda: PARSER)
        if not self.compiles:
            self.instead("compileall.compile_dir", lambda folder, **options: True)

    def instead(self, name, value):
        """Let a name of a module mean something else until the test ends."""
        patch = mock.patch(name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def be_anna(self, shell="/bin/sh"):
        """Let the account be one with a home of its own and this login shell; return that home."""
        home = os.path.realpath(os.path.join(self.folder, "anna"))
        os.makedirs(home, 0o755, exist_ok=True)
        os.chmod(home, 0o755)
        entry = mock.Mock(pw_dir=home, pw_shell=shell, pw_name="anna")
        self.instead("pwd.getpwuid", lambda uid: entry)
        return home

    def public_key(self, letter="a", text=None):
        """Write a file with a public key; return its path."""
        path = os.path.join(self.folder, letter + ".pub")
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + letter.encode() * 32
        with open(path, "w") as file:
            file.write(text or "ssh-ed25519 {} x@y\n".format(base64.b64encode(blob).decode()))
        return path

    def ctl(self, *words):
        """Run gatectl; return (exit code, what it printed, what it complained)."""
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = main(list(words) + ["--home", self.home])
        return code, said.getvalue(), complained.getvalue()

    def good(self, *words):
        """Run gatectl, which must succeed; return what it printed."""
        code, said, complained = self.ctl(*words)
        self.assertEqual((code, complained), (0, ""), said)
        return said

    def refused(self, error, *words):
        """Run gatectl, which must refuse with this code; return the sentence."""
        code, _, complained = self.ctl(*words)
        self.assertEqual(code, 3)
        name, _, sentence = complained.partition(": ")
        self.assertEqual(name, error)
        return sentence

    def workflow(self, manifest=None, schema=None, lock="", **more):
        """Write a workflow's folder and return its path; a field of None is left out."""
        folder = tempfile.mkdtemp(dir=self.folder)
        contents = {
            "workflow.json": json.dumps(dict(MANIFEST, **(manifest or {}))),
            "parameters.schema.json": json.dumps(schema or SCHEMA),
            "runtime.lock": lock,
            "step.py": "import sys\nsys.stdin.read()\n",
        }
        contents.update(more)
        for name, text in contents.items():
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        return folder

    def installed(self, folder, *words):
        """Install a workflow; return release and runtime, each as (digest, is it new?)."""
        lines = self.good("workflow", "install", folder, *words).splitlines()
        return tuple((line.split()[1], line.endswith("(new)")) for line in lines[1:])

    def config(self):
        return files.read_json(os.path.join(self.home, "config.json"))

    def names(self, *parts):
        """Return the names in a folder of the home, without hidden ones."""
        return sorted(name for name in os.listdir(os.path.join(self.home, *parts)) if name[0] != ".")
