# SPDX-License-Identifier: BSD-3-Clause
"""``slidegate site``: where workflows can be run, and whether all is well there."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slidegate.domain.errors import BadRequest

if TYPE_CHECKING:
    from slidegate.settings import Settings
    from slidegate.sites.checking import Layer
    from slidegate.sites.registry import Site
    from slidegate.wiring import House

site = typer.Typer(no_args_is_help=True, help="Where it can be run.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the site is called here.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]


@site.command("add")
def add(
    name: Name,
    ssh: Annotated[
        str,
        typer.Option("--ssh", metavar="HOST", help="The login node: a name, an address, or an ssh alias."),
    ],
    user: Annotated[str | None, typer.Option(metavar="ACCOUNT", help="The account there.")] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="The port of its sshd.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The key for everybody who has none of their own there: see slidegate key create; - leaves "
            "it to ssh (agents, certificates). Without it, only people who are linked may use the site.",
        ),
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this instead of ~/.ssh/config.")
    ] = None,
    host_key: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help='Its host key, such as "ssh-ed25519 AAAA..."; may be repeated.'),
    ] = None,
    host_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with its host keys, one a line.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change a site that is there, or its host key.")
    ] = False,
) -> None:
    """Add a site behind ssh, and pin its host key: without one given, compare what is shown."""
    from slidegate.settings import Settings
    from slidegate.sites.keys import Keys
    from slidegate.sites.registry import SSH_ITSELF, Registry, Site, read_host_keys

    settings = Settings()
    registry = Registry(settings.home)
    config = None if ssh_config is None else str(ssh_config.absolute())
    made = Site(name, ssh, user, port, config, key)
    registry.check(made, replace)
    if key not in (None, SSH_ITSELF):
        Keys(settings.home).get(str(key))
    if key is not None:
        _check_account(settings, name, key, user)
    keys = [*(host_key or []), *(read_host_keys(host_key_file) if host_key_file else [])]
    registry.add(made, keys or [_compared(made)], replace)
    typer.echo(
        f"The site {name} is known now. slidegate site check {name} looks whether all is well.", err=True
    )


def _check_account(settings: "Settings", name: str, key: str, user: str | None) -> None:
    """Refuse a key for everybody that opens another account for people who are linked."""
    from slidegate.store import Store

    store = Store.open(settings.database)
    try:
        opened = store.people.account(name, key)
    finally:
        store.close()
    if opened not in (None, user):
        raise BadRequest(
            f"At {name} the key {key!r} opens the account {opened!r} for people who are linked. "
            f"Say --user {opened}, or take another key."
        )


def _compared(made: "Site") -> str:
    """Show the key that the host shows, and let a person compare it."""
    from slidegate.sites.keys import fingerprint
    from slidegate.sites.registry import shown_host_key

    if not sys.stdin.isatty():
        raise BadRequest(
            "Nobody is here to compare the host's key. Give it: --host-key or --host-key-file; the "
            "cluster's administrator finds it in /etc/ssh/ssh_host_ed25519_key.pub"
        )
    shown = shown_host_key(made)
    typer.echo(f"{made.ssh} shows the host key  {shown.split()[0]}  {fingerprint(shown)}", err=True)
    typer.echo("Compare it with what the cluster's administrator has published.", err=True)
    if not typer.confirm("Is it the same?", err=True):
        raise BadRequest("Nothing was added: a host with another key is another host.")
    return shown


@site.command("list")
def list_sites() -> None:
    """List the sites, and when each was last heard."""
    from slidegate.cli.view import ago, table
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    rows = []
    with open_house(Settings()) as house:
        for gate in house.tools.gates:
            found = house.store.sites.row(gate)
            name, _, key = gate.partition("/")
            where = house.registry.get(name).ssh if key else "this computer"
            heard = ago(found["heard_at"]) if found["heard_at"] else "-"
            rows.append((name, where, key or "-", heard, found["trouble"] or ""))
        unused = set(house.registry.names()) - {row[0] for row in rows}
        rows += [(name, "", "nobody's", "-", "") for name in sorted(unused)]
    table("", ["site", "host", "key", "last heard", "trouble"], rows)


@site.command("show")
def show(name: Name) -> None:
    """Show what is known of a site: how it is reached, and the fingerprints of its host keys."""
    from slidegate.cli.view import table
    from slidegate.settings import Settings
    from slidegate.sites.keys import fingerprint
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        found = house.registry.get(name)
        pinned = house.registry.host_keys(name)
        links = [each for each in house.store.people.links() if each.site == name]
    rows = [
        ("host", found.ssh + (f", port {found.port}" if found.port else "")),
        ("account", found.user or "as ssh says"),
        ("ssh configuration", found.ssh_config or "~/.ssh/config"),
        (
            "key for everybody",
            {None: "none: only people who are linked", "-": "as ssh says"}.get(found.key, found.key),
        ),
        *(("host key", f"{key.split()[0]}  {fingerprint(key)}") for key in pinned),
        *(
            ("person", f"{link.person} as {link.account}, by the key {link.key}, {link.days()}")
            for link in links
        ),
    ]
    table("", ["", name], rows)


@site.command("remove")
def remove(name: Name) -> None:
    """Forget a site, once no Run there is unfinished. What is at the site stays there."""
    from slidegate.settings import Settings
    from slidegate.wiring import open_house

    with open_house(Settings()) as house:
        house.remove_site(name)
    typer.echo(f"removed: the site {name}, as far as this computer knows it")


@site.command("kit")
def kit(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    workflow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Take this along; may be repeated; all else.")
    ] = None,
) -> None:
    """Write what to carry to a cluster: the gate, workflows with their wheels, and how to install them."""
    from slidegate.settings import Settings
    from slidegate.sites.kit import write_kit

    names = write_kit(folder.absolute(), Settings().workflows_dir, workflow or [])
    typer.echo(
        f"{folder} holds the gate and {', '.join(names) or 'no workflow'}; its README.md says how to go on."
    )


@site.command("check")
def check_site(
    name: Annotated[str, typer.Argument(metavar="SITE", help="Its name; local is this computer.")] = "local",
    json: Json = False,
) -> None:
    """Check that a site answers and keeps what the gate promises; each fault in words."""
    from slidegate.cli.view import err
    from slidegate.settings import Settings
    from slidegate.sites.checking import look_at
    from slidegate.sites.registry import LOCAL, SSH_ITSELF
    from slidegate.wiring import open_house

    settings = Settings()
    with open_house(settings, lambda words: err.print(f"{words} ...")) as house:
        gate = house.gate_at(name)
        key = gate.partition("/")[2]
        layers = []
        named = None if key in ("", SSH_ITSELF) else key
        for layer in chain(look_at(house.tools.gate(gate), named, name != LOCAL), _ending(house, name)):
            layers.append(layer)
            if not json:
                _print_layer(layer)
    good = all(layer.code is None for layer in layers)
    if json:
        _print_json(name, gate, layers)
    elif name == LOCAL and good:
        command = settings.local_program("ctl", "selftest", "--quick")
        sys.stdout.flush()
        sys.exit(subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode)
    sys.exit(0 if good else 1)


def _ending(house: "House", name: str) -> Iterator["Layer"]:
    """Tell of people whose account at a site ends soon."""
    from slidegate.sites.checking import Layer

    for link, words in house.store.people.ending(house.tools.clock()):
        if link.site == name:
            yield Layer("people", words)


def _print_layer(layer: "Layer") -> None:
    from rich.text import Text

    from slidegate.cli.view import out

    sign = Text("good  ", style="green") if layer.code is None else Text("BAD   ", style="red")
    code = "" if layer.code is None else f"  [{layer.code}]"
    out.print(sign + Text(f"{layer.layer}: ", style="bold") + Text(f"{layer.words}{code}"), soft_wrap=True)


def _print_json(name: str, gate: str, layers: list["Layer"]) -> None:
    from dataclasses import asdict
    from json import dumps

    good = all(layer.code is None for layer in layers)
    value = {
        "slidegate": 1,
        "site": name,
        "gate": gate,
        "good": good,
        "layers": [asdict(one) for one in layers],
    }
    print(dumps(value, sort_keys=True))
