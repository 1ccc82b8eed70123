# SPDX-License-Identifier: BSD-3-Clause
"""Regions that people drew on an image, as the second input of a Task: a Tree of one small file.

The Tree is a function of where the regions are and what they are called, so that equal regions are one Tree,
and another Tree means other regions. No pixel moves because of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate_analysis.images import ImagesError
from slidegate_analysis.images.regions import NAME, Region, regions_text

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import Digest, ImageRef, digest_of
from slidegate.sites import Gate
from slidegate.sites.trees import tree_text
from slidegate.sources.base import ImageSource
from slidegate.sources.errors import RegionsUnusableError
from slidegate.worker.errors import RegionsChanged

TYPE = "regions"
"""Of the input of a workflow; its name is the same."""


@dataclass(frozen=True, slots=True)
class RegionsTree:
    """Regions as a site gets them: the one file, and the text of the Tree that holds nothing else."""

    text: bytes
    tree: bytes

    @property
    def digest(self) -> Digest:
        """The name of the Tree."""
        return Digest(hashlib.sha256(self.tree).hexdigest())


def take_regions(manifest: Mapping[str, Any]) -> bool:
    """Say whether a workflow takes the regions of each image."""
    return TYPE in manifest.get("each", ()) and _stated(manifest).get("type") == TYPE


def need_regions(manifest: Mapping[str, Any]) -> bool:
    """Say whether a workflow can do nothing with an image that has no regions."""
    return take_regions(manifest) and not _stated(manifest).get("optional")


def _stated(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifest.get("inputs", {}).get(TYPE, {})
    return found


def tree_of(regions: Sequence[Region]) -> RegionsTree | None:
    """Return the Tree of regions; None where there are none.

    Raises
    ------
    RegionsUnusableError
        They are so small that nothing is left of them.
    """
    if not regions:
        return None
    try:
        text = regions_text(regions)
    except ImagesError as error:
        raise RegionsUnusableError(str(error)) from error
    return RegionsTree(text, tree_text([(NAME, len(text), hashlib.sha256(text).hexdigest())]))


def regions_now(source: ImageSource, ref: ImageRef) -> Digest | None:
    """Return the Tree of an image's regions as they are now; None where nobody drew any.

    Of regions that cannot be used it returns a name that no Tree has: the Task will say why.

    Raises
    ------
    SlidegateError
        They cannot be read just now.
    """
    try:
        tree = tree_of(source.regions(ref))
    except SlidegateError as error:
        if error.transient:
            raise
        return digest_of(["regions-unusable", ref.source, ref.image, error.code])
    return None if tree is None else tree.digest


def read_regions(source: ImageSource, ref: ImageRef, asked: str) -> RegionsTree:
    """Return the regions of an image, which are those that a Run was asked for.

    Raises
    ------
    RegionsChanged
        They were changed since.
    SlidegateError
        They cannot be used, or not be read just now.
    """
    tree = tree_of(source.regions(ref))
    if tree is None or tree.digest != asked:
        raise RegionsChanged
    return tree


def bring_regions(gate: Gate, tree: RegionsTree) -> None:
    """Bring regions to a site; safe to repeat, and nothing is sent that is there."""
    gate.put_contents([tree.text, tree.tree])
