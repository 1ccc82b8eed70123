# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that write, delete, read and make people at the same time."""

from __future__ import annotations

import threading
import time
from typing import Any

import omero
import pytest
from omero.cmd import Delete2, Delete2Response
from omero.model import DatasetI, ExperimenterI, TagAnnotationI
from omero.rtypes import rstring
from omero.sys import ParametersI

pytestmark = [pytest.mark.omero, pytest.mark.slow]

SECONDS = 2.0


def write_and_delete(client: Any) -> None:
    update, numbers = client.sf.getUpdateService(), []
    for _ in range(5):
        dataset, tag = DatasetI(), TagAnnotationI()
        dataset.name, tag.textValue = rstring("d"), rstring("t")
        dataset.linkAnnotation(tag)
        numbers.append(update.saveAndReturnObject(dataset).id.val)
    handle = client.sf.submit(Delete2(targetObjects={"Dataset": numbers}, dryRun=False))
    while handle.getResponse() is None:
        time.sleep(0.005)
    assert isinstance(handle.getResponse(), Delete2Response), handle.getResponse()
    handle.close()


def read(client: Any) -> None:
    client.sf.getQueryService().findAllByQuery(
        "select d from Dataset d left outer join fetch d.annotationLinks l left outer join fetch l.child",
        None,
    )
    client.sf.getContainerService().loadContainerHierarchy("Dataset", [], ParametersI().leaves())
    client.sf.getMetadataService().loadTagSets(ParametersI().orphan())
    client.sf.getAdminService().lookupGroups()


def make_people(client: Any) -> None:
    admin, person = client.sf.getAdminService(), ExperimenterI()
    person.omeName = rstring(f"person-{time.monotonic_ns()}")
    person.firstName, person.lastName = rstring("A"), rstring("B")
    admin.createExperimenter(person, admin.lookupGroup("private"), [])


def test_nobody_disturbs_anybody(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    work = {
        "anna": write_and_delete,
        "ben": write_and_delete,
        "olga": read,
        "mover": read,
        "root": make_people,
    }
    clients = {name: bench.client(name) for name in work}
    before, until = bench.state.count("Dataset"), time.monotonic() + SECONDS
    done, failed = dict.fromkeys(work, 0), []

    def busy(name: str) -> None:
        try:
            while time.monotonic() < until:
                work[name](clients[name])
                done[name] += 1
        except (omero.ServerError, AssertionError) as error:
            failed.append((name, error))

    threads = [threading.Thread(target=busy, args=(name,)) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failed == []
    assert all(done.values()), done
    assert bench.state.count("Dataset") == before
    assert bench.state.count("TagAnnotation") == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
