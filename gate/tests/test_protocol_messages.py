# SPDX-License-Identifier: BSD-3-Clause
import base64
import re
import unittest

from slidegate_gate.errors import BadRequest
from slidegate_gate.protocol import messages
from support import SiteTest, key_of

D = "0f" * 32
GOOD = {
    "hello": [{}],
    "have": [{"blobs": [[D, 1]]}, {"blobs": []}],
    "put": [{"digest": D, "size": 0, "offset": 0}],
    "submit": [{"plan": D, "round": 1}],
    "status": [{"cursor": ""}, {"cursor": "0123456789abcdef.12"}],
    "cancel": [{"attempts": [D]}],
    "read": [
        {"digest": D, "offset": 0, "length": 1},
        {"attempt": D, "log": True, "offset": 0, "length": 1},
        {"attempt": D, "units": True},
    ],
    "release": [{"attempts": []}],
    "audit": [{"since": 0}],
}
HOSTILE = [
    None,
    True,
    -1,
    1.0,
    1 << 80,
    "",
    "x",
    D.upper(),
    D + "\n",
    D[:-1],
    "../" + D[3:],
    "\u0660" * 64,
    [],
    {},
    [D, D],
    [[D, 1], [D, 1]],
    [[D, -1]],
    [[D, True]],
    [[D]],
    [[D, 1, 2]],
    [D] * 6000,
    [None],
    {"a": 1},
]


class Messages(unittest.TestCase):
    def check(self, message, body_bytes=0):
        return messages.check_request(message, body_bytes)

    def test_each_verb_is_accepted_with_its_fields(self):
        self.assertEqual(sorted(GOOD), sorted(messages.REQUESTS))
        for verb, examples in GOOD.items():
            for fields in examples:
                self.assertEqual(self.check(dict(fields, id="1f", verb=verb)), (verb, fields))

    def test_a_field_too_many_or_too_few_is_refused(self):
        for verb, examples in GOOD.items():
            for fields in examples:
                with self.assertRaises(BadRequest):
                    self.check(dict(fields, id="1f", verb=verb, key="other"))
                for name in fields:
                    less = {other: value for other, value in fields.items() if other != name}
                    with self.assertRaises(BadRequest):
                        self.check(dict(less, id="1f", verb=verb))

    def test_hostile_values_are_refused_in_every_field(self):
        for verb, examples in GOOD.items():
            for fields in examples:
                for name in fields:
                    for value in HOSTILE:
                        good = (name == "cursor" and value == "") or (
                            name in ("attempts", "blobs") and value == []
                        )
                        good = good or (name in ("log", "units") and value is True)
                        if not good:
                            with self.assertRaises(BadRequest, msg="{} {} {!r}".format(verb, name, value)):
                                self.check(dict(fields, **{"id": "1f", "verb": verb, name: value}))

    def test_a_grid_is_a_shape_cut_into_squares_and_nothing_else(self):
        good = {"shape": [300, 1], "side": 128}
        self.assertTrue(messages.grid(good))
        for name in good:
            for value in HOSTILE + [0, [1, 0], [1, 2, 3], [1, True]]:
                self.assertFalse(messages.grid(dict(good, **{name: value})), (name, value))
        for value in HOSTILE + [dict(good, more=1), {"shape": [1, 1]}]:
            self.assertFalse(messages.grid(value), value)

    def test_a_bitmap_has_a_bit_for_each_flag_from_the_lowest_on(self):
        for flags, octets in (([], b""), ([True], b"\x01"), ([False] * 8 + [False, True], b"\x00\x02")):
            self.assertEqual(base64.b64decode(messages.bitmap(flags)), octets)

    def test_ids_and_verbs_are_refused_unless_they_are_known(self):
        for name in (None, "", "G", "1F", "a" * 65, 1, ["a"], "a\n"):
            with self.assertRaises(BadRequest):
                self.check({"id": name, "verb": "hello"})
            self.assertEqual(messages.request_id({"id": name}), "")
        for verb in (None, "", "Hello", "__init__", "hello\n", 1, ["hello"], {"hello": 1}):
            with self.assertRaises(BadRequest):
                self.check({"id": "1", "verb": verb})

    def test_only_put_may_have_a_body(self):
        for verb, examples in GOOD.items():
            if verb != "put":
                with self.assertRaises(BadRequest):
                    self.check(dict(examples[0], id="1", verb=verb), 1)


class Answers(SiteTest):
    def test_answers_have_the_fields_that_are_described(self):
        asked = {
            "hello": self.site.ask("hello"),
            "have": self.site.ask("have", blobs=[[D, 1]]),
            "put": self.site.ask(
                "put",
                b"x",
                digest="2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
                size=1,
                offset=0,
            ),
            "submit": self.site.submit([1]),
            "status": self.site.ask("status", cursor=""),
            "cancel": self.site.ask("cancel", attempts=[key_of(1)]),
            "read": self.site.ask("read", digest=self.site.put(b"x"), offset=0, length=1),
            "release": self.site.ask("release", attempts=[key_of(1)]),
            "audit": self.site.ask("audit", since=0),
        }
        rows = [re.split("  +", row) for row in messages.__doc__.splitlines()]
        described = {row[0]: set(row[2].split()) for row in rows if row[0] in messages.REQUESTS}
        self.assertEqual(set(asked), set(described))
        for verb, answer in asked.items():
            self.assert_ok(answer)
            self.assertEqual(set(answer) - {"id", "ok", "head"}, described[verb], verb)


if __name__ == "__main__":
    unittest.main()
