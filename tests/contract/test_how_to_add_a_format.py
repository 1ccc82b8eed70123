# SPDX-License-Identifier: BSD-3-Clause
"""The format that docs/how-to/add-an-image-format.md adds works as it stands and keeps the contract."""

import re
from pathlib import Path

import numpy as np
import pytest

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-an-image-format.md"
_told: dict[str, object] = {"__name__": "how_to"}
for _block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
    exec(compile(_block, str(PAGE), "exec"), _told)

TestNpy = _told["TestNpy"]


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr': '<u2', 'shape': (9, 9)}"]
)
def test_a_broken_file_of_the_new_format_is_refused_like_any_other(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(SlidegateError) as caught:
        _told["source"].stage(ImageRef("folder", str(tmp_path / "a.npy")), tmp_path / "staged")
    assert caught.value.code == "image-damaged"


def test_pixels_that_cannot_be_analysed_are_refused_in_the_new_format_too(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 5), np.float32))
    with pytest.raises(SlidegateError) as caught:
        _told["source"].describe(ImageRef("folder", str(tmp_path / "a.npy")))
    assert caught.value.code == "pixels-unsupported"
