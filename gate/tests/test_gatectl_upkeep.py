# SPDX-License-Identifier: BSD-3-Clause
"""What gatectl tells about a gate, and what it removes."""

import os
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gatectl_home import HomeTest
from slidegate_gate import contents
from slidegate_gate.config import load_config
from slidegate_gate.serve import audit, files
from slidegate_gate.serve.layout import Layout
from support import Process

SUBMISSION = "5" * 32
ATTEMPT = "a" * 64
LONG_AGO = time.time() - 10 * 24 * 3600


class ExplainTest(HomeTest):
    def test_all_programs_are_listed(self):
        self.good("install")
        (digest, _), (runtime, _) = self.installed(self.workflow())
        said = self.good("explain")
        self.assertIn(os.path.join("runtimes", runtime, "bin", "python") + " " + self.home, said)
        self.assertIn(os.path.join("releases", digest, "step.py"), said)
        self.assertIn("runner --home {} --key <key>".format(self.home), said)
        self.assertIn(sys.executable, said)

    def test_what_sshd_starts_and_what_a_crew_may_have_are_told(self):
        self.be_anna()
        self.good("install", "--cores", "3")
        self.good("key", "add", "lab", "--workflow", "*")
        line = self.good("authorize", self.public_key(), "--key", "lab").splitlines()[0]
        said = self.good("explain").splitlines()
        self.assertIn("  " + line, said)
        self.assertIn("  cpu: members=3 memory_mb=4000 minutes=720", said)


class AuditTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.good("install")
        self.path = os.path.join(self.home, "state", "keys", "lab", "audit.jsonl")
        chain = audit.Audit(self.path, "lab", "local")
        for number in range(3):
            chain.record("hello", str(number), {}, "ok")
        self.head = chain.head

    def test_a_whole_chain_is_walked_to_its_head(self):
        self.assertEqual(self.good("audit", "verify"), "lab  3 records  head {}  whole\n".format(self.head))

    def test_what_a_killed_gate_left_of_a_record_breaks_nothing(self):
        with open(self.path, "rb") as file:
            whole = file.read()
        for cut in (1, 50, len(whole.splitlines()[-1])):
            with open(self.path, "wb") as file:
                file.write(whole + whole.splitlines()[-1][:cut])
            said = self.good("audit", "verify")
            self.assertEqual(said, "lab  3 records  head {}  whole\n".format(self.head))

    def test_an_altered_record_is_found(self):
        with open(self.path) as file:
            lines = file.read().replace('"id":"1"', '"id":"9"')
        with open(self.path, "w") as file:
            file.write(lines)
        code, said, _ = self.ctl("audit", "verify")
        self.assertEqual(code, 1)
        self.assertIn("BROKEN", said)


class CleanTest(HomeTest):
    def setUp(self):
        super().setUp()
        self.good("install")
        self.good("key", "add", "lab", "--workflow", "*")
        self.layout = Layout(self.home, load_config(self.home), "lab")

    def limit(self, count):
        config = self.config()
        config["keys"]["lab"]["limits"] = {"bytes": count}
        files.write_json(os.path.join(self.home, "config.json"), config)

    def content(self, text, age=0.0):
        """Keep a content, last used so many seconds ago; return its path."""
        path = self.layout.blob(contents.add_bytes(self.layout, text.encode()))
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    def tree(self, *texts):
        """Keep a Tree of these contents, and the folder with its files; return its digest and all paths."""
        entries = []
        for number, text in enumerate(texts):
            digest = contents.add_bytes(self.layout, text.encode())
            entries.append(("f{}".format(number), len(text), digest))
        digest = contents.write_tree(self.layout, entries)
        folder = contents.materialise(self.layout, digest)
        return digest, [self.layout.blob(one) for one in [digest] + [entry[2] for entry in entries]] + [
            folder
        ]

    def accept(self, inputs, result=None, released=False):
        """Write the records of one accepted Attempt."""
        plan, paths = self.tree("the plan")
        entry = {"attempt": ATTEMPT, "inputs": inputs}
        current = os.path.realpath(os.path.join(self.home, "current"))
        records = {
            self.layout.plan(SUBMISSION): {"tree": plan, "program": current, "attempts": [entry]},
            self.layout.owner(ATTEMPT): {"submission": SUBMISSION},
        }
        if result:
            records[self.layout.result(ATTEMPT)] = {"state": "succeeded", "tree": result}
        if released:
            records[self.layout.released(ATTEMPT)] = {}
        for path, record in records.items():
            files.make_dirs(os.path.dirname(path))
            files.write_json(path, record)
        files.make_dirs(os.path.join(self.layout.work_dir(SUBMISSION, ATTEMPT), "shared"))
        return paths

    def test_nothing_goes_from_a_home_in_use(self):
        self.good("workflow", "install", self.workflow())
        self.content("x" * 100)
        self.assertEqual(self.good("clean"), "      0.0 MB  freed\n")

    def test_least_used_contents_go_until_the_rest_fits(self):
        self.limit(100000)
        old, middle, new = (
            self.content(letter * 30000, age) for letter, age in (("a", 900), ("b", 500), ("c", 100))
        )
        self.good("clean", "--keep", "60")
        self.assertEqual([os.path.exists(path) for path in (old, middle, new)], [False, True, True])

    def test_a_dry_run_says_the_same_and_removes_nothing(self):
        self.limit(0)
        path = self.content("a" * 2000000)
        said = self.good("clean", "--dry-run")
        self.assertTrue(os.path.exists(path))
        self.assertIn("2.0 MB  least used content: " + path, said)
        self.assertEqual(self.good("clean").replace(" freed", " could be freed"), said)
        self.assertFalse(os.path.exists(path))

    def test_a_content_with_two_names_is_counted_once_when_both_go(self):
        self.limit(0)
        self.tree("a" * 3000000, "b")
        said = self.good("clean", "--dry-run")
        self.assertIn("      3.0 MB  could be freed", said)
        self.assertEqual(self.good("clean").replace(" freed", " could be freed"), said)

    def test_inputs_and_results_of_work_that_was_not_released_stay(self):
        self.limit(0)
        image, image_paths = self.tree("one", "two")
        result, result_paths = self.tree("three")
        _, other_paths = self.tree("four")
        paths = self.accept({"image": image}, result=result) + image_paths + result_paths
        self.good("clean")
        self.assertEqual([path for path in paths if not os.path.exists(path)], [])
        self.assertEqual([path for path in other_paths if os.path.exists(path)], [])
        self.assertTrue(os.path.isdir(self.layout.work_dir(SUBMISSION, ATTEMPT)))

    def test_what_was_released_goes_and_its_records_stay(self):
        self.limit(0)
        image, paths = self.tree("one", "two")
        self.accept({"image": image}, result=self.tree("three")[0], released=True)
        self.good("clean")
        self.assertEqual([path for path in paths if os.path.exists(path)], [])
        self.assertEqual(os.path.exists(self.layout.work_dir(SUBMISSION, ATTEMPT)), False)
        self.assertTrue(os.path.exists(self.layout.result(ATTEMPT)))

    def test_a_vanished_input_does_not_stop_the_cleaning(self):
        self.limit(0)
        image, paths = self.tree("one")
        self.accept({"image": image})
        os.unlink(paths[0])
        path = self.content("other")
        self.good("clean")
        self.assertFalse(os.path.exists(path))

    def test_uploads_go_when_nobody_continued_them_for_a_day(self):
        files.make_dirs(self.layout.parts)
        for name, when in (("a" * 64, LONG_AGO), ("b" * 64, time.time())):
            with open(os.path.join(self.layout.parts, name), "w"):
                pass
            os.utime(os.path.join(self.layout.parts, name), (when, when))
        self.good("clean")
        self.assertEqual(os.listdir(self.layout.parts), ["b" * 64])

    def test_what_jobs_printed_goes_after_a_month(self):
        folder = os.path.join(self.home, "state", "scheduler", "logs")
        for name, days in (("old", 31), ("young", 29)):
            path = os.path.join(folder, name)
            files.make_dirs(folder)
            files.write_json(path, "words")
            os.utime(path, (time.time() - days * 86400,) * 2)
        self.assertIn("log of an old crew", self.good("clean"))
        self.assertEqual(os.listdir(folder), ["young"])

    def test_a_folder_that_a_member_is_just_making_stays(self):
        for name, when in ((".tmp-1-a", LONG_AGO), (".tmp-1-b", time.time())):
            files.make_dirs(os.path.join(self.layout.trees, name))
            os.utime(os.path.join(self.layout.trees, name), (when, when))
        self.good("clean")
        self.assertEqual(os.listdir(self.layout.trees), [".tmp-1-b"])

    def test_a_runtime_goes_with_its_last_release(self):
        self.good("workflow", "install", self.workflow())
        self.good("workflow", "remove", "tiny")
        self.good("clean")
        self.assertEqual(self.names("runtimes"), [])

    def test_an_old_version_stays_while_work_runs_with_it(self):
        versions = os.path.join(self.home, "versions")
        for name in ("old", "older"):
            os.mkdir(os.path.join(versions, name))
        self.accept({})
        record = files.read_json(self.layout.plan(SUBMISSION))
        files.write_json(self.layout.plan(SUBMISSION), dict(record, program=os.path.join(versions, "old")))
        self.good("clean")
        self.assertIn("old", self.names("versions"))
        self.assertEqual(len(self.names("versions")), 2)

    def test_an_old_version_stays_while_a_gate_answers_from_it(self):
        (version,) = self.names("versions")
        old = os.path.join(self.home, "versions", "old")
        shutil.copytree(os.path.join(self.home, "versions", version), old)
        process = Process(self.home, "lab", old)
        self.assertTrue(process.ask("hello")["ok"])
        self.good("clean")
        self.assertTrue(process.ask("hello")["ok"])
        self.assertIn("old", self.names("versions"))
        process.close()
        self.good("clean")
        self.assertEqual(self.names("versions"), [version])

    def test_the_version_in_use_stays_where_the_home_is_reached_through_a_link(self):
        os.symlink(self.home, os.path.join(self.folder, "link"))
        self.home = os.path.join(self.folder, "link")
        self.good("clean")
        self.assertEqual(len(self.names("versions")), 1)

    def test_what_a_killed_gatectl_left_goes(self):
        os.mkdir(os.path.join(self.home, ".tmp-1-2"))
        self.good("clean")
        self.assertEqual([name for name in os.listdir(self.home) if name.startswith(".tmp")], [])

    def test_contents_of_a_removed_key_go(self):
        path = self.content("x")
        self.good("key", "remove", "lab")
        self.good("clean")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main()
