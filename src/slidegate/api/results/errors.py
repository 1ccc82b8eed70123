# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What can go wrong when results are read; ``status`` is what HTTP calls it."""

from slidegate.domain.errors import SlidegateError


class ResultsProblem(SlidegateError):
    """The results cannot be shown."""

    code = "results-unusable"
    status = 409


class NoResultYet(ResultsProblem):
    """There are no results of this image yet."""

    code = "no-result-yet"


class ResultGone(ResultsProblem):
    """The results are no longer where they were put: somebody moved, replaced or removed them."""

    code = "result-gone"
    status = 410


class ResultChanged(ResultsProblem):
    """A file of the results is not what it was when they were written: it was changed or damaged since."""

    code = "result-changed"


class NoSuchFile(ResultsProblem):
    """There is no such file among the results."""

    code = "no-such-file"
    status = 404


class NoSuchTile(ResultsProblem):
    """The image has no such tile."""

    code = "no-such-tile"
    status = 404


class PictureNotAtHand(ResultsProblem):
    """The image's pixels are not kept at hand just now: ask for the picture again, and wait for it."""

    code = "picture-not-at-hand"
    status = 404
    transient = True


class PictureDamaged(ResultsProblem):
    """The pixels that are kept of this image cannot be read."""

    code = "picture-damaged"


class NoLabels(ResultsProblem):
    """The results hold no outlines."""

    code = "no-labels"
    status = 404


class NoTable(ResultsProblem):
    """The results hold no table of objects."""

    code = "no-table"
    status = 404


class NoSuchColumn(ResultsProblem):
    """The table has no such column of numbers."""

    code = "no-such-column"
    status = 404


class TableUnusable(ResultsProblem):
    """The table cannot be read, or is larger than what can be shown."""

    code = "table-unusable"
