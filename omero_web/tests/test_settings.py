# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings say themselves what is wrong with them."""

import pytest


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://localhost:1/", "http://localhost:1"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        ("https://slidegate.example.org/", "https://slidegate.example.org"),
        ("https://example.org/slidegate", "https://example.org/slidegate"),
    ],
)
def test_an_address_is_taken(settings, said, taken):
    assert settings.address(said) == taken


@pytest.mark.parametrize(
    "said",
    [
        "", "slidegate", "ftp://127.0.0.1", "https://", "https://a:x", "https://a?b", "https://u:p@a",
        "http://slidegate.example.org", "http://127.0.0.1.example.org",
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_could_be_listened_to_is_refused(settings, said):
    with pytest.raises(ValueError, match="https"):
        settings.address(said)


def test_every_setting_explains_itself(settings):
    for key, (_, _, _, words, *_) in settings.CUSTOM_SETTINGS_MAPPINGS.items():
        assert key.startswith("omero.web.slidegate.")
        assert len(words) > 60
