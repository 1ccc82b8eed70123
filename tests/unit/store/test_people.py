# SPDX-License-Identifier: BSD-3-Clause
"""Who a person is at a site, on which days."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import update

from slidegate.domain import events
from slidegate.domain.errors import BadRequest
from slidegate.domain.states import State
from slidegate.store import Store, tables
from slidegate.store.people import Link, LinkNotValid, LinkRefused, UnknownPerson, gate_id
from tests.unit.domain.histories import request

ADA = Link("ada", "hpc", "anna", "omero", date(2026, 1, 1), date(2026, 12, 31))


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


@pytest.fixture
def linked(store: Store) -> Store:
    assert store.people.add("ada", 1.0)
    assert store.people.join(ADA)
    return store


def test_a_person_is_added_once(store: Store) -> None:
    assert store.people.add("Zoë O'Neill", 1.0)
    assert not store.people.add("Zoë O'Neill", 2.0)
    assert store.people.names() == ["Zoë O'Neill"]


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_read_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be called"):
        store.people.add(name, 1.0)


def test_a_link_holds_from_the_first_to_the_last_day_both_included(linked: Store) -> None:
    assert linked.people.link("ada", "hpc", at(2026, 1, 1, 0, 0, 0)) == ADA
    assert linked.people.link("ada", "hpc", at(2026, 12, 31, 23, 59, 59)) == ADA


def test_the_days_are_those_of_utc_wherever_the_computer_stands(
    linked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert linked.people.link("ada", "hpc", at(2026, 12, 31, 23, 59, 59)) == ADA
        with pytest.raises(LinkNotValid):
            linked.people.link("ada", "hpc", at(2027, 1, 1))
    monkeypatch.undo()
    time.tzset()


def test_an_expired_link_says_since_when_and_what_to_do(linked: Store) -> None:
    with pytest.raises(LinkNotValid, match="expired on 2026-12-31") as refused:
        linked.people.link("ada", "hpc", at(2027, 1, 1))
    assert "slidegate person link ada hpc --account anna --key omero" in str(refused.value)
    assert refused.value.code == "link-not-valid"


def test_a_link_that_does_not_hold_yet_says_from_when(linked: Store) -> None:
    with pytest.raises(LinkNotValid, match="holds only from 2026-01-01"):
        linked.people.link("ada", "hpc", at(2025, 12, 31, 23, 59, 59))


def test_who_has_no_link_at_a_site_is_told_apart_from_one_whose_link_has_expired(linked: Store) -> None:
    assert linked.people.link("ada", "elsewhere", at(2026, 5, 5)) is None
    assert linked.people.link("bob", "hpc", at(2026, 5, 5)) is None


def test_a_link_without_a_last_day_holds_on(linked: Store) -> None:
    after = replace(ADA, valid_from=date(2027, 1, 1), valid_until=None, account="anna2", key="omero2")
    assert linked.people.join(after)
    assert linked.people.link("ada", "hpc", at(2099, 1, 1)) == after
    assert linked.people.link("ada", "hpc", at(2026, 12, 31)) == ADA


def test_the_same_link_again_changes_nothing(linked: Store) -> None:
    assert not linked.people.join(ADA)
    assert linked.people.links() == [ADA]


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-12-31", None), ("2025-01-01", "2026-01-01"), ("2026-03-01", "2026-03-01"), ("2025-01-01", None)],
)
def test_links_of_one_person_at_one_site_do_not_overlap(linked: Store, first: str, last: str | None) -> None:
    other = replace(
        ADA,
        key="other",
        valid_from=date.fromisoformat(first),
        valid_until=None if last is None else date.fromisoformat(last),
    )
    with pytest.raises(LinkRefused, match="is 'anna' at 'hpc' from 2026-01-01 until 2026-12-31 already"):
        linked.people.join(other)
    assert linked.people.links() == [ADA]


def test_links_of_others_and_of_other_sites_may_hold_on_the_same_days(linked: Store) -> None:
    linked.people.add("bob", 1.0)
    assert linked.people.join(replace(ADA, site="elsewhere"))
    assert linked.people.join(replace(ADA, person="bob", account="bert", key="omero-bob"))


def test_one_key_opens_one_account_of_a_site(linked: Store) -> None:
    linked.people.add("bob", 1.0)
    with pytest.raises(LinkRefused, match="the key 'omero' opens the account 'anna'"):
        linked.people.join(replace(ADA, person="bob", account="bert"))
    assert linked.people.join(replace(ADA, person="bob"))  # who share an account share its key
    assert linked.people.account("hpc", "omero") == "anna"
    assert linked.people.account("hpc", "other") is None


def test_a_link_that_ends_before_it_begins_is_refused(linked: Store) -> None:
    with pytest.raises(LinkRefused, match="before it begins"):
        linked.people.join(replace(ADA, site="x", valid_until=date(2025, 1, 1)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("site", "local"), ("site", "../x"), ("site", "-v"), ("account", "-oProxyCommand=x"), ("account", "a b"),
     ("account", ""), ("account", "a\n")],
)  # fmt: skip
def test_what_ssh_could_misunderstand_is_no_site_and_no_account(store: Store, field: str, value: str) -> None:
    store.people.add("ada", 1.0)
    with pytest.raises(LinkRefused, match=r"is no site|cannot be an account"):
        store.people.join(replace(ADA, **{field: value}))


def test_only_people_who_were_added_are_linked(store: Store) -> None:
    with pytest.raises(UnknownPerson, match="slidegate person add ada"):
        store.people.join(ADA)


def test_links_are_removed_by_site_and_people_with_all_of_theirs(linked: Store) -> None:
    elsewhere = replace(ADA, site="elsewhere")
    linked.people.join(elsewhere)
    assert linked.people.remove("ada", "hpc") == [ADA]
    assert linked.people.links() == [elsewhere]
    assert linked.people.remove("ada") == [elsewhere]
    assert linked.people.names() == []
    with pytest.raises(UnknownPerson):
        linked.people.remove("ada")


def test_a_link_whose_runs_have_not_ended_stays_and_names_them(linked: Store) -> None:
    asked = request(tasks=1)
    linked.history.request(asked, 1.0)
    with linked.database.write() as connection:
        connection.execute(update(tables.run).values(site=gate_id("hpc", "omero")))
    with pytest.raises(LinkRefused, match=asked.run[:8]):
        linked.people.remove("ada")
    linked.history.append(asked.run, events.Cancelled(asked.tasks[0].task, State.WAITING), 2.0)
    assert linked.people.remove("ada") == [ADA]


def test_what_ends_within_a_month_is_told_unless_something_follows(store: Store) -> None:
    day = date(2026, 6, 1)
    for name, until in (("ada", date(2026, 7, 1)), ("bob", date(2026, 7, 2)), ("cyd", date(2026, 6, 1))):
        store.people.add(name, 1.0)
        assert store.people.join(Link(name, "hpc", name, name, day, until))
    store.people.join(Link("cyd", "hpc", "cyd", "cyd", date(2026, 6, 2)))
    ((link, words),) = store.people.ending(at(2026, 6, 1, 12))
    assert link.person == "ada"
    assert "until 2026-07-01 only" in words
    assert "slidegate person link ada hpc --account ada --key ada --from 2026-07-02" in words
