# SPDX-License-Identifier: BSD-3-Clause
"""A wish is granted, refused or put off; a granter that is killed or stopped loses nothing."""

import logging
from dataclasses import replace
from threading import Event

import pytest

from slidegate.sites.errors import LinkDown
from slidegate.store.wishes import KINDS
from slidegate.worker.wishes import granter
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.granter import GRANTS, QUICK, Granter
from tests.unit.wishes.conftest import Office, write_image


def do(monkeypatch: pytest.MonkeyPatch, grant: object) -> None:
    monkeypatch.setitem(GRANTS, "browse", grant)  # type: ignore[arg-type]


def test_every_kind_of_wish_can_be_granted() -> None:
    assert set(GRANTS) == set(KINDS)
    assert set(QUICK) < set(KINDS)


def test_without_a_wish_there_is_nothing_to_do(office: Office) -> None:
    assert not Granter(office.desk).step()


def test_a_granter_takes_only_the_kinds_that_it_was_given(office: Office) -> None:
    office.ask("thumbnail", {})
    assert not Granter(office.desk, kinds=QUICK).step()
    assert Granter(office.desk).step()


def test_what_may_pass_puts_a_wish_off_and_says_why(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_desk: Desk, _asked: Asked) -> dict[str, object]:
        raise LinkDown

    do(monkeypatch, down)
    wish = office.grant("browse", {})
    assert wish.state == "open"
    assert f"[{LinkDown.code}]" in str(wish.trouble)
    assert not Granter(office.desk).step(), "it was tried again at once"
    do(monkeypatch, lambda _desk, _asked: {"at": "x"})
    late = replace(office.desk, tools=replace(office.desk.tools, clock=lambda: office.now + 60))
    assert Granter(late).step()
    assert office.store.wishes.get(wish.id).answer == {"at": "x"}


def test_nobody_waits_for_ever_for_what_is_only_looked_at(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_desk: Desk, _asked: Asked) -> dict[str, object]:
        raise LinkDown

    for kind, ends in (("browse", "refused"), ("launch", "open")):
        monkeypatch.setitem(GRANTS, kind, down)
        wish = office.ask(kind, {})
        late = replace(office.desk, tools=replace(office.desk.tools, clock=lambda: office.now + 3600))
        assert Granter(late).step()
        assert office.store.wishes.get(wish.id).state == ends


def test_a_mistake_of_ours_is_refused_without_its_own_words(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "patient.tif"

    def broken(_desk: Desk, _asked: Asked) -> dict[str, object]:
        raise KeyError(name)

    do(monkeypatch, broken)
    with caplog.at_level(logging.INFO):
        wish = office.grant("browse", {})
    assert (wish.state, wish.error_code) == ("refused", "internal")
    assert "patient" not in str(wish.error)
    assert all("patient.tif" not in record.getMessage() for record in caplog.records)


def test_what_a_killed_granter_had_is_granted_by_another(office: Office) -> None:
    wish = office.ask("browse", {"at": ""})
    assert office.store.wishes.claim("killed", office.now, 30.0, KINDS) is not None
    assert not Granter(office.desk).step()
    late = replace(office.desk, tools=replace(office.desk.tools, clock=lambda: office.now + 31))
    assert Granter(late).step()
    assert office.store.wishes.get(wish.id).state == "granted"


def test_a_granter_that_lost_its_lease_writes_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(desk: Desk, asked: Asked) -> dict[str, object]:
        later = desk.tools.clock() + desk.tools.pace.lease_seconds + 1
        assert desk.tools.store.wishes.claim("other", later, 30.0, KINDS) is not None
        asked.note("reading", 1, 2)
        raise AssertionError("it went on")

    do(monkeypatch, slow)
    wish = office.grant("browse", {})
    assert (wish.state, wish.step, wish.error) == ("open", None, None)


def test_a_granter_that_is_stopped_gives_its_wish_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Event()

    def stopped(_desk: Desk, asked: Asked) -> dict[str, object]:
        stop.set()
        asked.note("reading", 1, 2)
        raise AssertionError("it went on")

    do(monkeypatch, stopped)
    wish = office.ask("browse", {"at": ""})
    Granter(office.desk, stop=stop).step()
    monkeypatch.undo()
    assert Granter(office.desk).step()
    assert office.store.wishes.get(wish.id).state == "granted"


def test_progress_is_told_while_it_takes_long(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def long(desk: Desk, asked: Asked) -> dict[str, object]:
        for done in range(1000):
            asked.note("reading images", done, 1000)
        seen.append(desk.tools.store.wishes.get(asked.id))
        return {}

    do(monkeypatch, long)
    office.grant("browse", {})
    assert (seen[0].step, seen[0].total) == ("reading images", 1000)
    assert granter.log.name.startswith("slidegate")


def test_errors_keep_their_codes(office: Office) -> None:
    write_image(office.root / "shelf" / "a.ome.tif")
    for kind, body, code in (
        ("launch", {"workflow": "squares", "images": []}, "nothing-selected"),
        ("launch", {"workflow": "squares", "images": ["here:gone.tif"]}, "image-not-found"),
        ("launch", {"workflow": "squares", "images": ["moon:a.tif"]}, "image-not-found"),
        ("launch", {"workflow": "squares", "images": ["/etc/passwd"]}, "bad-image-name"),
        ("launch", {"images": ["here:a.ome.tif"]}, "bad-wish"),
        ("launch", {"workflow": "squares", "images": ["here:a.ome.tif"], "site": "moon"}, "unknown-site"),
        ("preview", {"workflow": "squares", "image": "here:a.ome.tif"}, "bad-wish"),
        ("log", {"task": "x.1"}, "unknown-run"),
        ("units", {}, "bad-wish"),
        ("picture", {"task": "x.1"}, "unknown-run"),
        ("delete", {}, "bad-wish"),
    ):
        wish = office.grant(kind, body)
        assert (kind, wish.error_code) == (kind, code)
        assert str(wish.error).endswith(".")


def test_deleting_what_is_gone_changes_nothing(office: Office) -> None:
    assert office.answer("delete", {"run": "0123456789ab", "results": True}) == {"removed": []}
