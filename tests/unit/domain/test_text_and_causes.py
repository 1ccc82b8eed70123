# SPDX-License-Identifier: BSD-3-Clause
"""What others wrote cannot control a terminal; what a scheduler says is said in words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidegate.domain.causes import CAUSES, known_causes, main_cause, waits
from slidegate.domain.text import harmless, last_lines, plain

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear": "\x1b[2J\x1b[Hred",
    "title": "\x1b]0;owned\x07red",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x1b\\red",
    "link": "\x1b]8;;http://evil.example\x1b\\red\x1b]8;;\x1b\\",
    "device": '\x1bP$q"p\x1b\\red',
    "c1": "\x9b31mred",
    "bell": "r\x07e\x08\x7fd",
    "reset": "\x1bcred",
    "bidi": "\u202ered\u2066",
    "cut off": "red\x1b[",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_controls_a_terminal_is_taken_out_and_the_words_stay(text: str) -> None:
    assert plain(text) == "red"


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("Größe  µm² 細胞 naïve", "a-b_c (1).tif", "🔬"):
        assert plain(text) == text
    assert plain("one\r\ntwo\tthree") == "one  two three"


@given(st.text())
def test_no_text_whatsoever_keeps_a_control_character(text: str) -> None:
    for found in (plain(text), "".join(last_lines(text.encode("utf-8", "replace"), 20, 2048))):
        assert not {unicodedata.category(sign) for sign in found} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.binary())
def test_a_log_on_a_terminal_has_no_control_character_but_the_ends_of_its_lines(data: bytes) -> None:
    shown = harmless(data).decode()
    assert shown.count("\n") == data.count(b"\n")
    assert not [sign for sign in shown if sign != "\n" and unicodedata.category(sign) == "Cc"]


def test_of_a_log_the_last_lines_that_say_something_are_shown() -> None:
    data = b"".join(b"line %d\n\n  \n" % number for number in range(50))
    assert last_lines(data, 3, 2048) == ("line 47", "line 48", "line 49")
    assert last_lines(b"\xff\xfe half\rover", 3, 2048)[-1] == "over"
    assert last_lines(b"", 3, 2048) == ()


@given(st.binary(max_size=9000))
def test_the_end_of_a_log_is_short_whatever_stands_in_it(data: bytes) -> None:
    found = last_lines(data, 20, 2048)
    assert len(found) <= 20
    assert sum(map(len, found)) <= 2048


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "waits for a free computer (Resources)"),
        ("Priority", "others are before it"),
        ("QOSMaxCpuPerUserLimit", "limit of your account"),
        ("AssocGrpGRES", "limit of your account"),
        ("JobHeldAdmin", "held back"),
        ("ReqNodeNotAvail_UnavailableNodes_c1_c2", "down or reserved"),
        ("Nodes_required_for_job_are_DOWN", "down or reserved"),
        ("PartitionDown", "down or reserved"),
        ("PartitionTimeLimit", "tell the administrator"),
        ("InvalidAccount", "tell the administrator"),
        ("DependencyNeverSatisfied", "tell the administrator"),
        ("QOSNotAllowed", "tell the administrator"),
    ],
)
def test_why_a_job_waits_is_said_in_words_with_the_schedulers_own(reason: str, words: str) -> None:
    assert words in waits(reason)
    assert waits(reason).endswith(f"({reason})")


def test_a_reason_that_is_not_known_is_shown_as_it_is() -> None:
    assert waits("SomethingNew25") == "waits (SomethingNew25)"


def test_the_cause_that_befell_most_counts_and_of_equals_the_one_that_says_most() -> None:
    assert main_cause([{"causes": {"time-limit": 3, "failed": 1}}, {}]) == "time-limit"
    assert main_cause([{"causes": {"failed": 1}}, {"causes": {"out-of-memory": 1}}]) == "out-of-memory"
    assert main_cause([{}]) is None


@pytest.mark.parametrize("said", [None, 7, "x", [], {"time-limit": "7"}, {"time-limit": True}, {"new": 1}])
def test_causes_that_make_no_sense_are_left_out(said: object) -> None:
    assert known_causes(said) == {}
    assert known_causes(dict.fromkeys(CAUSES, 1)) == dict.fromkeys(CAUSES, 1)
