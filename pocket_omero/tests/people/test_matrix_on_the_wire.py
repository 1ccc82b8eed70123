# SPDX-License-Identifier: GPL-2.0-or-later
"""A real client gets just the rights that OMERO documents: it tries each action of the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import omero
import pytest
from omero.cmd import ERR, Chgrp2, Chown2, Delete2
from omero.model import (
    DatasetI,
    DatasetImageLinkI,
    ImageAnnotationLinkI,
    ImageI,
    RoiI,
    TagAnnotationI,
)
from omero.rtypes import rint, rstring
from pocket_omero.people import roster
from pocket_omero.server import Server
from pocket_omero.state import Row

from .documented import CASES, LEVELS, WHO

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]

PEOPLE = f"""
groups:
{"".join(f"  {level}: {level}" + chr(10) for level in LEVELS)}
people:
  anna: {{password: anna, groups: [{", ".join(LEVELS)}]}}
  ben: {{password: ben, groups: [{", ".join(LEVELS)}]}}
  olga: {{password: olga, groups: [{", ".join(LEVELS)}], leads: [{", ".join(LEVELS)}]}}
  root: {{password: root}}
"""


class Visit:
    """The clients of four people, and rows of anna's."""

    def __init__(self, server: Server) -> None:
        self.state = server.house.state
        self.clients = {name: server.client(name, name) for name in WHO.values()}

    def row(self, kind: str, level: str, **values: Any) -> Row:
        """A new row of anna's."""
        owned = {"owner": roster.person(self.state, "anna"), "group": roster.group(self.state, level)}
        return self.state.new(kind, **owned, **values)

    def command(self, who: str, request: Any) -> bool:
        """Whether a command succeeds."""
        client = self.clients[who]
        handle = client.sf.submit(request)
        response = client.waitOnCmd(handle, loops=50, ms=100, failonerror=False).getResponse()
        handle.close()
        return not isinstance(response, ERR)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as server:
        made = Visit(server)
        yield made
        for client in made.clients.values():
            client.closeSession()


def allowed(act: Callable[[], object]) -> bool:
    """Whether OMERO lets it happen; any error but a refusal is an error of the test."""
    try:
        act()
    except omero.SecurityViolation:
        return False
    return True


def view(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    return visit.clients[who].sf.getQueryService().find("Image", image.id, context) is not None


def annotate(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    update = visit.clients[who].sf.getUpdateService()
    tag = TagAnnotationI()
    tag.textValue = rstring("mine")
    link = ImageAnnotationLinkI()
    link.link(ImageI(image.id, False), tag)
    roi = RoiI()
    roi.image = ImageI(image.id, False)
    answers = {allowed(partial(update.saveObject, each, context)) for each in (link, roi)}
    assert len(answers) == 1
    return answers.pop()


def edit(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    made = ImageI(image.id, True)
    made.unloadCollections()
    made.version = rint(0)
    made.name = rstring("renamed")
    return allowed(lambda: visit.clients[who].sf.getUpdateService().saveObject(made, context))


def mix(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    dataset = visit.row("Dataset", level, name="d")
    link = DatasetImageLinkI()
    link.parent, link.child = DatasetI(dataset.id, False), ImageI(image.id, False)
    return allowed(lambda: visit.clients[who].sf.getUpdateService().saveObject(link, context))


def delete(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    return visit.command(who, Delete2(targetObjects={"Image": [image.id]}, dryRun=False))


def remove_annotations(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    link = visit.row("ImageAnnotationLink", level, parent=image, child=visit.row("TagAnnotation", level))
    return visit.command(who, Delete2(targetObjects={"ImageAnnotationLink": [link.id]}, dryRun=False))


def move(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    to = roster.group(visit.state, LEVELS[LEVELS.index(level) - 1])
    assert to is not None
    return visit.command(who, Chgrp2(targetObjects={"Image": [image.id]}, groupId=to.id, dryRun=False))


def change_ownership(visit: Visit, who: str, level: str, image: Row, context: dict[str, str]) -> bool:
    to = roster.person(visit.state, "ben")
    assert to is not None
    return visit.command(who, Chown2(targetObjects={"Image": [image.id]}, userId=to.id, dryRun=False))


ACTIONS: dict[str, Callable[..., bool]] = {
    "view": view,
    "annotate": annotate,
    "delete": delete,
    "edit": edit,
    "move": move,
    "remove annotations": remove_annotations,
    "mix": mix,
    "change ownership": change_ownership,
}


@pytest.mark.parametrize(("role", "action", "level", "answer"), CASES)
def test_a_client_may_do_what_omero_documents_and_nothing_else(
    visit: Visit, role: str, action: str, level: str, answer: bool
) -> None:
    image = visit.row("Image", level, name="hers")
    context = {"omero.group": str(image.group)}
    assert ACTIONS[action](visit, WHO[role], level, image, context) is answer
