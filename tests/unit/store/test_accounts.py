# SPDX-License-Identifier: BSD-3-Clause
"""Who may sign in, and what proves that somebody has."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import text

from slidegate.domain.errors import BadRequest
from slidegate.store import Store, tables
from slidegate.store.accounts import Account
from slidegate.store.people import UnknownPerson
from slidegate.store.sessions import LONGEST_SECONDS, Holder


@pytest.fixture
def ada(store: Store) -> Store:
    store.accounts.set("ada", "researcher", "lab", 1.0)
    return store


def test_an_account_has_a_role_and_a_group_and_keeps_its_password_when_they_change(store: Store) -> None:
    assert store.people.add("ada", 1.0)
    store.accounts.set("ada", "viewer", "lab", 2.0)
    store.accounts.set_password("ada", "$argon2id$...")
    store.accounts.set("ada", "lead", "", 3.0)
    store.accounts.set("Zoë", "viewer", "clinic", 4.0)
    assert store.accounts.get("ada") == Account("ada", "lead", "", active=True, has_password=True)
    assert [account.person for account in store.accounts.all()] == ["ada", "Zoë"]
    assert (store.accounts.group_of("Zoë"), store.accounts.group_of("nobody")) == ("clinic", "")
    assert (store.accounts.password_hash("ada"), store.accounts.password_hash("Zoë")) == (
        "$argon2id$...",
        None,
    )
    store.accounts.set_password("ada", None)
    assert not store.accounts.get("ada").has_password


@pytest.mark.parametrize("change", [("x\ny", "lead", ""), ("ada", "king", ""), ("ada", "lead", "a\x1b[31m")])
def test_an_account_that_cannot_be_is_refused(store: Store, change: tuple[str, str, str]) -> None:
    with pytest.raises(BadRequest):
        store.accounts.set(*change, 1.0)
    assert store.people.names() == []


def test_nothing_is_made_for_who_has_no_active_account(store: Store) -> None:
    store.people.add("ada", 1.0)
    for _ in range(2):
        with pytest.raises(UnknownPerson):
            store.sessions.begin("ada", 1.0, 60.0)
        with pytest.raises(UnknownPerson):
            store.tokens.make("ada", "laptop", 1.0)
        with pytest.raises(UnknownPerson):
            store.login_links.make("ada", 1.0)
        store.accounts.set("ada", "viewer", "", 2.0)
        store.accounts.deactivate("ada", False)
    for change in (lambda: store.accounts.get("bob"), lambda: store.accounts.set_password("bob", None)):
        with pytest.raises(UnknownPerson):
            change()


def test_a_session_ends_unless_it_is_used_and_in_the_end_anyway(ada: Store) -> None:
    secret, session = ada.sessions.begin("ada", 0.0, 100.0)
    assert ada.sessions.find(secret, 99.0) is not None
    assert ada.sessions.find(secret, 198.0) is not None
    assert ada.sessions.find(secret, 300.0) is None
    other, again = ada.sessions.begin("ada", 0.0, LONGEST_SECONDS)
    assert ada.sessions.find(other, LONGEST_SECONDS - 1) is not None
    assert ada.sessions.find(other, LONGEST_SECONDS + 1) is None
    assert session.csrf != again.csrf


def test_who_is_signed_out_by_a_new_password_or_by_being_deactivated(ada: Store) -> None:
    first, _session = ada.sessions.begin("ada", 0.0, 100.0)
    ada.accounts.set_password("ada", "new")
    assert ada.sessions.find(first, 1.0) is None
    second, _session = ada.sessions.begin("ada", 0.0, 100.0)
    token, link = ada.tokens.make("ada", "laptop", 0.0), ada.login_links.make("ada", 0.0)
    ada.accounts.deactivate("ada", False)
    assert ada.accounts.password_hash("ada") is None
    assert (ada.sessions.find(second, 1.0), ada.tokens.find(token, 1.0), ada.login_links.use(link, 1.0)) == (
        None, None, None,
    )  # fmt: skip
    ada.accounts.deactivate("ada", True)
    assert ada.sessions.find(second, 1.0) is None
    assert ada.tokens.find(token, 1.0) == Holder("ada", "researcher", "lab")


def test_a_token_says_when_it_was_used_and_is_taken_back_by_whose_it_is(ada: Store) -> None:
    ada.accounts.set("bob", "viewer", "", 1.0)
    token = ada.tokens.make("ada", "laptop", 1.0, ends_at=500.0)
    assert len(token) == 46
    assert token.startswith("sg_")
    (known,) = ada.tokens.all("ada")
    assert (known.name, known.at, known.ends_at, known.used_at) == ("laptop", 1.0, 500.0, None)
    assert ada.tokens.find(token, 100.0) == Holder("ada", "researcher", "lab")
    assert ada.tokens.find(token, 101.0) == Holder("ada", "researcher", "lab")
    assert ada.tokens.all("ada")[0].used_at == 100.0
    assert ada.tokens.find(token, 500.0) is None
    assert ada.tokens.find(token + "x", 100.0) is None
    assert not ada.tokens.revoke("bob", known.id)
    assert ada.tokens.revoke("ada", known.id)
    assert ada.tokens.find(token, 100.0) is None
    with pytest.raises(BadRequest):
        ada.tokens.make("ada", "\x1b", 1.0)


def test_a_link_signs_in_once_and_not_too_late(ada: Store) -> None:
    link = ada.login_links.make("ada", 0.0, 300.0)
    assert ada.login_links.use(link, 299.0) == "ada"
    assert ada.login_links.use(link, 299.0) is None
    late = ada.login_links.make("ada", 0.0, 300.0)
    assert ada.login_links.use(late, 300.0) is None
    assert ada.login_links.use("x", 1.0) is None


def test_no_secret_is_in_the_database(ada: Store) -> None:
    secrets = [
        ada.sessions.begin("ada", 0.0, 100.0)[0],
        ada.tokens.make("ada", "laptop", 1.0),
        ada.login_links.make("ada", 0.0),
    ]
    with ada.database.read() as connection:
        for table in tables.metadata.sorted_tables:
            rows = str(connection.execute(text(f'SELECT * FROM "{table.name}"')).all())
            assert not any(secret in rows or secret.removeprefix("sg_") in rows for secret in secrets)


def test_who_is_removed_is_gone_with_all_that_proves_them(ada: Store) -> None:
    secret, _session = ada.sessions.begin("ada", 0.0, 100.0)
    token = ada.tokens.make("ada", "laptop", 1.0)
    ada.login_links.make("ada", 0.0)
    ada.webhooks.add("ada", "https://example.org/hook", "s", 1.0)
    ada.people.remove("ada")
    assert ada.people.names() == []
    assert (ada.sessions.find(secret, 1.0), ada.tokens.find(token, 1.0), ada.webhooks.all("ada")) == (
        None,
        None,
        [],
    )


@dataclass
class Known:
    """What a second, simpler account says of one person."""

    active: bool = True
    sessions: dict[str, float] = field(default_factory=dict)
    links: dict[str, float] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)


class SigningIn(RuleBasedStateMachine):
    """Whatever people do in whatever order, what proves who they are is what a simpler account says."""

    store: Store
    people = st.sampled_from(["ada", "bob"])
    number = 0

    @initialize()
    def begin(self) -> None:
        type(self).number += 1
        self.now = 0.0
        self.known = {name: Known() for name in ("ada", "bob")}
        for name in self.known:
            self.store.accounts.set(self.real(name), "viewer", "", 0.0)

    def real(self, name: str) -> str:
        return f"{name}-{self.number}"

    @rule(name=people, active=st.booleans())
    def deactivate(self, name: str, active: bool) -> None:
        self.store.accounts.deactivate(self.real(name), active)
        known = self.known[name]
        known.active = active
        if not active:
            known.sessions.clear()
            known.links.clear()

    @rule(name=people)
    def new_password(self, name: str) -> None:
        self.store.accounts.set_password(self.real(name), "x")
        self.known[name].sessions.clear()
        self.known[name].links.clear()

    @rule(name=people, seconds=st.sampled_from([5.0, 50.0]))
    def sign_in(self, name: str, seconds: float) -> None:
        if self.known[name].active:
            secret, _session = self.store.sessions.begin(self.real(name), self.now, seconds)
            self.known[name].sessions[secret] = self.now + seconds

    @rule(name=people)
    def sign_out_everywhere(self, name: str) -> None:
        self.store.sessions.end_all(self.real(name))
        self.known[name].sessions.clear()

    @rule(name=people)
    def make_token_and_link(self, name: str) -> None:
        if self.known[name].active:
            self.known[name].tokens.add(self.store.tokens.make(self.real(name), "t", self.now))
            self.known[name].links[self.store.login_links.make(self.real(name), self.now, 20.0)] = (
                self.now + 20.0
            )

    @rule(name=people)
    def use_a_link(self, name: str) -> None:
        if self.known[name].links:
            link, ends_at = self.known[name].links.popitem()
            expected = self.real(name) if ends_at > self.now else None
            assert self.store.login_links.use(link, self.now) == expected
            assert self.store.login_links.use(link, self.now) is None

    @rule(seconds=st.sampled_from([1.0, 10.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def look(self) -> None:
        for name, known in self.known.items():
            for secret, ends_at in list(known.sessions.items()):
                found = self.store.sessions.find(secret, self.now)
                assert (found is not None) == (ends_at > self.now)
                if found is not None:
                    assert found.person == self.real(name)
                    known.sessions[secret] = found.ends_at
            for token in known.tokens:
                holder = self.store.tokens.find(token, self.now)
                assert (holder and holder.person) == (self.real(name) if known.active else None)


@pytest.mark.slow
def test_signing_in_agrees_with_a_simpler_account_of_it(store: Store) -> None:
    machine = type("Machine", (SigningIn,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
