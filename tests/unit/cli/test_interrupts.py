# SPDX-License-Identifier: BSD-3-Clause
import signal

import pytest

from slidegate.cli.here import _uninterrupted


def test_an_interrupt_while_work_is_begun_is_raised_when_it_has_begun() -> None:
    begun = False
    with pytest.raises(KeyboardInterrupt), _uninterrupted():
        signal.raise_signal(signal.SIGINT)
        begun = True
    assert begun
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
