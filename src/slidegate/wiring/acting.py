# SPDX-License-Identifier: BSD-3-Clause
"""The OMERO of a server's settings, where a worker acts for each person with that person's rights."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from slidegate.domain.errors import BadRequest, SlidegateError
from slidegate.domain.omero_places import PREFIX, OmeroPlace
from slidegate.domain.sealing import OMERO_GRANT
from slidegate.domain.values import ImageRef, RunId
from slidegate.settings import Settings
from slidegate.sources.base import ImageSource, Publication, Published, ResultSink
from slidegate.sources.errors import SourceError
from slidegate.sources.omero.acting import Sudo, grant, keep_alive, refusals_of, rights_of
from slidegate.sources.omero.connection import Connection, Server
from slidegate.sources.omero.errors import OmeroInterruptedError, OmeroSessionGoneError
from slidegate.sources.omero.grants import Grants, OmeroNoGrantError
from slidegate.sources.omero.persons import ByGrants, BySudo, Known, Persons, check_person
from slidegate.sources.omero.placed import PlacedSource
from slidegate.sources.omero.private import SecretUnreadableError
from slidegate.sources.omero.sink import OmeroSink, image_id
from slidegate.sources.omero.undo import undo_run
from slidegate.store import Store

_MENDED = frozenset(
    {
        "omero-unreachable", "omero-no-grant", "omero-login-refused", "omero-certificate",
        "omero-authority-unreadable",
        "omero-account-elsewhere", "omero-secret-open", "omero-secret-unreadable",
    }
)  # fmt: skip
"""What says nothing of an image: OMERO comes back, or somebody sees to it that slidegate may act again."""
_TRIES = {"omero-interrupted": 20, "omero-busy": 6}
"""What passes, unless it is this image that OMERO cannot bear: how often it is tried."""


class NotOfOmeroError(SourceError):
    """Who a person is in OMERO is not known here: open OMERO.web, and come from there."""

    code = "not-of-omero"
    is_of_image = False


class GrantNotNeeded(BadRequest):
    """Here slidegate acts for people in OMERO by an account of its own: no password is needed."""

    code = "omero-grant-not-needed"


class OmeroElsewhere(BadRequest):
    """The results of this run were to go to another OMERO than the one that this server knows now."""

    code = "omero-elsewhere"


def server_of(settings: Settings) -> Server:
    """Return the OMERO of the settings, which name one."""
    return Server(settings.omero_host or "", settings.omero_port, settings.omero_ca)


class Granting:
    """What people have granted: kept in a folder, and alive. Any number of threads may use it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._server = server_of(settings)
        self._store = store
        self.grants = Grants(settings.omero_grants, settings.omero_grants_key)

    def begin(self, person: str, who: Known, password: str) -> float | None:
        """Begin a session of a person and keep it; return when it ends, None where it has no end."""
        given = grant(self._server, who.name, password)
        check_person(self._server, given.key, who)
        with suppress(SlidegateError):  # the one before, if it still lives
            self.grants.revoke(self._server, who.name)
        self.grants.keep(self._server, who.name, given.key)
        return time.time() + given.live_s if given.live_s else None

    def end(self, person: str) -> None:
        """End the session that a person granted."""
        who = self._store.omero_people.get(person)
        if who is not None:
            self.grants.revoke(self._server, who.name)

    def look_after(self, now: float) -> None:
        """Say what passwords are sealed with, and keep all sessions alive; forget those that have ended."""
        self._store.omero_grants.publish(self.grants.public_key, now)
        self._keep_alive()

    def _keep_alive(self) -> None:
        """Tell OMERO that all sessions are still needed, by one connection."""
        keys = dict(self._keys())
        while keys:
            first = next(iter(keys))
            try:
                with Connection.join(self._server, first) as connection:
                    gone = keep_alive(connection, keys)
            except OmeroSessionGoneError:
                self._forget(keys.pop(first), first)
                continue
            for key in gone:
                self._forget(keys[key], key)
            return

    def _keys(self) -> Iterator[tuple[str, str]]:
        """Yield the key of each session that is kept, with the person."""
        for person in self._store.omero_grants.all():
            who = self._store.omero_people.get(person)
            try:
                if who is None:
                    raise OmeroNoGrantError
                yield self.grants.key(self._server, who.name), person
            except OmeroNoGrantError:
                self._store.omero_grants.forget(person)
            except SecretUnreadableError:  # told to that person; the others' are kept alive
                continue

    def _forget(self, person: str, key: str) -> None:
        """Forget a session that has ended, unless the person has granted another since."""
        who = self._store.omero_people.get(person)
        try:
            if who is None:
                raise OmeroNoGrantError
            self.grants.forget(self._server, who.name, key)
            self.grants.key(self._server, who.name)
        except OmeroNoGrantError:
            self._store.omero_grants.forget(person)


class ActingInOmero:
    """Acts for people in the OMERO of the settings; see slidegate.worker.acting.Acting. For one thread.

    Parameters
    ----------
    granting
        Where people grant sessions; None where an account acts for them.
    """

    name = PlacedSource.name

    def __init__(self, settings: Settings, store: Store, granting: Granting | None) -> None:
        self._settings, self._store, self._granting = settings, store, granting
        self._server = server_of(settings)
        if settings.omero_account is not None:
            way: BySudo | ByGrants = BySudo(Sudo(settings.omero_account, self._server))
        else:
            way = ByGrants(self._granted.grants, self._server)
        self._persons = Persons(self._server, way, self._known)
        self._sources: dict[str, PlacedSource] = {}

    def place(self, wishes: Mapping[str, object]) -> str:
        """See Acting."""
        usual = "attachment" if self._settings.omero_labels else "none"
        said: Mapping[str, Any] = {"labels": usual, "tags": self._settings.omero_tags, **wishes}
        objects = said.get("objects", "sample")
        return OmeroPlace(self._server.host, objects, said["labels"], tuple(said["tags"])).text

    def serves(self, out: str) -> bool:
        """See Acting."""
        return out.startswith(PREFIX)

    def source(self, person: str) -> ImageSource:
        """See Acting."""
        self.hang_up(all_of_it=False)
        found = self._sources.get(person)
        if found is None:
            found = self._sources[person] = PlacedSource(partial(self.connect, person))
        return found

    def sink(self, out: str, person: str) -> ResultSink:
        """See Acting."""
        self.hang_up(all_of_it=False)
        return _ActingSink(self, self._place_here(out), person)

    def refusals(
        self, person: str, images: Collection[ImageRef], writing: bool
    ) -> dict[ImageRef, SlidegateError]:
        """See Acting."""
        numbers = {image: image_id(image) for image in images}
        if not numbers:
            return {}
        with self.lasting(person), self.connect(person) as connection:
            found = rights_of(connection, numbers.values())
        refused = refusals_of(found, numbers.values(), writing)
        return {image: refused[number] for image, number in numbers.items() if number in refused}

    def group_of(self, person: str, image: ImageRef) -> str:
        """Return the name of an image's group, if the person may write there."""
        number = image_id(image)
        with self.connect(person) as connection:
            found = rights_of(connection, [number])
        for refusal in refusals_of(found, [number], writing=True).values():
            raise refusal
        return found[number].group_name

    def undo(self, run: RunId, out: str, person: str) -> int:
        """See Acting."""
        self._place_here(out)
        with self.lasting(person), self.connect(person) as connection:
            return int(undo_run(connection, run))

    def waits_for(self, error: SlidegateError, tries: int) -> bool:
        """See Acting."""
        return error.code in _MENDED or tries < _TRIES.get(error.code, 0)

    def grant(self, person: str, user_id: int, name: str, password: str) -> float | None:
        """See Acting."""
        self._forget(person)
        return self._granted.begin(person, Known(user_id, name), password)

    def revoke(self, person: str) -> None:
        """See Acting."""
        self._forget(person)
        self._granted.end(person)

    def unseal(self, letter: str) -> bytes:
        """See Acting."""
        return self._granted.grants.unseal(letter, OMERO_GRANT)

    def hang_up(self, all_of_it: bool) -> None:
        """See Acting."""
        ended = self._persons.let_go(all_of_it)
        for person in list(self._sources) if all_of_it else ended:
            self._close(person)

    def connect(self, person: str, group: str | None = None) -> Connection:
        """Be a person until the connection is closed; see Persons."""
        try:
            return self._persons.connect(person, group)
        except OmeroNoGrantError:
            self._store.omero_grants.forget(person)
            raise

    @contextmanager
    def lasting(self, person: str) -> Iterator[None]:
        """Let what is done in a session that ends meanwhile be done again in another one."""
        try:
            yield
        except OmeroSessionGoneError as error:
            self._forget(person)
            raise OmeroInterruptedError from error

    def _place_here(self, out: str) -> OmeroPlace:
        place = OmeroPlace.parse(out)
        if place.host != self._server.host:
            raise OmeroElsewhere
        return place

    def _forget(self, person: str) -> None:
        self._persons.forget(person)
        self._close(person)

    def _close(self, person: str) -> None:
        source = self._sources.pop(person, None)
        if source is not None:
            source.close()

    @property
    def _granted(self) -> Granting:
        if self._granting is None:
            raise GrantNotNeeded
        return self._granting

    def _known(self, person: str) -> Known:
        found = self._store.omero_people.get(person)
        if found is None:
            raise NotOfOmeroError
        return Known(found.user_id, found.name)


class _ActingSink:
    """A ResultSink that asks, before it writes, whether the person still may: jobs can wait for days."""

    name = "omero"

    def __init__(self, acting: ActingInOmero, place: OmeroPlace, person: str) -> None:
        self._acting, self._place, self._person = acting, place, person

    def publish(self, publication: Publication, files: Path) -> Published:
        """See ResultSink."""
        with self._acting.lasting(self._person):
            group = self._acting.group_of(self._person, publication.image)
            return self._sink(partial(self._acting.connect, self._person, group)).publish(publication, files)

    def find_published(self, run: RunId) -> list[Published]:
        """See ResultSink."""
        with self._acting.lasting(self._person):
            return self._sink(partial(self._acting.connect, self._person)).find_published(run)

    def undo(self, published: Published) -> None:
        """See ResultSink."""
        with self._acting.lasting(self._person):
            self._sink(partial(self._acting.connect, self._person)).undo(published)

    def _sink(self, connect: Callable[[], Connection]) -> OmeroSink:
        place = self._place
        return OmeroSink(connect, labels=place.labels, tags=place.tags, objects=place.objects)
