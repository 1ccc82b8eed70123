# SPDX-License-Identifier: BSD-3-Clause
"""Checking, installing and removing workflows; building their Runtimes."""

import base64
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import unittest
import zipfile
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slidegate_gate
from gatectl_home import MANIFEST, SCHEMA, HomeTest
from slidegate_gate.serve import files

ENVIRONMENT = {"PYTHONPATH": os.path.dirname(os.path.dirname(slidegate_gate.__file__))}
STEP = dict(MANIFEST["steps"][1])

# what is wrong -> a part of the sentence that says so
FAULTS = [
    ({"slidegate": 2}, "must be 1"),
    ({"slidegate": True}, "must be 1"),
    ({"name": "Tiny Workflow"}, "'name'"),
    ({"name": "tiny\n"}, "'name'"),
    ({"version": "one"}, "1.0.0"),
    ({"title": ""}, "'title'"),
    ({"runtime": {"lock": "other.lock"}}, "other.lock, which is not in the folder"),
    ({"runtime": "analysis"}, "'runtime'"),
    ({"runtime": {"lock": "runtime.lock", "python": "2.7"}}, "'runtime'"),
    ({"command": ["sh", "-c", "true"]}, "first word"),
    ({"command": []}, "'command'"),
    ({"command": ["python", "./gone.py"]}, "gone.py, which is not in the folder"),
    ({"prepare": ["make"]}, "first word"),
    ({"each": ["slide"]}, "which is no input"),
    ({"inputs": {"image": "image"}}, "'inputs'"),
    ({"inputs": {"image": {"type": "image", "many": True}}}, "'inputs'"),
    ({"parameters": "../../etc/passwd"}, "'parameters'"),
    ({"steps": []}, "'steps'"),
    ({"steps": [STEP]}, "which is no earlier step"),
    ({"steps": [{"do": "a", "class": "cpu"}, {"do": "a", "class": "cpu"}]}, "Two steps"),
    ({"steps": [{"do": "a", "class": "cpu", "redo": "twice"}]}, "'steps'"),
    ({"steps": [{"do": "RESULT", "class": "cpu"}]}, "'steps'"),
    ({"workers": {"max": 0}}, "'workers'"),
    ({"outputs": {}}, "'outputs'"),
    ({"outputs": {"a": {"type": "summary", "path": "a", "optional": "yes"}}}, "'outputs'"),
    ({"outputs": {"a": {"type": "summary", "path": "/etc/passwd"}}}, "'outputs'"),
    (
        {"outputs": {"a": {"type": "labels", "path": "x"}, "b": {"type": "report", "path": "x/y"}}},
        "inside another",
    ),
    ({"web": True}, "does not know"),
]


class CheckTest(HomeTest):
    def test_a_folder_as_it_should_be_passes(self):
        self.assertEqual(self.good("workflow", "check", self.workflow()), "tiny 1.0.0 can be installed\n")

    def test_each_fault_is_told_in_a_sentence_that_names_it(self):
        for manifest, words in FAULTS:
            with self.subTest(manifest=manifest):
                self.assertIn(
                    words, self.refused("bad-workflow", "workflow", "check", self.workflow(manifest))
                )

    def test_all_faults_are_told_together(self):
        folder = self.workflow({"slidegate": 3, "version": "x", "web": 1})
        self.assertEqual(len(self.refused("bad-workflow", "workflow", "check", folder).splitlines()), 3)

    def test_a_missing_field_is_named_with_what_belongs_there(self):
        for field in sorted(set(MANIFEST)):
            folder = self.workflow()
            manifest = {name: value for name, value in MANIFEST.items() if name != field}
            with open(os.path.join(folder, "workflow.json"), "w") as file:
                json.dump(manifest, file)
            self.assertIn(
                "lacks {!r}: ".format(field), self.refused("bad-workflow", "workflow", "check", folder)
            )

    def test_a_schema_that_could_not_be_enforced_is_refused(self):
        schema = dict(SCHEMA, properties={"n": {"type": "array"}})
        self.refused("bad-workflow", "workflow", "check", self.workflow(schema=schema))
        schema = dict(SCHEMA, properties={"n": {"type": "string", "pattern": "^(a+)+$"}})
        self.refused("bad-workflow", "workflow", "check", self.workflow(schema=schema))

    def test_a_symlink_in_the_folder_is_refused(self):
        folder = self.workflow()
        os.symlink("/etc/passwd", os.path.join(folder, "passwd"))
        self.assertIn("passwd", self.refused("bad-workflow", "workflow", "check", folder))

    def test_a_folder_that_is_none_is_refused(self):
        self.refused("bad-workflow", "workflow", "check", os.path.join(self.folder, "nowhere"))

    def test_the_workflows_of_this_repository_pass(self):
        root = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir)
        found = glob.glob(os.path.join(root, "workflows", "*")) + glob.glob(
            os.path.join(root, "tests", "data", "workflows", "*")
        )
        self.assertTrue(found)
        for folder in found:
            self.assertIn("can be installed", self.good("workflow", "check", folder))


class InstallWorkflowTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.good("install")

    def test_a_release_says_what_runs_and_its_runtime_starts(self):
        folder = self.workflow()
        (digest, _), (runtime, _) = self.installed(folder)
        release = files.read_json(os.path.join(self.home, "releases", digest, "release.json"))
        self.assertEqual(
            [
                release[name]
                for name in ("format", "name", "version", "digest", "runtime", "manifest", "schema")
            ],
            [1, "tiny", "1.0.0", digest, runtime, MANIFEST, SCHEMA],
        )
        self.assertEqual(release["python"], os.path.join(self.home, "runtimes", runtime, "bin", "python"))
        argv = [release["python"], os.path.join(self.home, "releases", digest, "step.py")]
        self.assertEqual(subprocess.call(argv, stdin=subprocess.DEVNULL), 0)
        self.assertIn(digest, self.good("workflow", "list"))

    def test_a_repeat_finds_release_and_runtime(self):
        folder = self.workflow()
        first = self.installed(folder)
        self.assertEqual([new for _, new in first], [True, True])
        self.assertEqual(self.installed(folder), tuple((digest, False) for digest, _ in first))

    def test_two_at_once_build_one_runtime(self):
        argv = [
            sys.executable,
            "-m",
            "slidegate_gate",
            "ctl",
            "workflow",
            "install",
            self.workflow(),
            "--home",
            self.home,
        ]
        both = [subprocess.Popen(argv, stdout=subprocess.PIPE, env=ENVIRONMENT) for _ in range(2)]
        said = [each.communicate()[0].decode().splitlines() for each in both]
        self.assertEqual([each.returncode for each in both], [0, 0])
        self.assertEqual(
            sorted(line.split("(")[1] for lines in said for line in lines[1:]),
            ["new)"] * 2 + ["was there)"] * 2,
        )

    def test_another_file_makes_another_release_in_the_same_runtime(self):
        first = self.installed(self.workflow())
        second = self.installed(self.workflow(**{"step.py": "import sys\nsys.stdin.readline()\n"}))
        self.assertNotEqual(first[0][0], second[0][0])
        self.assertEqual(second[1], (first[1][0], False))

    def test_another_lock_makes_another_runtime(self):
        first = self.installed(self.workflow())
        second = self.installed(self.workflow(lock="# nothing, in other words\n"))
        self.assertNotEqual(first[1][0], second[1][0])

    def test_an_unfinished_runtime_is_built_anew(self):
        folder = self.workflow()
        (release, _), (runtime, _) = self.installed(folder)
        path = os.path.join(self.home, "runtimes", runtime)
        os.unlink(os.path.join(path, "runtime.json"))
        os.unlink(os.path.join(path, "bin", "python"))
        self.assertEqual(self.installed(folder), ((release, False), (runtime, True)))
        self.assertTrue(os.path.exists(os.path.join(path, "bin", "python")))

    def test_what_a_workflow_prepares_is_done_once_in_its_runtime(self):
        program = "import sys\nopen(sys.prefix + '/prepared', 'a').write(sys.argv[1])\n"
        prepare = {"prepare": ["python", "./prepare.py", "x"]}
        folder = self.workflow(prepare, **{"prepare.py": program})
        (_, (runtime, _)) = self.installed(folder)
        self.installed(folder)
        with open(os.path.join(self.home, "runtimes", runtime, "prepared")) as file:
            self.assertEqual(file.read(), "x")

    def test_a_preparation_that_fails_leaves_no_release(self):
        folder = self.workflow({"prepare": ["python", "-c", "raise SystemExit('no compiler')"]})
        self.assertIn("no compiler", self.refused("runtime-not-built", "workflow", "install", folder))
        self.assertEqual(self.good("workflow", "list"), "")

    def test_a_class_that_the_site_does_not_have_is_refused(self):
        folder = self.workflow({"steps": [{"do": "train", "class": "gpu"}]})
        self.assertIn("gpu", self.refused("bad-workflow", "workflow", "install", folder))
        self.assertEqual(os.path.exists(os.path.join(self.home, "releases")), False)

    def test_an_interpreter_that_is_too_old_or_none_is_refused(self):
        folder = self.workflow({"runtime": {"lock": "runtime.lock", "python": "3.99"}})
        self.assertIn("--python", self.refused("runtime-not-built", "workflow", "install", folder))
        words = ("workflow", "install", self.workflow(), "--python", "/bin/false")
        self.refused("runtime-not-built", *words)
        self.assertEqual(os.path.exists(os.path.join(self.home, "releases")), False)

    def test_a_workflow_is_removed_by_name_or_by_the_beginning_of_its_digest(self):
        one = self.installed(self.workflow())[0][0]
        two = self.installed(self.workflow({"version": "1.0.1"}))[0][0]
        for name in ("huge", "", one[:1], one[:7]):
            self.refused("unknown-name", "workflow", "remove", name)
        self.good("workflow", "remove", one[:10])
        self.assertEqual(self.names("releases"), [two])
        self.good("workflow", "remove", "tiny")
        self.assertEqual(self.names("releases"), [])

    def test_a_release_with_work_to_do_stays(self):
        digest = self.installed(self.workflow())[0][0]
        keys = os.path.join(self.home, "state", "keys", "lab")
        attempt = "a" * 64
        for path in ("submissions/" + "5" * 32, "attempts/" + attempt):
            os.makedirs(os.path.join(keys, path))
        plan = {"release": digest, "attempts": [{"attempt": attempt}]}
        files.write_json(os.path.join(keys, "submissions", "5" * 32, "plan.json"), plan)
        files.write_json(os.path.join(keys, "attempts", attempt, "owner.json"), {"submission": "5" * 32})
        self.refused("still-in-use", "workflow", "remove", "tiny")
        files.write_json(os.path.join(keys, "attempts", attempt, "result.json"), {"state": "failed"})
        self.good("workflow", "remove", "tiny")


def find_pip():
    """Return a wheel of pip that came with the interpreter, or None."""
    bundled = os.path.join(sysconfig.get_path("stdlib"), "ensurepip", "_bundled", "pip-*.whl")
    found = glob.glob(bundled) + glob.glob("/usr/share/python-wheels/pip-*.whl")
    return found[0] if found else None


def entry(path):
    """Return the entry of a lock for a wheel."""
    name, version = os.path.basename(path).split("-")[:2]
    with open(path, "rb") as file:
        return "{}=={} \\\n    --hash=sha256:{}\n".format(
            name, version, hashlib.sha256(file.read()).hexdigest()
        )


class Wheels(HomeTest):
    """A workflow whose Runtime has one small wheel."""

    def setUp(self):
        super().setUp()
        self.good("install")
        self.pip = find_pip()
        self.tiny = self.wheel("answer = 42\n")
        self.lock = entry(self.pip) + entry(self.tiny)
        program = "import tinywheel, sys\nsys.stdin.read()\nprint(tinywheel.answer)\n"
        self.tiny_folder = self.workflow(lock=self.lock, **{"step.py": program})
        os.mkdir(os.path.join(self.tiny_folder, "wheels"))
        for path in (self.pip, self.tiny):
            shutil.copy(path, os.path.join(self.tiny_folder, "wheels"))

    def wheel(self, code):
        """Write a wheel with one module."""
        path = os.path.join(self.folder, "tinywheel-1.0-py3-none-any.whl")
        contents = {
            "tinywheel.py": code,
            "tinywheel-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinywheel\nVersion: 1.0\n",
            "tinywheel-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "tinywheel-1.0.dist-info/RECORD,,\n"
        for name, text in contents.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += "{},sha256={},{}\n".format(name, digest, len(text))
        contents["tinywheel-1.0.dist-info/RECORD"] = record
        with zipfile.ZipFile(path, "w") as file:
            for name, text in contents.items():
                file.writestr(name, text)
        return path


@unittest.skipUnless(find_pip(), "this interpreter brings no wheel of pip")
class InstalledWheelTest(unittest.TestCase):
    """What one installation has made, with an environment that tries to have a say in it."""

    @classmethod
    def setUpClass(cls):
        cls.site = Wheels("setUp")
        cls.site.setUp()
        cls.target = os.path.join(cls.site.folder, "target")
        with mock.patch.dict(os.environ, PIP_REQUIRE_VIRTUALENV="nonsense", PIP_TARGET=cls.target):
            (cls.digest, _), (cls.runtime, _) = cls.site.installed(cls.site.tiny_folder)

    @classmethod
    def tearDownClass(cls):
        cls.site.doCleanups()

    def test_the_runtime_holds_what_the_lock_names_compiled_and_not_pip(self):
        runtime = os.path.join(self.site.home, "runtimes", self.runtime)
        argv = [os.path.join(runtime, "bin", "python")]
        argv += [os.path.join(self.site.home, "releases", self.digest, "step.py")]
        self.assertEqual(subprocess.check_output(argv, stdin=subprocess.DEVNULL), b"42\n")
        packages = glob.glob(os.path.join(runtime, "lib", "*", "site-packages"))[0]
        self.assertTrue(glob.glob(os.path.join(packages, "__pycache__", "tinywheel.*.pyc")))
        self.assertEqual(os.path.exists(os.path.join(packages, "pip")), False)

    def test_wheels_are_no_part_of_the_release(self):
        self.assertEqual(
            self.site.names("releases", self.digest),
            ["parameters.schema.json", "release.json", "runtime.lock", "step.py", "workflow.json"],
        )

    def test_what_the_environment_says_about_pip_is_not_heard(self):
        self.assertEqual(os.path.exists(self.target), False)


@unittest.skipUnless(find_pip(), "this interpreter brings no wheel of pip")
class WheelTest(Wheels):
    def test_wheels_can_lie_in_another_folder(self):
        elsewhere = os.path.join(self.folder, "elsewhere")
        shutil.move(os.path.join(self.tiny_folder, "wheels"), elsewhere)
        self.refused("runtime-not-built", "workflow", "install", self.tiny_folder)
        self.installed(self.tiny_folder, "--wheels", elsewhere)

    def test_a_wheel_with_another_hash_is_refused_and_the_right_one_then_installs(self):
        wrong = self.wheel("answer = 'from somebody else'\n")
        place = os.path.join(self.tiny_folder, "wheels", os.path.basename(wrong))
        right = place + ".right"
        os.rename(place, right)
        shutil.copy(wrong, place)
        self.assertIn("tinywheel", self.refused("runtime-not-built", "workflow", "install", self.tiny_folder))
        self.assertEqual(self.good("workflow", "list"), "")
        os.rename(right, place)
        self.installed(self.tiny_folder)

    def test_a_pip_that_the_lock_does_not_name_is_never_run(self):
        place = os.path.join(self.tiny_folder, "wheels", os.path.basename(self.pip))
        mark = os.path.join(self.folder, "it ran")
        with zipfile.ZipFile(place, "a") as file:
            file.writestr("pip/sitecustomize.py", "open({!r}, 'w')\n".format(mark))
        sentence = self.refused("runtime-not-built", "workflow", "install", self.tiny_folder)
        self.assertIn("no wheel of pip whose hash stands in the lock", sentence)
        self.assertEqual(os.path.exists(mark), False)


if __name__ == "__main__":
    unittest.main()
