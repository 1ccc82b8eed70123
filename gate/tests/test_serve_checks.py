# SPDX-License-Identifier: BSD-3-Clause
import copy
import unittest

from slidegate_gate import schemas
from slidegate_gate.errors import BadParameters, BadPlan
from slidegate_gate.protocol import messages
from slidegate_gate.serve import checks
from support import RELEASE, SCHEMA, key_of


class Parameters(unittest.TestCase):
    def assert_bad(self, values, parameter):
        with self.assertRaises(BadParameters) as caught:
            checks.check_parameters(SCHEMA, values)
        self.assertEqual(caught.exception.detail["parameter"], parameter)

    def test_defaults_are_filled_in(self):
        self.assertEqual(
            checks.check_parameters(SCHEMA, {"size": 8}), {"size": 8, "block": 2048, "channel": "0"}
        )

    def test_a_parameter_without_default_that_is_not_required_stays_away(self):
        self.assertNotIn("fast", checks.check_parameters(SCHEMA, {"size": 8}))

    def test_bounds_belong_to_the_range(self):
        for size in (1, 1.0, 50):
            checks.check_parameters(SCHEMA, {"size": size})
        for size in (0.999, 50.001, -8):
            self.assert_bad({"size": size}, "size")

    def test_what_is_missing_or_unknown_is_named(self):
        self.assert_bad({}, "size")
        self.assert_bad({"size": 8, "colour": 1}, "colour")
        self.assert_bad({"size": 8, "x" * 5000: 1}, "x" * 100)

    def test_wrong_types_are_refused(self):
        for size in ("8", True, None, [8], {"a": 8}):
            self.assert_bad({"size": size}, "size")
        for block in ("2048", True, 2048.5, 2047):
            self.assert_bad({"size": 8, "block": block}, "block")
        for fast in (0, 1, "true", None):
            self.assert_bad({"size": 8, "fast": fast}, "fast")

    def test_a_whole_number_may_be_written_with_a_point(self):
        filled = checks.check_parameters(SCHEMA, {"size": 8, "block": 1024.0})
        self.assertIs(type(filled["block"]), int)

    def test_shell_words_and_line_breaks_do_not_match_a_pattern(self):
        for channel in ("$(id)", "a;b", "a b", "0\n", "\n0", "", "\u0660", "a\x00", "123456"):
            self.assert_bad({"size": 8, "channel": channel}, "channel")


class Schemas(unittest.TestCase):
    def assert_bad(self, change):
        schema = copy.deepcopy(SCHEMA)
        change(schema)
        with self.assertRaises(ValueError):
            schemas.check_schema(schema)

    def test_the_subset_is_accepted(self):
        schemas.check_schema(SCHEMA)
        schemas.check_schema({"type": "object", "additionalProperties": False})

    def test_what_is_not_understood_is_refused(self):
        for word in ("oneOf", "$ref", "if", "patternProperties", "$schema", "minProperties"):
            self.assert_bad(lambda schema, word=word: schema.update({word: {}}))
        for word in ("format", "multipleOf", "exclusiveMinimum", "minLength", "items", "anyOf", "not"):
            self.assert_bad(lambda schema, word=word: schema["properties"]["size"].update({word: 1}))

    def test_a_schema_must_be_closed(self):
        self.assert_bad(lambda schema: schema.pop("additionalProperties"))
        self.assert_bad(lambda schema: schema.update(additionalProperties=True))
        self.assert_bad(lambda schema: schema.update(additionalProperties=0))

    def test_rules_of_the_wrong_form_are_refused(self):
        size = {
            "minimum": "1",
            "maximum": None,
            "enum": [],
            "maxLength": 5,
            "pattern": "^[0-9]+$",
            "type": "array",
        }
        for word, rule in size.items():
            self.assert_bad(
                lambda schema, word=word, rule=rule: schema["properties"]["size"].update({word: rule})
            )
        for pattern in ("(a+)+", ".*", ["x"], "^[0-9]+"):
            self.assert_bad(lambda schema, rule=pattern: schema["properties"]["channel"].update(pattern=rule))

    def test_a_default_must_keep_its_own_rules(self):
        for default in ("0", 0, 51, True):
            self.assert_bad(lambda schema, value=default: schema["properties"]["size"].update(default=value))

    def test_names_are_plain_words(self):
        for name in ("Size", "a-b", "a b", "", "9a", "__class__", "a\n"):
            self.assert_bad(lambda schema, name=name: schema["properties"].update({name: {"type": "number"}}))
        self.assert_bad(lambda schema: schema.update(required=["other"]))


class Names(unittest.TestCase):
    def test_plain_relative_names_are_accepted(self):
        for name in (
            "a",
            "plan.json",
            "0/c/0/0",
            "labels.zarr/zarr.json",
            "_x",
            "a" * 100,
            "/".join("abcdefghijkl"),
        ):
            self.assertTrue(messages.is_name(name), name)

    def test_names_that_could_lead_elsewhere_are_refused(self):
        for name in (
            "",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "/a",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            ".hidden",
            "a/.b",
            "-rf",
            "a\\b",
            "a\x00",
            "a\n",
            "a b",
            "\u00e9",
            "a" * 101,
            "/".join("abcdefghijklm"),
            "/".join(["a" * 99] * 6),
            None,
            1,
            b"a",
        ):
            self.assertFalse(messages.is_name(name), name)


class Plans(unittest.TestCase):
    def setUp(self):
        entry = {"attempt": key_of(1), "inputs": {"image": "0" * 64}, "parameters": {}, "note": {}}
        self.plan = {"plan": 1, "release": RELEASE, "note": {}, "attempts": [entry]}

    def assert_bad(self, change):
        plan = copy.deepcopy(self.plan)
        change(plan)
        with self.assertRaises(BadPlan):
            checks.check_plan(plan)

    def test_a_plan_is_accepted(self):
        checks.check_plan(self.plan)

    def test_fields_too_many_or_too_few_are_refused(self):
        for name in list(self.plan):
            self.assert_bad(lambda plan, name=name: plan.pop(name))
        for name in list(self.plan["attempts"][0]):
            self.assert_bad(lambda plan, name=name: plan["attempts"][0].pop(name))
        self.assert_bad(lambda plan: plan.update(command="id"))
        self.assert_bad(lambda plan: plan["attempts"][0].update(command="id"))

    def test_values_of_the_wrong_form_are_refused(self):
        for name, values in {
            "plan": [2, "1", None],
            "release": ["x", None, "../" + RELEASE[3:], 1],
            "note": [[], None, {"a": "x" * 4096}],
            "attempts": [[], {}, None, [1]],
        }.items():
            for value in values:
                self.assert_bad(lambda plan, name=name, value=value: plan.update({name: value}))
        for name, values in {
            "attempt": ["x", None, key_of(1).upper(), key_of(1) + "/"],
            "note": [1, {"a": "x" * 4096}],
            "inputs": [
                [],
                {"../x": "0" * 64},
                {"image": "x"},
                {"image": None},
                {"Image": "0" * 64},
                {"a%d" % n: "0" * 64 for n in range(21)},
            ],
        }.items():
            for value in values:
                self.assert_bad(
                    lambda plan, name=name, value=value: plan["attempts"][0].update({name: value})
                )

    def test_an_attempt_that_comes_twice_and_too_many_attempts_are_refused(self):
        self.assert_bad(lambda plan: plan["attempts"].append(plan["attempts"][0]))
        self.assert_bad(
            lambda plan: plan.update(
                attempts=[dict(plan["attempts"][0], attempt=key_of(number)) for number in range(1001)]
            )
        )


if __name__ == "__main__":
    unittest.main()
