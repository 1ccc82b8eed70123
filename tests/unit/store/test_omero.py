# SPDX-License-Identifier: BSD-3-Clause
"""Who of OMERO is who here, which OMERO.webs are believed, and what was granted."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from slidegate.domain import events
from slidegate.domain.values import RunId
from slidegate.store import Store
from slidegate.store.omero import OmeroGrant, OmeroPerson, OmeroWebExists, UnknownOmeroWeb
from slidegate.store.people import UnknownPerson
from tests.unit.domain.histories import request as asked_for


def test_somebody_of_omero_is_one_person_here_whatever_they_are_called_there(store: Store) -> None:
    assert store.omero_people.signed_in(7, "ada", 1.0, "lead") == "ada"
    assert store.omero_people.get("ada") == OmeroPerson(7, "ada")
    account = store.accounts.get("ada")
    assert (account.role, account.group, account.active, account.has_password) == ("lead", "", True, False)
    assert store.omero_people.signed_in(7, "lovelace", 2.0) == "ada"
    assert store.omero_people.get("ada") == OmeroPerson(7, "lovelace")
    assert store.accounts.get("ada").role == "lead"  # what is given to new ones changes nobody
    assert store.omero_people.signed_in(8, "ada", 3.0) == "ada-2"
    assert store.omero_people.all() == {"ada": OmeroPerson(7, "lovelace"), "ada-2": OmeroPerson(8, "ada")}


def test_a_name_that_anything_is_filed_under_is_not_free(store: Store) -> None:
    store.people.add("known", 1.0)
    store.accounts.set("member", "administrator", "", 1.0)
    asked = asked_for()  # by ada, who is not known any more
    store.history.request(asked, 1.0)
    store.wishes.ask("browse", "waiting", {}, 1.0)
    for number, name in enumerate(("known", "member", asked.person, "waiting")):
        assert store.omero_people.signed_in(number, name, 2.0) == f"{name}-2"
        assert store.omero_people.get(name) is None


def test_who_comes_twice_at_the_same_time_is_one_person(store: Store) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.omero_people.signed_in(7, "ada", 1.0)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["ada"] * 6
    assert len(store.accounts.all()) == 1


def test_two_of_one_name_at_the_same_time_are_two_people(store: Store) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(store.omero_people.signed_in(n, "ada", 1.0)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["ada", "ada-2", "ada-3", "ada-4"]


def test_an_administrator_says_who_of_omero_somebody_is(store: Store) -> None:
    with pytest.raises(UnknownPerson):
        store.omero_people.join("ada", 7)
    store.accounts.set("ada", "lead", "lab", 1.0)
    assert store.omero_people.signed_in(7, "ada", 1.0) == "ada-2"
    store.omero_grants.note("ada-2", 1.0, None)
    assert [store.omero_people.join("ada", 7) for _ in range(2)] == ["ada-2", None]
    assert store.omero_grants.all() == {}
    assert store.omero_people.signed_in(7, "ada", 2.0) == "ada"
    assert store.omero_people.get("ada-2") is None
    assert store.omero_people.join("ada", 9) is None  # it was another one
    assert store.omero_people.all() == {"ada": OmeroPerson(9, "ada")}
    assert store.accounts.get("ada").role == "lead"


def test_who_is_removed_has_granted_nothing_and_comes_back_as_somebody_new(store: Store) -> None:
    store.omero_people.signed_in(7, "ada", 1.0)
    store.omero_grants.note("ada", 1.0, None)
    store.people.remove("ada")
    assert (store.omero_people.get("ada"), store.omero_grants.get("ada")) == (None, None)
    assert store.omero_people.signed_in(7, "ada", 2.0) == "ada"


def test_an_omero_web_is_believed_until_it_is_removed(store: Store) -> None:
    assert store.omero_webs.add("lab", "key", 1.0)
    assert not store.omero_webs.add("lab", "key", 2.0)
    with pytest.raises(OmeroWebExists):
        store.omero_webs.add("lab", "another", 2.0)
    assert (store.omero_webs.key("lab"), store.omero_webs.key("other")) == ("key", None)
    assert [(one.name, one.at) for one in store.omero_webs.all()] == [("lab", 1.0)]
    store.accounts.set("ada", "researcher", "", 1.0)
    secret, _ = store.sessions.begin("ada", 1.0, 100.0, "lab")
    token = store.tokens.make("ada", "mine", 1.0, None, "lab")
    own, _ = store.sessions.begin("ada", 1.0, 100.0)
    assert store.omero_webs.remove("lab") == 2
    assert (store.sessions.find(secret, 2.0), store.tokens.find(token, 2.0)) == (None, None)
    assert store.sessions.find(own, 2.0) is not None
    with pytest.raises(UnknownOmeroWeb):
        store.omero_webs.remove("lab")


def test_what_was_said_is_new_once_until_it_is_too_old(store: Store) -> None:
    said = store.omero_webs.said
    assert [said("lab", "one", 1.0, 50.0), said("lab", "one", 49.0, 50.0)] == [True, False]
    assert [said("other", "one", 1.0, 50.0), said("lab", "two", 51.0, 90.0)] == [True, True]
    with store.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM omero_statement").scalar_one() == 1


def test_grants_are_noted_and_forgotten_and_a_key_is_published(store: Store) -> None:
    grants = store.omero_grants
    assert (grants.public(), grants.all()) == (None, {})
    for key in (b"1" * 32, b"2" * 32):
        grants.publish(key, 1.0)
    assert grants.public() == b"2" * 32
    store.omero_people.signed_in(7, "ada", 1.0)
    grants.note("ada", 1.0, None)
    grants.note("ada", 2.0, 3.0)
    assert grants.get("ada") == OmeroGrant(2.0, 3.0)
    assert grants.all() == {"ada": OmeroGrant(2.0, 3.0)}
    for _ in range(2):
        grants.forget("ada")
    assert grants.get("ada") is None


@pytest.mark.parametrize("ended", ["granted", "refused"])
def test_a_secret_in_a_wish_is_gone_when_it_has_ended(store: Store, ended: str) -> None:
    asked = store.wishes.ask("omero-grant", "ada", {"sealed": "…"}, 1.0)
    held = store.wishes.claim("w", 2.0, 60.0, ["omero-grant"])
    assert held is not None
    assert held.wish.body == {"sealed": "…"}
    if ended == "granted":
        assert store.wishes.grant(held, {}, 3.0)
    else:
        assert store.wishes.refuse(held, "no", "No.", 3.0)
    assert store.wishes.get(asked.id).body == {}
    other = store.wishes.ask("browse", "ada", {"at": "a:"}, 1.0)
    held = store.wishes.claim("w", 2.0, 60.0, ["browse"])
    assert held is not None
    store.wishes.grant(held, {}, 3.0)
    assert store.wishes.get(other.id).body == {"at": "a:"}


def a_run(store: Store, name: str, at: float, images: list[str], **values: Any) -> RunId:
    asked = asked_for(name, tasks=len(images))
    tasks = tuple(
        replace(new, source="omero", image=image) for new, image in zip(asked.tasks, images, strict=True)
    )
    made: events.RunRequested = replace(asked, tasks=tasks, **values)
    assert store.history.request(made, at)
    return made.run


def test_tasks_are_found_by_their_image_in_omero(store: Store) -> None:
    store.accounts.set("ada", "researcher", "lab", 1.0)
    one = a_run(store, "one", 1.0, ["12", "120"])
    two = a_run(store, "two", 2.0, ["12#z=1,t=0", "1", "12#z=2,t=0"])
    bens = a_run(store, "three", 3.0, ["12"], person="ben")
    store.history.request(replace(asked_for("folder")), 4.0)

    def found(*images: str, person: str | None = None, group: str | None = None, limit: int = 50) -> Any:
        rows = store.pages.image_tasks(images, person, group, limit)
        return [(row["run"], row["number"]) for row in rows]

    assert found("12") == [(bens, 1), (two, 1), (two, 3), (one, 1)]
    assert found("12", person="ada") == found("12", group="lab") == [(two, 1), (two, 3), (one, 1)]
    assert found("12#z=2,t=0") == [(two, 3)]
    assert found("1", "120") == [(two, 2), (one, 2)]
    assert found("12", limit=1) == [(bens, 1)]
    assert found("2", "1%", "12#") == []
    (row,) = store.pages.image_tasks(["120"], None, None)
    assert (row["workflow"], row["version"], row["at"], row["person"]) == ("count", "1.0", 1.0, "ada")
