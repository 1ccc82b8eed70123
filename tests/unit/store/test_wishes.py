# SPDX-License-Identifier: BSD-3-Clause
"""What people wish for: once, in turn, and granted by whoever holds it."""

import math
import subprocess
import sys

import pytest

from slidegate.domain.errors import BadRequest
from slidegate.store import Store, wishes
from slidegate.store.wishes import KINDS, HeldWish, KeyReused, TooManyWishes, UnknownWish


def taken(store: Store, now: float = 10.0, seconds: float = 5.0) -> HeldWish:
    held = store.wishes.claim("w", now, seconds, KINDS)
    assert held is not None
    return held


def test_the_same_wish_of_the_same_person_is_one_while_it_is_open(store: Store) -> None:
    first = store.wishes.ask("browse", "ada", {"at": "a", "request": "r1"}, 1.0)
    assert store.wishes.ask("browse", "ada", {"at": "a", "request": "r2"}, 2.0).id == first.id
    others = [
        ("browse", "ada", {"at": "b"}),
        ("browse", "bob", {"at": "a"}),
        ("describe", "ada", {"at": "a"}),
    ]
    assert len({store.wishes.ask(*other, 3.0).id for other in others} | {first.id}) == 4
    assert store.wishes.get(first.id) == first
    assert store.wishes.open_of("ada", "browse")[0].id == first.id
    assert len(store.wishes.open_of(None, "browse")) == 3
    assert {wish.id for wish in store.wishes.several([first.id, "f" * 32])} == {first.id}


def test_a_person_waits_for_so_much_at_once_and_holds_up_nobody_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes, "MOST_OPEN", 3)
    asked = [store.wishes.ask("browse", "ada", {"at": str(number)}, 1.0) for number in range(3)]
    with pytest.raises(TooManyWishes):
        store.wishes.ask("launch", "ada", {"at": "more"}, 2.0)
    assert store.wishes.ask("browse", "ada", {"at": "0"}, 2.0).id == asked[0].id
    assert store.wishes.ask("launch", "bob", {"at": "more"}, 2.0).state == "open"
    store.wishes.grant(taken(store), {}, 3.0)
    assert store.wishes.ask("launch", "ada", {"at": "more"}, 4.0).state == "open"


def test_what_was_granted_lately_is_returned_and_later_asked_anew(store: Store) -> None:
    first = store.wishes.ask("thumbnail", "ada", {"image": "a"}, 1.0)
    assert store.wishes.grant(taken(store), {"file": "x"}, 20.0)
    again = store.wishes.ask("thumbnail", "ada", {"image": "a"}, 25.0, fresh_seconds=10.0)
    assert (again.id, again.state, again.answer, again.ended_at) == (first.id, "granted", {"file": "x"}, 20.0)
    assert store.wishes.ask("thumbnail", "ada", {"image": "a"}, 31.0, fresh_seconds=10.0).id != first.id


def test_a_key_is_for_one_request_for_ever_unless_it_was_refused(store: Store) -> None:
    first = store.wishes.ask("launch", "ada", {"site": "a"}, 1.0, key="k", fresh_seconds=math.inf)
    with pytest.raises(KeyReused):
        store.wishes.ask("launch", "ada", {"site": "b"}, 2.0, key="k", fresh_seconds=math.inf)
    assert store.wishes.ask("launch", "bob", {"site": "b"}, 2.0, key="k").id != first.id
    assert store.wishes.grant(taken(store), {"run": "r"}, 20.0)
    with pytest.raises(KeyReused):
        store.wishes.ask("launch", "ada", {"site": "b"}, 9e9, key="k", fresh_seconds=math.inf)
    assert (
        store.wishes.ask("launch", "ada", {"site": "a"}, 9e9, key="k", fresh_seconds=math.inf).id == first.id
    )
    refused = store.wishes.ask("launch", "ada", {"site": "a"}, 1.0, key="l", fresh_seconds=math.inf)
    store.wishes.grant(taken(store), {}, 20.0)  # bob's
    assert store.wishes.refuse(taken(store), "bad", "It is bad.", 20.0)
    found = store.wishes.get(refused.id)
    assert (found.state, found.error_code, found.error, found.answer) == (
        "refused",
        "bad",
        "It is bad.",
        None,
    )
    anew = store.wishes.ask("launch", "ada", {"site": "a"}, 30.0, key="l", fresh_seconds=math.inf)
    assert anew.id != refused.id


def test_who_lost_a_wish_changes_nothing(store: Store) -> None:
    wish = store.wishes.ask("log", "ada", {"task": "t"}, 1.0)
    late, now = taken(store, 10.0), taken(store, 20.0)
    assert now.token > late.token
    assert not store.wishes.grant(late, {"text": "late"}, 21.0)
    assert not store.wishes.refuse(late, "late", "Late.", 21.0)
    assert not store.wishes.renew(late, 99.0)
    assert not store.wishes.progress(late, "late", 1, 2, 21.0)
    store.wishes.put_off(late, 99.0, "late")
    assert store.wishes.get(wish.id).trouble is None
    assert store.wishes.renew(now, 60.0)
    assert store.wishes.claim("b", 50.0, 5.0, KINDS) is None
    assert store.wishes.progress(now, "reading", 2, 2**40, 51.0)
    assert store.wishes.get(wish.id).total == 2**40
    assert store.wishes.grant(now, {"text": "right"}, 52.0)
    assert not store.wishes.grant(now, {"text": "twice"}, 53.0)
    assert store.wishes.get(wish.id).answer == {"text": "right"}


def test_a_wish_that_is_put_off_says_why_and_waits(store: Store) -> None:
    wish = store.wishes.ask("units", "ada", {"task": "t"}, 1.0)
    store.wishes.put_off(taken(store), 30.0, "The site does not answer.")
    assert store.wishes.get(wish.id).trouble == "The site does not answer."
    assert store.wishes.claim("b", 29.0, 5.0, KINDS) is None
    assert taken(store, 30.0).tries == 1


def test_people_take_turns_and_kinds_are_kept_apart(store: Store) -> None:
    for number in range(20):
        store.wishes.ask("thumbnail", "ada", {"image": number}, 1.0 + number)
    store.wishes.ask("thumbnail", "bob", {"image": 0}, 30.0)
    store.wishes.ask("launch", "bob", {"image": 0}, 31.0)
    assert store.wishes.claim("w", 40.0, 5.0, ["browse"]) is None
    assert [taken(store, 40.0).wish.person for _ in range(4)] == ["ada", "bob", "ada", "bob"]
    assert taken(store, 40.0).wish.body == {"image": 2}


def test_leases_of_the_dead_are_freed_at_once(store: Store) -> None:
    store.wishes.ask("log", "ada", {"task": "t"}, 1.0)
    held = taken(store, 10.0, 500.0)
    assert store.queue.owners(11.0) == ["w"]
    store.queue.free("w")
    assert taken(store, 11.0).token == held.token + 1


def test_old_wishes_are_forgotten_but_what_a_key_launched_is_kept_for_a_week(store: Store) -> None:
    day = 86400.0
    open_one = store.wishes.ask("browse", "cleo", {}, 0.0)
    named = store.wishes.ask("launch", "ada", {}, 1.0, key="k")
    other = store.wishes.ask("preview", "bob", {}, 2.0)
    for _ in range(2):
        held = store.wishes.claim("w", 10.0, 5.0, ["launch", "preview"])
        assert held is not None
        store.wishes.grant(held, {}, 10.0)
    assert store.wishes.sweep(day) == 1
    with pytest.raises(UnknownWish):
        store.wishes.get(other.id)
    assert store.wishes.get(named.id)
    assert store.wishes.sweep(8 * day) == 1
    assert store.wishes.get(open_one.id).state == "open"


def test_a_wish_of_no_known_kind_is_refused(store: Store) -> None:
    with pytest.raises(BadRequest):
        store.wishes.ask("rm", "ada", {}, 1.0)


ASK = """
import sys, math
from slidegate.store import Store
store = Store.open(sys.argv[1])
for n in range(15):
    body = {"n": n, "request": sys.argv[2]}
    print(store.wishes.ask("launch", "ada", body, 1.0, key=str(n), fresh_seconds=math.inf).id)
"""


@pytest.mark.slow
def test_a_second_click_is_not_a_second_wish_also_from_several_processes(url: str) -> None:
    asking = [
        subprocess.Popen([sys.executable, "-c", ASK, url, name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b", "c")
    ]
    said = [process.communicate(timeout=60)[0].split() for process in asking]
    assert said[0] == said[1] == said[2]
    assert len(set(said[0])) == 15
