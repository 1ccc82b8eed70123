# SPDX-License-Identifier: BSD-3-Clause
"""A slidegate server, as Python sees it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Self

from slidegate.client.errors import ClientError, NotAServer, Problem, Refused, TookTooLong, Unreachable
from slidegate.client.values import (
    Entry,
    Estimate,
    Event,
    File,
    Folder,
    Launched,
    News,
    Run,
    Session,
    Task,
    Wish,
    Workflow,
)
from slidegate.client.wire import Wire, new_key

_POLL_FIRST = 0.3
_POLL_MOST = 5.0
_PAGE = 200
_MOST_FOLDERS = 10_000


class Client:
    """Asks a server for Runs, and watches them.

    Everything may be repeated. What is asked while the server is being started again is asked again for a
    while; a launch carries a key, so that it happens once.

    Parameters
    ----------
    server
        Its address, such as ``https://slidegate.example.org``.
    token
        What it knows you by: make one on the page *Account*, or let ``slidegate login`` do it.
    patience
        For how many seconds a server that does not answer is asked again.

    Raises
    ------
    NotSecret
        The address is that of another computer and does not begin with https.

    Examples
    --------
    >>> with Client("https://slidegate.example.org", token) as server:  # doctest: +SKIP
    ...     run = server.launch("nuclei", ["slides:day1/a.ome.tif"]).run
    ...     print(server.wait_for(run).state)
    """

    def __init__(self, server: str, token: str | None = None, patience: float = 15.0) -> None:
        self._wire = Wire(server, token, patience)

    @property
    def server(self) -> str:
        """Its address."""
        return self._wire.server

    def close(self) -> None:
        """Let go of all connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # what there is

    def session(self) -> Session:
        """Return who you are there, and what you may do."""
        return Session.told(self._wire.ask("GET", "/v1/session"))

    def workflows(self, site: str | None = None) -> list[Workflow]:
        """Return what can be run, at all sites or at one."""
        items = self._wire.ask("GET", "/v1/workflows")["items"]
        return [Workflow.told(item) for item in items if site in (None, item["site"])]

    def browse(self, at: str = "") -> Folder:
        """Return what lies in a folder, named ``shelf:folder/below``; without a name, the shelves."""
        found = self._answer(self._wire.ask("GET", "/v1/browse", query={"at": at}))
        folders = tuple(Entry.told(each) for each in found["folders"])
        images = tuple(Entry.told(each) for each in found["images"])
        return Folder(str(found["at"]), folders, images, bool(found["truncated"]))

    def images(self, at: str = "") -> Iterator[str]:
        """Yield the names of all images in a folder and below, for `launch`."""
        left = [at]
        for _ in range(_MOST_FOLDERS):
            if not left:
                return
            found = self.browse(left.pop())
            yield from (each.image for each in found.images if each.image is not None)
            left += [each.at for each in reversed(found.folders) if each.at is not None]
        raise Refused(f"{at} holds more than {_MOST_FOLDERS} folders.", "too-many-folders")

    # asking for Runs

    def estimate(
        self,
        workflow: str,
        images: Sequence[str],
        parameters: Mapping[str, Any] | None = None,
        site: str = "local",
    ) -> Estimate:
        """Return what a launch would take, as far as anybody can know."""
        body = {"workflow": workflow, "site": site, "images": [*images], "parameters": dict(parameters or {})}
        return Estimate.told(self._answer(self._wire.ask("POST", "/v1/estimates", body=body)))

    def launch(
        self,
        workflow: str,
        images: Sequence[str],
        parameters: Mapping[str, Any] | None = None,
        *,
        site: str = "local",
        version: str | None = None,
        again: bool = False,
        regions: bool = True,
        key: str | None = None,
        progress: Callable[[Wish], None] | None = None,
        seconds: float | None = None,
    ) -> Launched:
        """Ask for a Run, and wait until the server knows it: the images are read meanwhile.

        The same person, images, regions, workflow and parameters are the same Run, unless `again`.

        Parameters
        ----------
        images
            Their names there, such as ``slides:day1/a.ome.tif``; see `images`.
        regions
            Whether regions that people drew on the images are taken along, where the workflow takes any.
        key
            The same launch with the same key, however often, is one launch. Without one, each call has its
            own, which is kept while the server is asked again.
        progress
            Called while the images are read.
        seconds
            How long to wait at most.

        Raises
        ------
        Problem
            A parameter does not fit, or you may not.
        Refused
            An image cannot be read, or the site cannot be used.
        TookTooLong
        """
        body = {
            "workflow": workflow,
            "site": site,
            "images": [*images],
            "parameters": dict(parameters or {}),
            "again": again,
            **({"version": version} if version else {}),
            **({} if regions else {"regions": False}),
        }
        asked = self._wire.ask("POST", "/v1/launches", body=body, key=key or new_key())
        return Launched.told(self._answer(asked, progress, seconds))

    # looking

    def runs(
        self,
        *,
        mine: bool | None = None,
        person: str | None = None,
        state: str | None = None,
        workflow: str | None = None,
        image: str | None = None,
    ) -> Iterator[Run]:
        """Yield the Runs that you may see, newest first; each page is fetched when it is needed."""
        asked = {"mine": mine, "person": person, "state": state, "workflow": workflow, "image": image}
        yield from map(Run.told, self._pages("/v1/runs", "cursor", **asked))

    def run(self, run: str) -> Run:
        """Return a Run as it is known now."""
        return Run.told(self._wire.ask("GET", f"/v1/runs/{run}"))

    def tasks(self, run: str, state: str | None = None) -> Iterator[Task]:
        """Yield the images of a Run, in order; only those in a state, if one is named."""
        yield from map(Task.told, self._pages(f"/v1/runs/{run}/tasks", "after", state=state))

    def history(self, run: str) -> Iterator[Event]:
        """Yield what happened to a Run, oldest first."""
        yield from map(Event.told, self._pages(f"/v1/runs/{run}/events", "after"))

    def costs(self, run: str) -> Mapping[str, float]:
        """Return core hours, GPU hours, bytes moved and bytes held of a Run."""
        found: Mapping[str, float] = self._wire.ask("GET", f"/v1/runs/{run}/costs")
        return found

    def log(self, run: str, number: int) -> str:
        """Return the end of what the workflow wrote about an image."""
        return str(self._answer(self._wire.ask("GET", f"/v1/runs/{run}/tasks/{number}/log")).get("text", ""))

    # waiting

    def events(self, run: str | None = None) -> Iterator[News]:
        """Yield what the server says by itself, of one Run or of all that you see, as long as it is read.

        A stream that broke is opened again; the first that comes then is how things stand.
        """
        while True:
            with suppress(Unreachable):
                yield from self._wire.news({"run": run} if run else {"runs": True})
            time.sleep(_POLL_FIRST)

    def wait_for(
        self,
        run: str,
        seconds: float | None = None,
        changed: Callable[[Run], None] | None = None,
    ) -> Run:
        """Wait until a Run has ended, and return it.

        The server is asked whether something has changed, which costs it next to nothing.

        Parameters
        ----------
        changed
            Called with the Run whenever something of it has.

        Raises
        ------
        TookTooLong
            It has not ended within `seconds`; it goes on.
        """
        until = None if seconds is None else time.monotonic() + seconds
        pause = _POLL_FIRST
        tag = None
        while True:
            found = self._wire.answer(
                "GET", f"/v1/runs/{run}", headers={"If-None-Match": tag} if tag else None
            )
            if found.status_code != 304:
                tag, pause = found.headers.get("ETag"), _POLL_FIRST
                known = Run.told(found.json())
                if changed is not None:
                    changed(known)
                if known.ended:
                    return known
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise TookTooLong(f"Run {run[:8]} has not ended within {seconds:g} s; it goes on.")
            time.sleep(pause if left is None else min(pause, left))
            pause = min(_POLL_MOST, 1.5 * pause)

    # changing

    def cancel(self, run: str) -> None:
        """Let a Run be cancelled; it is when its state says so. What is finished stays."""
        self._wire.ask("POST", f"/v1/runs/{run}/cancel")

    def retry(self, run: str) -> None:
        """Try those images of a Run again that failed or were cancelled."""
        self._wire.ask("POST", f"/v1/runs/{run}/retry")

    def delete(self, run: str, results: bool = False) -> list[str]:
        """Delete a Run, and with `results` what it made; returns what was removed, in words."""
        removed = self._answer(self._wire.ask("DELETE", f"/v1/runs/{run}", query={"results": results}))
        return [str(words) for words in removed.get("removed", ())]

    # being told

    def add_webhook(self, url: str) -> tuple[int, str]:
        """Let the end of each of your Runs be told to an address; see `is_signed` for who receives it.

        Returns
        -------
        The webhook's number, and its secret, which is not shown again.
        """
        made = self._wire.ask("POST", "/v1/webhooks", body={"url": url}, once=True)
        return int(made["id"]), str(made["secret"])

    def remove_webhook(self, number: int) -> None:
        """Tell an address nothing any more."""
        self._wire.ask("DELETE", f"/v1/webhooks/{number}")

    # results

    def files(self, run: str, number: int) -> list[File]:
        """Return the files that were made of an image."""
        items = self._wire.ask("GET", f"/v1/runs/{run}/tasks/{number}/files")["items"]
        return [File.told(item) for item in items]

    def download(self, run: str, number: int, folder: str | os.PathLike[str]) -> list[Path]:
        """Fetch the files that were made of an image into a folder; a file that is there whole is kept.

        Returns
        -------
        Where they are.
        """
        there = []
        for file in self.files(run, number):
            path = Path(folder) / _harmless(file.name)
            there.append(path)
            if path.is_file() and path.stat().st_size == file.bytes:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            where = f"/v1/runs/{run}/tasks/{number}/files/{file.name}"
            with self._wire.octets(where) as pieces, part.open("wb") as out:
                for piece in pieces:
                    out.write(piece)
            part.replace(path)
        return there

    # inside

    def _pages(self, path: str, cursor: str, **query: object) -> Iterator[Mapping[str, Any]]:
        """Yield the items of a list, page after page."""
        at: object = None
        while True:
            page = self._wire.ask("GET", path, query={**query, cursor: at, "limit": _PAGE})
            yield from page["items"]
            at = page.get("next")
            if at is None:
                return

    def _answer(
        self,
        said: Mapping[str, Any],
        progress: Callable[[Wish], None] | None = None,
        seconds: float | None = None,
    ) -> Mapping[str, Any]:
        """Return what the server answered; where it first has to find out, wait until it has.

        Raises
        ------
        Refused, TookTooLong
        """
        if not ("id" in said and "kind" in said and said.get("state") in ("open", "granted", "refused")):
            return said
        wish = Wish.told(said)
        until = None if seconds is None else time.monotonic() + seconds
        pause = _POLL_FIRST / 3
        while wish.state == "open":
            if progress is not None:
                progress(wish)
            if until is not None and time.monotonic() > until:
                words = wish.trouble or "The server is busy"
                raise TookTooLong(f"{words.rstrip('.')}: no answer within {seconds:g} s.")
            time.sleep(pause)
            pause = min(1.0, 1.5 * pause)
            wish = Wish.told(self._wire.ask("GET", f"/v1/wishes/{wish.id}"))
        if wish.state == "refused":
            why = wish.problem or {}
            raise Refused(str(why.get("message", "It was refused.")), str(why.get("code", "refused")))
        return wish.answer or {}


def sign_in(server: str, person: str, password: str, name: str, days: int | None = 90) -> str:
    """Sign in with a password, and return a new token for programs; the session is ended again.

    Parameters
    ----------
    name
        What the token is called in the list of tokens.
    days
        After how many days it is over; None for never.

    Raises
    ------
    Problem
        The name or the password is wrong.
    """
    with Wire(server) as wire:
        said = wire.ask("POST", "/v1/session", body={"person": person, "password": password}, once=True)
        headers = {"X-CSRF-Token": str(said["csrf"])}
        try:
            asked = {"name": name, "days": days}
            made = wire.ask("POST", "/v1/tokens", body=asked, once=True, headers=headers)
        finally:
            with suppress(ClientError):
                wire.ask("DELETE", "/v1/session", once=True, headers=headers)
        return str(made["token"])


def _harmless(name: str) -> PurePosixPath:
    """Return a path below a folder; raise NotAServer for one that would lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
        raise NotAServer("The server names a file that cannot be.")
    return path


__all__ = ["Client", "Problem", "sign_in"]
