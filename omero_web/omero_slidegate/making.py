# SPDX-License-Identifier: AGPL-3.0-or-later
"""Making the OMERO.script *Run on cluster* for one workflow: typed inputs instead of a field for JSON.

OMERO asks a script what it takes each time somebody opens its form. A script that asked slidegate then would
have no form while slidegate is away; so what is asked for is written into the script, once.
"""

import argparse
import getpass
import os
import pprint
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

_ANSWER_S = 30.0
_MOST = 4096
_MARKS = re.compile("(?<=^# made: begin\n).*?(?=^# made: end$)", re.DOTALL | re.MULTILINE)
_WORDS = ("title", "description", "schema", "each", "outputs", "version")


class NotMade(Exception):  # noqa: N818  (a situation is named as what it is)
    """The script could not be made; the sentence says why and what to do."""


def offered(url: str, token: str, ca: str | None) -> list[dict[str, Any]]:
    """Ask slidegate what can be launched.

    Parameters
    ----------
    url
        Its address, as people type it.
    token
        That of anybody who may launch (``slidegate token make``).
    ca
        A file with the authority of its certificate; None for the authorities that everybody trusts.

    Raises
    ------
    NotMade
    """
    try:
        found = requests.get(
            f"{url}/v1/workflows",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_ANSWER_S,
            verify=ca or True,
            allow_redirects=False,
        )
        said = found.json()
    except requests.exceptions.SSLError as error:
        raise NotMade(f"The certificate of {url} is not trusted: name its authority with --ca.") from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise NotMade(f"{url} does not answer as slidegate does ({type(error).__name__}).") from error
    if not isinstance(said, dict) or not isinstance(said.get("items"), list):
        words = said.get("detail") if isinstance(said, dict) else None
        raise NotMade(f"slidegate did not say what can be launched: {words or f'HTTP {found.status_code}'}")
    return list(said["items"])


def choose(offers: Sequence[Mapping[str, Any]], workflow: str) -> dict[str, Any]:
    """Return a workflow, in its newest version, and the sites that have it with the same settings.

    Raises
    ------
    NotMade
        No site has it.
    """
    there = [offer for offer in offers if offer["name"] == workflow]
    if not there:
        known = ", ".join(sorted({str(offer["name"]) for offer in offers})) or "none"
        raise NotMade(f"slidegate offers no workflow {workflow!r}. It offers: {known}.")
    newest = max(there, key=lambda offer: [int(part) for part in re.findall("[0-9]+", offer["version"])])
    sites = [str(offer["site"]) for offer in there if offer["schema"] == newest["schema"]]
    return {
        "workflow": workflow,
        "sites": list(dict.fromkeys(sites)),
        **{word: newest[word] for word in _WORDS},
    }


def address(said: str) -> str:
    """Return an address without the slash at its end.

    Raises
    ------
    NotMade
        What is sent there could be read on the way: it is neither https nor this computer.
    """
    parts = urlsplit(said)
    host = parts.hostname or ""
    try:
        near = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        near = False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and near)):
        raise NotMade(f"{said} does not begin with https://: sessions would travel readably.")
    return said.rstrip("/")


def make(workflow: Mapping[str, Any], url: str, web: str, ca: str | None) -> str:
    """Return the text of the script.

    Parameters
    ----------
    workflow
        As `choose` returns it.
    url, web
        Where slidegate and OMERO.web are, as people type it.
    ca
        On the computer of OMERO.server: the file with the authority of slidegate's certificate.
    """
    template = files("omero_slidegate").joinpath("scripts/Run_on_Cluster.py").read_text("utf-8")
    made = {"url": url, "web": web, "ca": ca, **workflow}
    said = f"MADE: dict[str, Any] | None = {pprint.pformat(made, width=100, sort_dicts=False)}\n"
    return _MARKS.sub(lambda _: said, template, count=1)


def add_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``script`` to the words of the command."""
    script = verbs.add_parser(
        "script",
        help="make the OMERO.script Run on cluster",
        description="Make the OMERO.script Run on cluster for one workflow. Asks for a token of slidegate "
        "(slidegate token make NAME) to learn its settings; the script does not hold it.",
    )
    script.add_argument("--url", required=True, help="where slidegate is: https://slidegate.example.org")
    script.add_argument("--web", required=True, help="where OMERO.web is: https://omero.example.org")
    script.add_argument("--workflow", required=True, metavar="NAME")
    script.add_argument("--ca", metavar="FILE", help="the authority of slidegate's certificate")
    script.add_argument("--out", required=True, type=Path, metavar="FILE")
    script.add_argument("--fd", type=int, metavar="N", help="read the token from this open file; 0: input")
    script.set_defaults(call=_write)


def _write(asked: argparse.Namespace) -> int:
    try:
        url, web = address(asked.url), address(asked.web)
        ca = str(Path(asked.ca).absolute()) if asked.ca else None
        workflow = choose(offered(url, _token(asked.fd), ca), asked.workflow)
        asked.out.write_text(make(workflow, url, web, ca), encoding="utf-8")
    except (NotMade, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{asked.out}: {workflow['title']}, at {', '.join(workflow['sites'])}\n")
    return 0


def _token(fd: int | None) -> str:
    """Return a secret that no other process of the computer sees: typed, or from an open file."""
    if fd is None:
        return getpass.getpass("Token of slidegate: ").strip()
    return os.read(fd, _MOST).decode("ascii", "replace").strip()
