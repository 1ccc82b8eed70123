# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What only the command line can run into."""

from slidegate.domain.errors import BadRequest, SlidegateError


class BadSetting(BadRequest):
    """A setting in the environment does not fit."""

    code = "bad-setting"


class Interrupted(SlidegateError):
    """Interrupted. The same command again takes up what was begun."""

    code = "interrupted"
    exit_code = 130
