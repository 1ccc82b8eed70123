# SPDX-License-Identifier: BSD-3-Clause
"""The whole way through real processes: serve, the local scheduler, the runner, a workflow's steps."""

import json
import os
import shutil
import tempfile
import time
import unittest

from slidegate_gate.protocol.canonical import canonical
from slidegate_gate.serve import files
from small_site import KEY, RELEASE, SmallSite
from support import GATE_FOLDER, Process, digest_of, key_of, verify

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"units": {"type": "integer"}, "ledger": {"type": "string"}},
}


class Whole(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="gate-")
        self.addCleanup(shutil.rmtree, folder, True)
        self.site = SmallSite(folder)
        release = files.read_json(self.site.layout.release(RELEASE))
        files.write_json(self.site.layout.release(RELEASE), dict(release, schema=SCHEMA))
        self.program = os.path.join(self.site.home, "versions", "1")
        shutil.copytree(
            os.path.join(GATE_FOLDER, "slidegate_gate"), os.path.join(self.program, "slidegate_gate")
        )
        shutil.copy(os.path.join(GATE_FOLDER, "slidegate_gate", "__main__.py"), self.program)
        os.symlink("versions/1", os.path.join(self.site.home, "current"))
        self.connect()

    def connect(self):
        self.gate = Process(self.site.home, KEY, os.path.join(self.site.home, "current"))
        self.addCleanup(self.gate.kill)

    def put(self, data):
        answer = self.gate.ask("put", data, digest=digest_of(data), size=len(data), offset=0)
        self.assertTrue(answer.get("committed"), answer)
        return digest_of(data)

    def put_tree(self, contents):
        entries = [[name, len(data), self.put(data)] for name, data in sorted(contents.items())]
        return self.put(canonical({"tree": 1, "entries": entries}))

    def plan(self, numbers):
        image = self.put_tree({"pixels/0": b"pixels of "})
        parameters = {"units": 3, "ledger": self.site.ledger}
        attempts = [
            {"attempt": key_of(number), "inputs": {"image": image}, "parameters": parameters, "note": {}}
            for number in numbers
        ]
        plan = {"plan": 1, "release": RELEASE, "note": {}, "attempts": attempts}
        return self.put_tree({"plan.json": json.dumps(plan).encode()})

    def wait(self, numbers):
        """Follow the changes until all Attempts have ended; return how."""
        seen, cursor, end = {}, "", time.monotonic() + 60
        while len([view for view in seen.values() if view["state"] not in ("queued", "running")]) < len(
            numbers
        ):
            answer = self.gate.ask("status", cursor=cursor)
            self.assertLess(time.monotonic(), end, self.gate.ask("status", cursor=""))
            cursor = answer["cursor"]
            seen.update((view["attempt"], view) for view in answer["attempts"])
            time.sleep(0.05)
        return seen

    def fetch(self, digest):
        """Read a content, as a client would: in pieces, and checked."""
        self.gate.ask("read", digest=digest, offset=0, length=1 << 20)
        self.assertEqual(digest_of(self.gate.body), digest)
        return bytes(self.gate.body)

    def test_results_come_back_and_are_let_go(self):
        plan = self.plan([1, 2])
        answer = self.gate.ask("submit", plan=plan, round=1)
        self.assertTrue(answer["ok"], answer)
        for view in self.wait([1, 2]).values():
            self.assertEqual(view["state"], "succeeded", view)
            tree = json.loads(self.fetch(view["tree"]).decode())
            outputs = {name: self.fetch(digest) for name, _, digest in tree["entries"]}
            self.assertEqual(outputs["labels/u001"], b"pixels of u001")
        log = self.gate.ask("read", attempt=key_of(1), log=True, offset=0, length=1000)
        self.assertTrue(log["ok"] or log["error"]["code"] == "gone")
        units = self.gate.ask("read", attempt=key_of(1), units=True)
        told = json.loads(self.gate.body.decode("ascii"))
        self.assertEqual((units["size"], told["step"], told["units"]), (len(self.gate.body), "detect", 3))
        self.assertEqual((told["done"], told["current"]), ("Bw==", []))
        self.assertEqual(self.gate.ask("submit", plan=plan, round=1)["crews"], answer["crews"])
        self.gate.ask("release", attempts=[key_of(1), key_of(2)])
        self.assertEqual(self.gate.ask("status", cursor="")["attempts"], [])
        used = self.gate.ask("audit", since=0)["usage"]
        self.assertEqual((used["attempts_alive"], used["attempts_per_day"]), (0, 2))
        verify(self.site.layout.audit)

    def test_a_gate_killed_after_it_was_asked_leaves_work_that_goes_on(self):
        plan = self.plan([1])
        self.gate.send_request("submit", plan=plan, round=1)
        time.sleep(0.05)
        self.gate.kill()
        self.connect()
        answer = self.gate.ask("submit", plan=plan, round=1)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(self.wait([1])[key_of(1)]["state"], "succeeded")
        arrays = files.names_in(os.path.join(self.site.layout.scheduler, "arrays"))
        self.assertEqual([crew["array"] for crew in answer["crews"]], arrays)


if __name__ == "__main__":
    unittest.main()
