# SPDX-License-Identifier: BSD-3-Clause
"""What Slurm's programs of several years say is understood, and what nobody understands does no harm."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import slurm_answers
from slidegate_gate.schedulers import slurm_words
from slurm_answers import NAME, OTHERS, SACCT, SQUEUE


class Words(unittest.TestCase):
    def setUp(self):
        self.arrays = {}

    def read(self, answer, now=1.0):
        return slurm_words.read_queue(self.arrays, answer.format(NAME), now)

    def view(self, array="1"):
        return slurm_words.view(self.arrays[array])

    def test_every_answer_means_what_it_says(self):
        for what, (answer, meaning) in SQUEUE.items():
            self.arrays = {}
            self.read(answer)
            self.assertEqual(self.view(), meaning, what)
            self.assertEqual(list(self.arrays), ["1"], what)

    def test_reasons_are_one_plain_word(self):
        for what, (answer, _) in SQUEUE.items():
            self.arrays = {}
            self.read(answer)
            self.assertRegex(self.view().get("reason", "x"), r"\A[A-Za-z0-9_]{1,60}\Z", what)

    def test_jobs_that_are_not_the_gates_and_lines_that_are_no_rows_are_not_read(self):
        self.read(OTHERS)
        self.assertEqual(self.arrays, {})
        self.read("1|0|RUNNING|None|{}\n" + OTHERS)
        self.assertEqual((list(self.arrays), self.view()), (["1"], {"state": "running"}))

    def test_every_state_that_any_version_has_is_known(self):
        known = (
            "BOOT_FAIL CANCELLED COMPLETED COMPLETING CONFIGURING DEADLINE EXPEDITING FAILED LAUNCH_FAILED "
            "NODE_FAIL OUT_OF_MEMORY PENDING POWER_UP_NODE PREEMPTED RECONFIG_FAIL REQUEUED REQUEUE_FED "
            "REQUEUE_HOLD RESIZING RESV_DEL_HOLD REVOKED RUNNING SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED "
            "SUSPENDED TIMEOUT"
        )
        self.assertEqual(sorted(slurm_words.WORDS), known.split())

    def test_what_an_element_died_of_is_kept_when_slurm_has_forgotten_it(self):
        self.read("1|0|TIMEOUT|TimeLimit|{0}\n1|1|COMPLETED|None|{0}\n1|2|RUNNING|None|{0}\n")
        self.assertEqual(self.view(), {"state": "running"})
        self.assertEqual(self.read("1|2|RUNNING|None|{0}\n", 2.0), [])
        self.assertEqual(self.read("1|2|NODE_FAIL|NodeDown|{0}\n", 3.0), [])
        self.assertEqual(self.view(), {"state": "ended", "causes": {"time-limit": 1, "node-lost": 1}})
        self.assertEqual(self.read("", 4.0), [])
        self.assertEqual(self.view(), {"state": "ended", "causes": {"time-limit": 1, "node-lost": 1}})

    def test_an_element_that_is_run_again_has_not_died(self):
        self.read("1|0|NODE_FAIL|NodeDown|{0}\n")
        self.read("1|0|REQUEUED|NodeDown|{0}\n", 2.0)
        self.assertEqual(self.view(), {"state": "queued", "reason": "NodeDown"})
        self.read("1|0|COMPLETED|None|{0}\n", 3.0)
        self.assertEqual(self.view(), {"state": "ended"})

    def test_an_array_that_is_missing_from_an_answer_has_ended_and_is_told(self):
        self.read("1|0|RUNNING|None|{0}\n2|0|PENDING|Priority|{0}\n3|0|COMPLETED|None|{0}\n")
        self.assertEqual(sorted(self.read("", 2.0)), ["1", "2"])
        self.assertEqual([self.view(array) for array in "123"], [{"state": "ended"}] * 3)

    def test_a_number_that_is_used_again_is_another_array(self):
        self.read("1|0|TIMEOUT|TimeLimit|{0}\n")
        self.read("1|0|RUNNING|None|{0}x\n", 2.0)
        self.assertEqual(self.view(), {"state": "running"})
        self.read("1|0|COMPLETED|None|{0}x\n", 3.0)
        self.assertEqual(self.view(), {"state": "ended"})

    def test_the_accounting_adds_how_elements_died_and_brings_nothing_back_to_life(self):
        self.read("1|0|RUNNING|None|{0}\n")
        self.read("", 2.0)
        slurm_words.read_accounts(self.arrays, SACCT)
        causes = {"time-limit": 1, "cancelled": 4, "out-of-memory": 1}
        self.assertEqual(self.view(), {"state": "ended", "causes": causes})
        self.assertEqual(list(self.arrays), ["1"])

    def test_every_refusal_is_told_from_what_may_have_arrived(self):
        for what, ((code, _, words), meaning) in slurm_answers.SBATCH.items():
            if code:
                refused = bool(slurm_words.REFUSAL.search(words))
                self.assertEqual(refused, meaning == "refused", what)


if __name__ == "__main__":
    unittest.main()
