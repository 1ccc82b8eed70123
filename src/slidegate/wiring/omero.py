# SPDX-License-Identifier: BSD-3-Clause
"""The OMERO that the person of this computer has logged in at; nothing of it is loaded before it is used.

``slidegate omero login`` leaves the key of a session in a file of this account. Images that are named
``omero:image/12`` are read, and results written, with the rights of that session's person.
"""

import atexit
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_config_path

from slidegate.domain.errors import BadRequest, MixedSources, OmeroNotInstalled, SlidegateError
from slidegate.domain.values import RunId
from slidegate.sources.base import ImageSource, Publication, Published, ResultSink
from slidegate.sources.folder import FolderSink, FolderSource

if TYPE_CHECKING:
    from slidegate.sources.omero.connection import Connection, Server
    from slidegate.sources.omero.placed import PlacedSource

PREFIX = "omero:"
_PING_SECONDS = 60


class NotLoggedInAtOmero(BadRequest):
    """You have not logged in at an OMERO: slidegate omero login HOST does it."""

    code = "omero-not-logged-in"


class OtherOmero(BadRequest):
    """Results were to go to another OMERO than the one that you have logged in at."""

    code = "omero-other-server"


@dataclass(frozen=True, slots=True)
class Login:
    """Where the person has logged in, and as whom.

    Attributes
    ----------
    ca
        A file with the certificates that may sign the server's; None for those of this computer.
    key
        The session's: who has it is the person.
    """

    host: str
    port: int
    ca: str | None
    person: str
    key: str = field(repr=False)

    @property
    def server(self) -> "Server":
        """The server, as connections want it."""
        check_installed()
        from slidegate.sources.omero.connection import Server

        return Server(self.host, self.port, None if self.ca is None else Path(self.ca))

    def join(self) -> "Connection":
        """Join the session; the caller closes what this returns. Raises OmeroError."""
        server = self.server
        from slidegate.sources.omero.connection import Connection

        return Connection.join(server, self.key)


class Logins:
    """The file: ``omero.json`` in the folder for settings of this account, mode 0600; one login at a time.

    Parameters
    ----------
    path
        Another file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_config_path("slidegate") / "omero.json"

    def keep(self, login: Login) -> None:
        """Remember a login in the place of an earlier one."""
        from slidegate.sources.omero.private import write_private

        said = {name: getattr(login, name) for name in Login.__slots__}
        write_private(self._path, json.dumps(said).encode())

    def login(self) -> Login:
        """Return the login.

        Raises
        ------
        NotLoggedInAtOmero
        SecretOpenError, SecretUnreadableError
            Others can read the file, or it cannot be read.
        """
        from slidegate.sources.omero.private import read_private

        found = read_private(self._path)
        if found is None:
            raise NotLoggedInAtOmero
        try:
            return Login(**json.loads(found))
        except (ValueError, TypeError):
            raise NotLoggedInAtOmero from None

    def forget(self) -> None:
        """Forget the login, if there is one."""
        self._path.unlink(missing_ok=True)


class Omero:
    """Reads images of, and writes results to, the OMERO of a login. For one thread.

    The login is looked up whenever something is asked, so that one can log in again while a Run goes on.

    Parameters
    ----------
    labels, tags
        Whether label images are attached to images; the tags that images get with their result.
    """

    def __init__(
        self, logins: Logins | None = None, labels: bool = False, tags: tuple[str, ...] = ()
    ) -> None:
        self._logins = logins or Logins()
        self._labels, self._tags = labels, tags
        self._source: PlacedSource | None = None

    def close(self) -> None:
        """Let go of the connection that is kept. Safe to repeat; asking makes another."""
        if self._source is not None:
            self._source.close()

    def log_out(self) -> str:
        """End the session of the login, and forget it; return the host.

        Raises
        ------
        NotLoggedInAtOmero
        OmeroError
            OMERO does not answer: the login is forgotten, and its session ends by itself when it is idle.
        """
        login = self._logins.login()
        check_installed()
        from slidegate.sources.omero.acting import end_session
        from slidegate.sources.omero.errors import OmeroSessionGoneError

        try:
            with suppress(OmeroSessionGoneError), login.join() as connection:
                end_session(connection, login.key)
        finally:
            self._logins.forget()
        return login.host

    @property
    def place(self) -> str:
        """What Runs call it as the place where results go."""
        login = self._logins.login()
        return f"{PREFIX}{login.host}"

    def connect(self) -> "Connection":
        """Join the session of the login; the caller closes what this returns.

        Raises
        ------
        NotLoggedInAtOmero, OmeroNotInstalled, OmeroError
        """
        return self._logins.login().join()

    def source(self) -> ImageSource:
        """Return what reads images; refuses in words where nobody has logged in."""
        if self._source is None:
            self._logins.login()
            check_installed()
            from slidegate.sources.omero.placed import PlacedSource

            self._source = PlacedSource(self.connect)
            atexit.register(self.close)  # threads of a service do not end it themselves
        return self._source

    def sink(self, out: str) -> ResultSink:
        """Return what writes results to the OMERO that a Run means.

        Raises
        ------
        OtherOmero
            The login is for another.
        """
        self._check_place(out)
        check_installed()
        return _AskingSink(self, self._labels, self._tags)

    def check(self, wheres: Sequence[str], writing: bool) -> None:
        """Ask in the person's name whether the images at some places can be read, and written beside.

        Raises
        ------
        OmeroError, OmeroNotPermittedError, OmeroNotFoundError
        """
        source = self.source()
        images = [_number(ref.image) for where in wheres for ref in source.find(where)]
        self.ask(images, writing)

    def ask(self, images: Sequence[int], writing: bool) -> None:
        """Ask in the person's name whether images can be read, and written beside; raises as `check`."""
        from slidegate.sources.omero.acting import check_rights

        with self.connect() as connection:
            check_rights(connection, images, writing)

    def undo(self, run: RunId, out: str) -> int:
        """Remove what a Run wrote, and nothing else; return how many things. A repeat changes nothing.

        Parameters
        ----------
        out
            Where its results were to go.

        Raises
        ------
        OtherOmero
            They went to an OMERO that the login is not for.
        OmeroError
        """
        if out.startswith(PREFIX):
            self._check_place(out)
        check_installed()
        from slidegate.sources.omero.undo import undo_run

        with self.connect() as connection:
            return int(undo_run(connection, run))

    def _check_place(self, out: str) -> None:
        if out != self.place:
            raise OtherOmero(
                f"Results were to go to {out.removeprefix(PREFIX)}, and you have logged in at "
                f"{self.place.removeprefix(PREFIX)}. slidegate omero login HOST changes that."
            )

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Keep the session of the login from running out while the block runs; without one, do nothing."""
        connection = None
        with suppress(SlidegateError):  # whoever needs it is told
            connection = self.connect()
            connection.client.enableKeepAlive(_PING_SECONDS)
        try:
            yield
        finally:
            if connection is not None:
                connection.close()


class _AskingSink:
    """A ResultSink that asks, before it writes, whether the person still may: jobs can wait for days."""

    def __init__(self, omero: Omero, labels: bool, tags: tuple[str, ...]) -> None:
        from slidegate.sources.omero.sink import OmeroSink

        self._omero = omero
        self._sink = OmeroSink(omero.connect, labels="attachment" if labels else "none", tags=tags)
        self.name = self._sink.name

    def publish(self, publication: Publication, files: Path) -> Published:
        """See ResultSink."""
        self._omero.ask([_number(publication.image.image)], writing=True)
        return self._sink.publish(publication, files)

    def find_published(self, run: RunId) -> list[Published]:
        """See ResultSink."""
        return self._sink.find_published(run)

    def undo(self, published: Published) -> None:
        """See ResultSink."""
        self._sink.undo(published)


class Sources(Mapping[str, ImageSource]):
    """The sources that there are: folders, and the OMERO of the login once it is asked for."""

    def __init__(self, omero: Omero) -> None:
        self._omero = omero
        self._folder = FolderSource()

    def __getitem__(self, name: str) -> ImageSource:
        if name == self._folder.name:
            return self._folder
        if name == "omero":
            return self._omero.source()
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter((self._folder.name, "omero"))

    def __len__(self) -> int:
        return 2


def sink_of(out: str, omero: Omero) -> ResultSink:
    """Return the ResultSink that ``out`` of a Run names: a folder from /, or ``omero:HOST``."""
    return omero.sink(out) if out.startswith(PREFIX) else FolderSink(Path(out))


def named_in_omero(images: Sequence[str]) -> list[str] | None:
    """Return what is behind ``omero:`` in what a person named; None where nothing begins so.

    Raises
    ------
    MixedSources
    """
    found = [image.removeprefix(PREFIX) for image in images if image.startswith(PREFIX)]
    if found and len(found) < len(images):
        raise MixedSources
    return found or None


def _number(image: str) -> int:
    """Return the number of an image in OMERO; which plane of it is meant stands behind it."""
    return int(image.partition("#")[0])


def check_installed() -> None:
    """Raise OmeroNotInstalled where slidegate is installed without what talks to OMERO."""
    try:
        import omero.clients  # noqa: F401
    except ImportError as error:
        raise OmeroNotInstalled from error
