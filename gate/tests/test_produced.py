# SPDX-License-Identifier: BSD-3-Clause
"""What a step may leave behind, and what becomes of it."""

import os
import shutil
import tempfile
import traceback
import unittest
from types import SimpleNamespace
from unittest import mock

from slidegate_gate import produced
from slidegate_gate.errors import BadOutput
from slidegate_gate.runner import outputs

NOBODY = 65534


def as_nobody(function):
    """Call a function in a process that no file is open to against its mode; say whether it went well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            function()
            code = 0
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


class Produced(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)

    def write(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(name)
        return path

    def test_what_cannot_be_read_is_a_bad_output_and_no_reason_to_die(self):
        attempt = SimpleNamespace(
            path=lambda name: self.folder, folders_of=lambda step: [], steps=[{"do": "finish"}]
        )

        def member():
            produced.flush(self.folder)
            with self.assertRaisesRegex(BadOutput, "sealed"):
                outputs.store(mock.Mock(), attempt, {"table": {"path": "table"}})

        self.write("table")
        for name in ("sealed", "sealed/file"):
            self.write(name)
            sealed = os.path.join(self.folder, "sealed")
            if os.geteuid() == 0:
                for path in (self.folder, sealed):
                    os.chown(path, NOBODY, NOBODY)
            os.chmod(sealed, 0)
            self.assertTrue(as_nobody(member), name)
            os.chmod(sealed, 0o700)
            if name == "sealed":
                os.unlink(sealed)

    def test_too_many_files_are_counted_before_any_is_flushed(self):
        for number in range(4):
            self.write("file{}".format(number))
        with mock.patch.object(os, "fsync") as fsync, mock.patch.object(produced, "MAX_FILES", 3):
            with self.assertRaisesRegex(BadOutput, "more than 3 files"):
                produced.flush(self.folder)
            fsync.assert_not_called()
        with mock.patch.object(os, "fsync") as fsync, mock.patch.object(produced, "MAX_FILES", 4):
            produced.flush(self.folder)
            self.assertEqual(fsync.call_count, 4)


if __name__ == "__main__":
    unittest.main()
