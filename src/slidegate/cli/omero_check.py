# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate omero check``: whether all is well between slidegate and an OMERO; each fault in words."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from slidegate.sources.omero.connection import Connection

_NEEDED = (5, 6)
_SHORT_IDLE_S = 300
_LEVELS = {
    "rw----": "private: members see their own images only",
    "rwr---": "read-only: results can be written beside one's own images only",
    "rwra--": "read-annotate: results can be written beside all images",
    "rwrw--": "read-write: results can be written beside all images",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What was looked at, and how it is.

    Attributes
    ----------
    what
        ``login``, ``server``, ``certificate``, ``versions``, ``privileges``, ``groups`` or ``sessions``.
    state
        ``good``, ``warning`` or ``bad``.
    words
        How it is.
    remedy
        What to do; None where nothing has to be done.
    code
        Of the error, where there was one.
    """

    what: str
    state: str
    words: str
    remedy: str | None = None
    code: str | None = None


def check(
    account: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Look as the restricted administrator that acts for people, instead of by your own login: "
            'JSON with "host", "name" and "password", and perhaps "port" and "ca"; mode 0600.',
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")] = False,
) -> None:
    """Check that OMERO answers and lets slidegate do what it has to, and no more."""
    lines = []
    for line in _looks(account):
        lines.append(line)
        if not json:
            _print(line)
    good = all(line.state != "bad" for line in lines)
    if json:
        from json import dumps

        print(dumps({"slidegate": 1, "good": good, "lines": [asdict(one) for one in lines]}, sort_keys=True))
    sys.exit(0 if good else 1)


def _looks(account: Path | None) -> Iterator[Line]:
    """Look at one thing after the other, as far as one gets."""
    from slidegate.domain.errors import SlidegateError
    from slidegate.wiring.omero import check_installed

    try:
        check_installed()
        connection, name = _connected(account)
    except SlidegateError as error:
        yield from _not_connected(error, account)
        return
    with connection:
        server = connection.server
        yield Line("server", "good", f"{server.host}, port {server.port}, answers.")
        by = "an authority that this computer trusts" if server.ca is None else f"what {server.ca} holds"
        yield Line("certificate", "good", f"It is for {server.host} and signed by {by}.")
        yield Line("login", "good", f"{name} is logged in.")
        for look in (_versions, _privileges, _groups, _sessions):
            try:
                yield look(connection, account is not None)
            except SlidegateError as error:
                yield Line(look.__name__[1:], "bad", error.message, "Look again; ask OMERO's administrator.")


def _connected(account: Path | None) -> tuple["Connection", str]:
    """Connect as the account that acts for people, or join the person's own session."""
    from slidegate.sources.omero.acting import read_account
    from slidegate.sources.omero.connection import Connection
    from slidegate.wiring.omero import Logins

    if account is None:
        login = Logins().login()
        return login.join(), login.person
    read = read_account(account)
    return Connection.login(read.server, read.name, read.password), read.name


def _not_connected(error: Any, account: Path | None) -> Iterator[Line]:
    """Say how far one got."""
    again = (
        "slidegate omero login HOST"
        if account is None
        else f"Correct name and password in {account}; is the account active?"
    )
    where, remedy = {
        "omero-not-installed": ("login", "pip install slidegate[omero]"),
        "omero-unreachable": (
            "server",
            "Compare host and port (4064) with OMERO's administrator; is a firewall between?",
        ),
        "omero-certificate": (
            "certificate",
            'Name the authority that signed it: --ca of slidegate omero login, or "ca" of the file. If it '
            "has run out or is for another name, OMERO's administrator renews it (omero certificates).",
        ),
        "omero-login-refused": ("login", again),
        "omero-session-gone": ("login", again),
        "omero-not-logged-in": (
            "login",
            "--account FILE looks as the account that acts for people.",
        ),
        "omero-secret-open": ("login", "Run chmod 600 on the file, and change the password that it holds."),
        "omero-secret-unreadable": ("login", "Write the file again."),
    }.get(error.code, ("server", "Look again in a minute; ask OMERO's administrator."))
    if where == "certificate":
        yield Line("server", "good", "It answers.")
    yield Line(where, "bad", error.message, remedy, error.code)


def _versions(connection: "Connection", _acts: bool) -> Line:
    from importlib.metadata import version

    from slidegate.sources.omero.connection import speaking

    with speaking():
        found = str(connection.services("Config").getVersion())
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    words = f"OMERO {found}, asked by omero-py {version('omero-py')}."
    if numbers < _NEEDED:
        needed = ".".join(map(str, _NEEDED))
        return Line("versions", "bad", words, f"slidegate needs OMERO {needed} or newer: upgrade the server.")
    if numbers > _NEEDED:
        return Line("versions", "warning", words, "slidegate was not tried with it: try one image first.")
    return Line("versions", "good", words)


def _privileges(connection: "Connection", acts: bool) -> Line:
    """Look whether the account may act for people, and do nothing else."""
    from slidegate.sources.omero.connection import speaking

    with speaking():
        found = connection.services("Admin").getCurrentAdminPrivileges()
    names = sorted(str(one.getValue().val) for one in found)
    if not acts:
        if names:
            return Line(
                "privileges",
                "warning",
                f"You are an administrator: slidegate can do in your name {', '.join(names)}.",
                "Log in with an account for every day.",
            )
        return Line("privileges", "good", "You are no administrator: slidegate can do what you can.")
    if "Sudo" not in names:
        return Line(
            "privileges",
            "bad",
            "The account may not act for people.",
            "In OMERO.web, Admin: make it a restricted administrator with the privilege Sudo alone.",
            "omero-not-acting",
        )
    more = [name for name in names if name != "Sudo"]
    if more:
        return Line(
            "privileges",
            "warning",
            f"The account may do more than it needs: {', '.join(more)}.",
            "In OMERO.web, Admin: take all privileges from it but Sudo.",
        )
    return Line("privileges", "good", "The account may act for people (Sudo), and nothing else.")


def _groups(connection: "Connection", acts: bool) -> Line:
    """Look where the person, or the account, is a member."""
    from slidegate.sources.omero.connection import speaking

    with speaking():
        admin = connection.services("Admin")
        ids = admin.getMemberOfGroupIds(admin.getExperimenter(admin.getEventContext().userId))
        groups = [admin.getGroup(one) for one in ids]
        own = [group for group in groups if group.name.val not in ("user", "system", "guest")]
        said = [f"{group.name.val} ({_level(str(group.details.permissions))})" for group in own]
    if acts:
        return Line("groups", "good", "It acts in the group that the images are in, with a person's rights.")
    if not own:
        return Line("groups", "bad", "You are in no group with images.", "Ask OMERO's administrator.")
    return Line("groups", "good", f"You are in {'; '.join(said)}.")


def _level(permissions: str) -> str:
    return _LEVELS.get(permissions, permissions)


def _sessions(connection: "Connection", acts: bool) -> Line:
    """Look how long sessions live."""
    from slidegate.cli.omero_login import span
    from slidegate.sources.omero.acting import MINUTES
    from slidegate.sources.omero.connection import speaking

    with speaking():
        session = connection.services("Session").getSession(connection.key)
    idle, live = session.timeToIdle.val / 1000, session.timeToLive.val / 1000
    if acts:
        words = f"A session of a person ends with what it is for, and after {MINUTES} minutes in any case."
        return Line("sessions", "good", words)
    words = f"Your login ends when nothing is asked for {span(idle)}" if idle else "Your login may be idle"
    words += f", and {span(live)} after it began." if live else "."
    if 0 < idle < _SHORT_IDLE_S:
        return Line(
            "sessions",
            "warning",
            words,
            "A longer run has to be taken up again by its command, after slidegate omero login.",
        )
    return Line("sessions", "good", words)


def _print(line: Line) -> None:
    from rich.text import Text

    from slidegate.cli.view import out

    sign, style = {"good": ("good  ", "green"), "warning": ("WARN  ", "yellow"), "bad": ("BAD   ", "red")}[
        line.state
    ]
    code = f"  [{line.code}]" if line.code else ""
    words = Text(sign, style=style) + Text(f"{line.what}: ", style="bold") + Text(line.words + code)
    out.print(words, soft_wrap=True)
    if line.remedy:
        out.print(Text(f"      {line.remedy}"), soft_wrap=True)
