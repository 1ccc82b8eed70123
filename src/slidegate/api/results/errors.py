# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong when results are read."""

from slidegate.domain.errors import SlidegateError


class ResultsProblem(SlidegateError):
    """The results cannot be shown."""

    code = "results-unusable"


class NoResultYet(ResultsProblem):
    """There are no results of this image yet."""

    code = "no-result-yet"


class ResultGone(ResultsProblem):
    """The results are no longer where they were put: somebody moved, replaced or removed them."""

    code = "result-gone"


class ResultChanged(ResultsProblem):
    """A file of the results is not what it was when they were written: it was changed or damaged since."""

    code = "result-changed"


class NoSuchFile(ResultsProblem):
    """There is no such file among the results."""

    code = "no-such-file"


class NoSuchTile(ResultsProblem):
    """The image has no such tile."""

    code = "no-such-tile"


class PictureNotAtHand(ResultsProblem):
    """The image's pixels are not kept at hand just now: ask for the picture again, and wait for it."""

    code = "picture-not-at-hand"
    transient = True


class PictureDamaged(ResultsProblem):
    """The pixels that are kept of this image cannot be read."""

    code = "picture-damaged"


class NoLabels(ResultsProblem):
    """The results hold no outlines."""

    code = "no-labels"


class NoTable(ResultsProblem):
    """The results hold no table of objects."""

    code = "no-table"


class NoSuchColumn(ResultsProblem):
    """The table has no such column of numbers."""

    code = "no-such-column"


class TableUnusable(ResultsProblem):
    """The table cannot be read, or is larger than what can be shown."""

    code = "table-unusable"
