# SPDX-License-Identifier: BSD-3-Clause
"""What a Run says of where its results go in OMERO, and as what: ``omero:HOST?labels=image&tag=counted``."""

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote

from slidegate.domain.errors import BadRequest

PREFIX = "omero:"
MOST_TAGS = 10
TAG_LENGTH = 100

Objects = Literal["sample", "all-on-duplicate"]
Labels = Literal["none", "attachment", "image"]

_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,253}")


class BadOmeroPlace(BadRequest):
    """It is not said as it should be where results go in OMERO, and as what."""

    code = "omero-place-unreadable"


@dataclass(frozen=True, slots=True)
class OmeroPlace:
    """Where results go, and what people asked to be written.

    Attributes
    ----------
    host
        The OMERO.
    objects
        ``sample``: at most some hundred objects become ROIs. ``all-on-duplicate``: a sample, and all of them
        on a duplicate of the image.
    labels
        What becomes of label images: nothing; a zip that hangs on the image; an image of OMERO beside it.
    tags
        Tags that images get once their result is whole; in no order, none twice.

    Raises
    ------
    BadOmeroPlace
        One of them is nothing that is known here.
    """

    host: str
    objects: Objects = "sample"
    labels: Labels = "none"
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tuple(sorted(set(self.tags))))
        if not (
            _HOST.fullmatch(self.host)
            and self.objects in get_args(Objects)
            and self.labels in get_args(Labels)
            and len(self.tags) <= MOST_TAGS
            and all(_is_tag(tag) for tag in self.tags)
        ):
            raise BadOmeroPlace

    @classmethod
    def parse(cls, text: str) -> "OmeroPlace":
        """Read what `text` writes.

        Raises
        ------
        BadOmeroPlace
            It is nothing of the kind.
        """
        host, asked, wishes = text.removeprefix(PREFIX).partition("?")
        if not text.startswith(PREFIX) or (asked and not wishes):
            raise BadOmeroPlace
        try:
            pairs = (
                parse_qsl(wishes, keep_blank_values=True, strict_parsing=True, errors="strict")
                if wishes
                else []
            )
        except ValueError:
            raise BadOmeroPlace from None
        tags = tuple(value for key, value in pairs if key == "tag")
        known = {key: value for key, value in pairs if key != "tag"}
        if len(known) + len(tags) < len(pairs) or not known.keys() <= {"objects", "labels"}:
            raise BadOmeroPlace
        return cls(host, tags=tags, **known)  # type: ignore[arg-type]  # checked by the dataclass

    @property
    def text(self) -> str:
        """The place as a Run holds it: equal places are equal texts; what was not asked for is left out."""
        wishes = [("tag", tag) for tag in self.tags]
        if self.objects != "sample":
            wishes.append(("objects", self.objects))
        if self.labels != "none":
            wishes.append(("labels", self.labels))
        asked = "&".join(f"{key}={quote(value, safe='')}" for key, value in sorted(wishes))
        return f"{PREFIX}{self.host}" + (f"?{asked}" if asked else "")


def _is_tag(text: str) -> bool:
    return 0 < len(text) <= TAG_LENGTH and text == text.strip() and text.isprintable()
