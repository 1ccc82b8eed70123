# SPDX-License-Identifier: BSD-3-Clause
"""What has to change; nothing is read or written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidegate.omero_config.errors import BadConfig
from slidegate.omero_config.plan import Change, plan
from slidegate.omero_config.values import Identity, State, Wish

LINKS = "omero.web.ui.top_links"
DEFAULT_LINKS = [["Data", "webindex"], ["History", "history"]]


def defaults(key: str) -> list[Any]:
    return list(DEFAULT_LINKS) if key == LINKS else []


def applied(current: dict[str, str], changes: tuple[Change, ...]) -> dict[str, str]:
    result = dict(current)
    for change in changes:
        assert result.get(change.key) == change.before
        if change.after is None:
            del result[change.key]
        else:
            result[change.key] = change.after
    return result


def links(current: str | None, wish: Wish) -> Any:
    """Return the links that are there afterwards, None where the key is not set."""
    given = {} if current is None else {LINKS: current}
    text = applied(given, plan(given, [wish], defaults)).get(LINKS)
    return None if text is None else json.loads(text)


def wish(*entries: Any, state: State = State.PRESENT) -> Wish:
    return Wish(LINKS, state, list(entries), Identity.FIRST)


def test_an_entry_of_the_same_name_is_put_into_its_place() -> None:
    current = json.dumps([["Data", "old"], ["Mine", "mine"]])
    assert links(current, wish(["Data", "new"])) == [["Data", "new"], ["Mine", "mine"]]


def test_what_was_appended_twice_stands_once_afterwards() -> None:
    current = json.dumps([["Figure", "a"], ["Mine", "mine"], ["Figure", "b"]])
    assert links(current, wish(["Figure", "b"])) == [["Figure", "b"], ["Mine", "mine"]]


def test_a_list_that_is_not_set_starts_from_the_list_of_omero_web() -> None:
    assert links(None, wish(["Figure", "f"])) == [*DEFAULT_LINKS, ["Figure", "f"]]
    assert links(None, wish(["History"], state=State.ABSENT)) == [["Data", "webindex"]]


def test_what_omero_web_has_by_itself_need_not_be_set() -> None:
    assert links(None, wish(["Data", "webindex"])) is None
    assert links(None, wish(["Figure"], state=State.ABSENT)) is None


def test_a_list_from_which_all_was_taken_is_empty_and_not_that_of_omero_web() -> None:
    assert links('[["Data", "webindex"]]', wish(["Data"], state=State.ABSENT)) == []


def test_a_list_that_is_stated_exactly_asks_for_no_default() -> None:
    def nobody(key: str) -> list[Any]:
        raise AssertionError(key)

    (change,) = plan({}, [wish(["Data", "x"], state=State.EXACT)], nobody)
    assert change == Change(LINKS, None, '[["Data", "x"]]')


def test_how_a_list_is_spaced_is_no_change() -> None:
    assert plan({LINKS: '[["Data","x"] ]'}, [wish(["Data", "x"])], defaults) == ()
    assert plan({LINKS: '[["Data","x"] ]'}, [wish(["Data", "x"], state=State.EXACT)], defaults) == ()


def test_one_and_true_are_two_values() -> None:
    key = "omero.web.caches"
    assert plan({key: '{"a": 1}'}, [Wish(key, State.PRESENT, {"a": True})], defaults) != ()
    assert plan({"x": "[1]"}, [Wish("x", State.PRESENT, [True])], defaults)[0].after == "[1, true]"


@pytest.mark.parametrize("held", ["", "omero_figure", "{}", '"x"', "[1"])
def test_entries_are_not_put_into_what_is_no_list(held: str) -> None:
    with pytest.raises(
        BadConfig, match=r"omero\.web\.ui\.top_links holds something that is no list"
    ) as caught:
        plan({LINKS: held}, [wish(["Data", "x"])], defaults)
    assert not held or held not in str(caught.value)


def test_what_is_no_list_can_be_replaced_as_a_whole() -> None:
    assert links("omero_figure", wish(["Data", "x"], state=State.EXACT)) == [["Data", "x"]]


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b", "c", ""])
entries = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from(["name", "class", "index"]), scalars, max_size=3),
)
names = st.sampled_from([LINKS, "omero.web.apps", "omero.data.dir"])


@st.composite
def wishes(draw: st.DrawFn) -> list[Wish]:
    made = []
    for key in draw(st.lists(names, unique=True, max_size=3)):
        state = draw(st.sampled_from(State))
        identity = draw(st.sampled_from(Identity))
        value = draw(st.lists(entries, max_size=4, unique_by=identity.of))
        value = [each for each in value if identity.of(each) is not None]
        others = st.none() if state is State.ABSENT else st.text(max_size=3) | st.just({"a": 1})
        made.append(Wish(key, state, draw(st.just(value) | others), identity))
    return made


configurations = st.dictionaries(names | st.just("other"), st.lists(entries, max_size=5).map(json.dumps))


@given(configurations, wishes())
def test_applied_twice_is_applied_once(current: dict[str, str], desired: list[Wish]) -> None:
    after = applied(current, plan(current, desired, defaults))
    assert plan(after, desired, defaults) == ()


@given(configurations, wishes())
def test_keys_and_entries_of_which_nothing_is_desired_stay(
    current: dict[str, str], desired: list[Wish]
) -> None:
    after = applied(current, plan(current, desired, defaults))
    named = {each.key: each for each in desired}
    for key, text in current.items():
        if key not in named:
            assert after[key] == text
            continue
        one = named[key]
        if isinstance(one.value, list) and one.state is not State.EXACT:
            meant = {one.identity.of(entry) for entry in one.value}
            assert others(after[key], one.identity, meant) == others(text, one.identity, meant)


def others(text: str, identity: Identity, meant: set[str | None]) -> list[str]:
    return [json.dumps(each) for each in json.loads(text) if identity.of(each) not in meant]
