# SPDX-License-Identifier: BSD-3-Clause
"""What slidegate hangs on an image in OMERO, and how it is known again: by the text of its description.

Everything that is written carries a `Mark` as its description: run, task, result, which part it is, and of a
file its SHA-1, and on what it hangs. Annotation and link are saved in one call, so that there is never one
without the other; what it hangs on is told by its own text, so that copies of it are not mistaken for it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import omero.model
from omero.model.enums import ChecksumAlgorithmSHA1160
from omero.rtypes import rlong, rstring, unwrap

from slidegate.domain.values import AttemptKey, Digest, RunId, TaskId
from slidegate.sources.base import Publication

from .connection import Connection, speaking
from .errors import OmeroTransferError

NS_RESULT = "slidegate/result"
"""Namespace of the key-values that complete a result: without them a result is not complete."""

NS_FILE = "slidegate/file"
NS_TABLE = "openmicroscopy.org/omero/bulk_annotations"
RESULT = "result"
TAG = "Tag"
"""The key under which a result says which tags it gave to the image."""

VALUE_BYTES = 1000

_BLOCK = 8 * 2**20
_WORDS = re.compile(
    r"slidegate run=(\S+) task=(\S+) tree=(\S+) attempt=(\S+)"
    r"(?: sha1=([0-9a-f]{40}))?(?: on=([A-Z][A-Za-z]*:[0-9]+))? part=(.+)",
    re.DOTALL,
)
_MIMETYPES = {
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".zip": "application/zip",
    ".png": "image/png",
    ".csv": "text/csv",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose result something is, and which part of it; `text` is the description that it carries.

    Attributes
    ----------
    run, task, tree, attempt
        As in `Publication`.
    part
        ``result`` for the key-values that complete it; ``rois``; ``table:`` and ``tag:`` and what follows;
        for a file its name.
    sha1
        Of a file's contents as they were written, 40 hex; empty otherwise.
    on
        What it was hung on, such as ``Image:12``.
    """

    run: RunId
    task: TaskId
    tree: Digest
    attempt: AttemptKey
    part: str = ""
    sha1: str = ""
    on: str = ""

    @classmethod
    def of(cls, publication: Publication, image: int) -> "Mark":
        """Return the mark of what is published on an image."""
        p = publication
        return cls(p.run, p.task, p.tree, p.attempt, on=place_of("Image", image))

    @classmethod
    def read(cls, text: str | None) -> "Mark | None":
        """Return the mark that a description is; None where it is none."""
        match = _WORDS.fullmatch(text or "")
        if match is None:
            return None
        run, task, tree, attempt, sha1, on, part = match.groups()
        return cls(RunId(run), TaskId(task), Digest(tree), AttemptKey(attempt), part, sha1 or "", on or "")

    @classmethod
    def of_folder(cls, path: str) -> "Mark | None":
        """Return whose files a folder of OMERO holds, without attempt and part; None: it is not ours."""
        steps = path.strip("/").split("/")
        if len(steps) < 4 or steps[0] != "slidegate":
            return None
        return cls(RunId(steps[1]), TaskId(steps[2]), Digest(steps[3]), AttemptKey(""))

    @property
    def text(self) -> str:
        """The description."""
        known = (f" sha1={self.sha1}" if self.sha1 else "") + (f" on={self.on}" if self.on else "")
        return (
            f"slidegate run={self.run} task={self.task} tree={self.tree} attempt={self.attempt}{known}"
            f" part={self.part}"
        )

    @property
    def number(self) -> int:
        """The id of what it was hung on."""
        return int(self.on.partition(":")[2])

    @property
    def folder(self) -> str:
        """The path that the files of this result have in OMERO: what is half-written is found by it."""
        return f"slidegate/{self.run}/{self.task}/{self.tree}/"


def place_of(kind: str, number: int) -> str:
    """Return how a mark names what it is on."""
    return f"{kind}:{number}"


def link(number: int, annotation: Any, kind: str = "Image") -> Any:
    """Return a link, not yet saved, from an image (or what `kind` says) to an annotation saved with it."""
    made = getattr(omero.model, f"{kind}AnnotationLinkI")()
    made.parent = getattr(omero.model, f"{kind}I")(number, False)
    made.child = annotation
    return made


def key_values(mark: Mark, pairs: Sequence[tuple[str, str]], ns: str = NS_RESULT) -> Any:
    """Return an annotation, not yet saved: key-values that OMERO's clients only show.

    Values longer than `VALUE_BYTES` in UTF-8 are cut, and say so: OMERO's database refuses long ones.
    """
    made = omero.model.MapAnnotationI()
    made.ns = rstring(ns)
    made.description = rstring(mark.text)
    made.mapValue = named_values(pairs)
    return made


def named_values(pairs: Sequence[tuple[str, str]]) -> list[Any]:
    """Return key-values as OMERO holds them."""
    return [omero.model.NamedValue(cut(key), cut(value)) for key, value in pairs]


def cut(text: str) -> str:
    """Return a text, cut to `VALUE_BYTES` bytes."""
    if len(text.encode()) <= VALUE_BYTES:
        return text
    kept = text.encode()[: VALUE_BYTES - 3].decode(errors="ignore")
    return f"{kept}…"


def links_of_tags(
    connection: Connection, image: int, mark: Mark, tags: Sequence[str], group: int
) -> dict[str, Any]:
    """Return links, not yet saved, by text, for the tags that the image does not have yet.

    A tag that the person or the group has is used; another is made, and saved with its link.
    """
    found = {}
    for text in dict.fromkeys(tags):
        values = {"text": text, "image": image}
        has = connection.query(
            "select t.id from ImageAnnotationLink l join l.child t"
            " where t.class = TagAnnotation and t.textValue = :text and l.parent.id = :image",
            values,
            group,
        )
        if has:
            continue
        known = connection.query(
            "select t.id from TagAnnotation t where t.textValue = :text and t.ns is null order by t.id",
            {"text": text},
            group,
        )
        if known:
            tag = omero.model.TagAnnotationI(known[0][0], False)
        else:
            tag = omero.model.TagAnnotationI()
            tag.textValue = rstring(text)
            tag.description = rstring(replace(mark, part=f"tag:{text}").text)
        found[text] = link(image, tag)
    return found


def attach_file(connection: Connection, group: int, mark: Mark, path: Path, facts: Mapping[str, str]) -> None:
    """Send a file and hang it where its mark says: first its bytes, verified, then annotation and link.

    Parameters
    ----------
    mark
        Its part is the file's name, with folders.
    facts
        Size in bytes (``size``) and ``sha1`` of the file as it was when it was looked through.

    Raises
    ------
    OmeroTransferError
        OMERO holds other bytes than were sent. They are not attached, and go with a repeat.
    OmeroError
        It failed. A repeat of the whole publication is safe; of this alone it leaves a file without a link.
    """
    context = connection.context(group)
    file = omero.model.OriginalFileI()
    file.name = rstring(Path(mark.part).name)
    file.path = rstring(mark.folder)
    file.size = rlong(int(facts["size"]))
    file.mimetype = rstring(_MIMETYPES.get(path.suffix, "application/octet-stream"))
    file.hasher = omero.model.ChecksumAlgorithmI()
    file.hasher.value = rstring(ChecksumAlgorithmSHA1160)
    with speaking():
        file_id = connection.services("Update").saveAndReturnObject(file, context).id.val
        held = _send(connection, file_id, path, context)
    if held != facts["sha1"]:
        raise OmeroTransferError
    hang_file(connection, group, replace(mark, sha1=held), file_id, NS_FILE)


def hang_file(connection: Connection, group: int, mark: Mark, file_id: int, ns: str) -> None:
    """Hang a file that is whole on what its mark says."""
    kind, _, number = mark.on.partition(":")
    made = omero.model.FileAnnotationI()
    made.ns = rstring(ns)
    made.description = rstring(mark.text)
    made.file = omero.model.OriginalFileI(file_id, False)
    with speaking():
        connection.services("Update").saveObject(link(int(number), made, kind), connection.context(group))


def sha1_of(path: Path) -> str:
    """Return the SHA-1 (40 hex) of a file, which is what OMERO keeps."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


def _send(connection: Connection, file_id: int, path: Path, context: Mapping[str, str]) -> str:
    """Write the bytes of an original file; return the SHA-1 that OMERO has computed of them."""
    store = connection.client.getSession().createRawFileStore(context)
    try:
        store.setFileId(file_id, context)
        position = 0
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                store.write(block, position, len(block), context)
                position += len(block)
        if not position:
            store.write(b"", 0, 0, context)
        saved = store.save(context)
        return str(unwrap(saved.hash)) if saved is not None else ""
    finally:
        store.close(context)
