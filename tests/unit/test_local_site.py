# SPDX-License-Identifier: BSD-3-Clause
"""The embedded site, where it cannot be set up."""

import errno
import os
from pathlib import Path

import pytest

from slidegate.local_site import LocalSiteBroken, ensure_local_site
from slidegate.settings import Settings


def test_what_the_computer_refuses_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "sites").write_text("in the way")
    with pytest.raises(LocalSiteBroken, match=os.strerror(errno.EEXIST)):
        ensure_local_site(Settings(home=tmp_path), lambda _words: None, lambda: None)
