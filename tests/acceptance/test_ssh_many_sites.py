# SPDX-License-Identifier: BSD-3-Clause
"""Which gates there are, which one a person gets, and which Run a request at a site means."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from slidegate.domain.errors import BadRequest
from slidegate.settings import Settings
from slidegate.sites import Gate, PipeLink
from slidegate.sites.registry import Site, SiteInUse
from slidegate.store.people import Link, LinkNotValid
from slidegate.wiring import LOCAL_PACE, SSH_PACE, KeptHeads, NotLinked, open_house
from slidegate.worker import Runs
from tests.acceptance.embedded import Place, step_until, work

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLF0MtTRJQoTIL3hTU8mfhCOKho3Vh/H5GgQAorgnC3"


def test_there_is_a_gate_for_each_site_and_each_key_that_it_is_or_was_used_with(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, person="ada")
    with open_house(settings) as house:
        house.registry.add(Site("hpc", "login", key="omero"), [HOST_KEY])
        house.registry.add(Site("linked-only", "login"), [HOST_KEY])
        house.store.people.add("ada", 0.0)
        house.store.people.add("bob", 0.0)
        house.store.people.join(Link("ada", "hpc", "anna", "ada-key", date(2020, 1, 1)))
        house.store.people.join(Link("bob", "hpc", "bert", "bob-key", date(2020, 1, 1), date(2020, 2, 1)))
    with open_house(settings) as house:
        assert sorted(house.tools.gates) == ["hpc/ada-key", "hpc/bob-key", "hpc/omero", "local"]
        assert house.tools.pace_at("hpc/omero") == SSH_PACE
        assert house.tools.pace_at("local") == LOCAL_PACE
        assert house.gate_at("local") == "local"
        assert house.gate_at("hpc") == "hpc/ada-key"
        with pytest.raises(NotLinked, match="person link ada linked-only"):
            house.gate_at("linked-only")
    with open_house(Settings(home=tmp_path, person="bob")) as house, pytest.raises(LinkNotValid):
        house.gate_at("hpc")
    with open_house(Settings(home=tmp_path, person="eve")) as house:
        assert house.gate_at("hpc") == "hpc/omero"
    assert not (tmp_path / "sites" / "local").exists()


def test_one_site_whose_file_is_broken_does_not_keep_others_from_being_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_house(settings) as house:
        for name in ("good", "broken"):
            house.registry.add(Site(name, "login", key="-"), [HOST_KEY])
        (tmp_path / "sites" / "broken" / "site.json").write_text("{")
    with open_house(settings) as house:
        assert sorted(house.tools.gates) == ["good/-", "local"]
        with pytest.raises(BadRequest, match=r"there is local"):
            house.gate_at("unheard-of")


@pytest.mark.slow
def test_a_request_at_another_site_is_another_run_unless_the_first_has_succeeded(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    (image,) = place.make_images(1)
    with place.open() as house:
        house.registry.add(Site("hpc", "login", key="omero"), [HOST_KEY])
        argv = [*place.settings.local_program("serve"), "--key", "local"]  # the same gate by another name
        other = Gate(lambda: PipeLink(argv), KeptHeads(house.store, "hpc/omero"))
        tools = replace(house.tools, gates={**house.tools.gates, "hpc/omero": other})
        runs = Runs(tools)

        def ask(site: str) -> tuple[str, str]:
            asked = runs.request("ada", "count_bytes", [image], {}, str(place.out), site=site)
            return asked.run, asked.outcome

        there, outcome = ask("hpc/omero")
        assert outcome == "created"
        assert ask("hpc/omero") == (there, "resumed")
        with pytest.raises(SiteInUse, match=there[:8]):
            house.remove_site("hpc")
        here, outcome = ask("local")
        assert (outcome, house.runs.show(here).site) == ("created", "local")
        assert work(replace(house, tools=tools, runs=runs), here).state == "succeeded"
        assert runs.show(there).state == "waiting", "a worker of one Run moved another"
        assert ask("hpc/omero") == (here, "finished")
        other.close()


@pytest.mark.slow
def test_two_servers_with_one_key_leave_each_others_work_alone(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    place = Place(tmp_path / "one")
    place.prepare()
    images = place.make_images(2)
    argv = [*place.settings.local_program("serve"), "--key", "local"]
    with place.open() as first, open_house(Settings(home=tmp_path / "two", person="eve")) as second:
        mine = first.runs.request("ada", "count_bytes", [images[0]], {}, str(place.out)).run
        step_until(first, mine, lambda view: "queued" in view.counts or "running" in view.counts)

        gate = Gate(lambda: PipeLink(argv), KeptHeads(second.store, "hpc/local"))
        tools = replace(second.tools, gates={"hpc/local": gate})
        runs = Runs(tools)
        theirs = runs.request(
            "eve", "count_bytes", [images[1]], {}, str(tmp_path / "out"), site="hpc/local"
        ).run
        assert work(replace(second, tools=tools, runs=runs), theirs).state == "succeeded"
        gate.close()

        assert work(first, mine).state == "succeeded"
        assert [event.kind for event in first.store.history.of(mine)].count("submitted") == 1
