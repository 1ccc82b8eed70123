# SPDX-License-Identifier: BSD-3-Clause
"""What is sealed is read by the one who has the key, for the purpose that it was sealed for."""

import pytest

from slidegate.domain.sealing import NotSealedForUs, public_of, seal, unseal

SECRET = b"s" * 32


def test_a_letter_is_read_with_the_key_that_it_was_sealed_for() -> None:
    letter = seal(public_of(SECRET), b"hunter2", "grant")
    assert "hunter2" not in letter
    assert unseal(SECRET, letter, "grant") == b"hunter2"
    assert seal(public_of(SECRET), b"hunter2", "grant") != letter  # equal letters do not look equal


@pytest.mark.parametrize(
    ("secret", "change", "purpose"),
    [(b"t" * 32, "", "grant"), (SECRET, "A", "grant"), (SECRET, "", "other"), (SECRET, "\x00", "grant")],
)
def test_nothing_else_opens_it(secret: bytes, change: str, purpose: str) -> None:
    letter = seal(public_of(SECRET), b"hunter2", "grant")
    with pytest.raises(NotSealedForUs):
        unseal(secret, change + letter, purpose)


@pytest.mark.parametrize("letter", ["", "AAAA", "A" * 20_000, "ä"])
def test_what_is_no_letter_is_refused(letter: str) -> None:
    with pytest.raises(NotSealedForUs):
        unseal(SECRET, letter, "grant")
