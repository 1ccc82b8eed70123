# SPDX-License-Identifier: BSD-3-Clause
"""Looking at a site layer after layer, in words: what is well, and at the first fault what is wrong.

One channel is opened as always. How it failed says which layer was reached, so what is looked at is what is
used, also through hosts on the way.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from slidegate.domain.errors import SlidegateError
from slidegate.sites import errors, keys
from slidegate.sites.gate import Gate, Hello

_CLOCKS_SECONDS = 60.0
_ROUNDS = 5
_TERABYTE = 10**12
_KEYS = (keys.UnknownKey, keys.KeyRevoked, keys.UnsafeKey, keys.KeyBroken)
_GATE = (errors.GateMissing, errors.GateRefused, errors.GateSilent, errors.Refused)

# What each layer is called, what is said of it when it is well, and the errors that mean that it is not;
# any other error is one of the first.
_LAYERS: tuple[tuple[str, str, tuple[type[SlidegateError], ...]], ...] = (
    ("ssh", "ssh can be run.", ()),
    ("own key", "The key on this computer is there, and readable by this account only.", _KEYS),
    ("channels", "A channel to the site is free.", (errors.ChannelsTaken,)),
    ("name", "The host's name has an address.", (errors.HostUnknown,)),
    ("port", "The host answers.", (errors.HostUnreachable, errors.HostBusy)),
    ("host key", "The host key is the pinned one.", (errors.HostKeyChanged, errors.HostKeyUnknown)),
    ("key", "The host accepts the key.", (errors.KeyRefused,)),
    ("noise", "Nothing is printed before the gate.", (errors.LinkNoise,)),
    ("gate", "The gate answers.", _GATE),
    ("protocol", "It speaks the same protocol.", (errors.BadAnswer,)),
    ("audit", "Its record continues what was seen of it before.", (errors.AuditBroken,)),
)
_AT_THE_GATE = [name for name, _words, _kinds in _LAYERS].index("gate")


@dataclass(frozen=True, slots=True)
class Layer:
    """What was looked at, in a sentence; `code` names what is wrong, None when all is well."""

    layer: str
    words: str
    code: str | None = None


def look_at(
    gate: Gate, key: str | None, over_ssh: bool = True, clock: Callable[[], float] = time.time
) -> Iterator[Layer]:
    """Look at one layer after the other; nothing is changed at the site. Ends at the first that is broken.

    Parameters
    ----------
    gate
        The site; closed again by the caller.
    key
        What the gate ought to call the key; None when it may call it as it likes.
    over_ssh
        False for the gate on this computer, which has fewer layers.
    """
    layers = _LAYERS if over_ssh else _LAYERS[_AT_THE_GATE:]
    began = clock()
    try:
        hello = gate.hello()
    except SlidegateError as error:
        reached = [number for number, (_name, _words, kinds) in enumerate(layers) if isinstance(error, kinds)]
        number = reached[0] if reached else 0
        for name, words, _kinds in layers[:number]:
            yield Layer(name, words)
        yield Layer(layers[number][0], error.message, error.code)
        return
    ended = clock()
    for name, words, _kinds in layers:
        yield Layer(name, words)
    yield _key_name(hello, key)
    yield _workflows(hello)
    yield _limits(hello)
    try:
        yield _clocks(gate, began, ended)
        yield _round_trip(gate)
    except SlidegateError as error:
        yield Layer("gate", error.message, error.code)


def _key_name(hello: Hello, key: str | None) -> Layer:
    if key in (None, hello.key):
        return Layer(
            "key name", f"The gate of {hello.site}, version {hello.gate}, calls the key {hello.key}."
        )
    return Layer(
        "key name",
        f"The gate calls the key {hello.key!r}, and here it is {key!r}: Runs of two keys would mix. "
        f"Have it authorised anew there: gatectl authorize KEY.pub --key {key}",
        "other-key-name",
    )


def _workflows(hello: Hello) -> Layer:
    if hello.releases:
        names = ", ".join(sorted(f"{each.name} {each.version}" for each in hello.releases))
        return Layer("workflows", f"The key may start: {names}.")
    return Layer(
        "workflows",
        "The key may start nothing. There: gatectl workflow install FOLDER, "
        f"and gatectl key add {hello.key} --workflow NAME",
        "no-workflows",
    )


def _limits(hello: Hello) -> Layer:
    values = ", ".join(_limit(name, value) for name, value in sorted(hello.limits.items()))
    return Layer("limits", f"Limits: {values}.")


def _limit(name: str, value: int) -> str:
    if name == "bytes":
        return f"{value / 1e12:,.1f} TB kept" if value >= _TERABYTE else f"{value / 1e9:,.1f} GB kept"
    return f"{name.replace('_', ' ')} {value:,}"


def _clocks(gate: Gate, began: float, ended: float) -> Layer:
    """Compare the clocks by when the gate wrote down that it was greeted."""
    last: dict[str, Any] = {}
    since = 0 if gate.anchor is None else gate.anchor
    for record in gate.audit(since)["records"]:
        if record["verb"] == "hello":
            last = record
    apart = float(last["at"]) - (began + ended) / 2 if last else 0.0
    if abs(apart) <= _CLOCKS_SECONDS + (ended - began):
        return Layer("clock", f"The clocks agree within {max(1.0, abs(apart)):.0f} s.")
    side = "ahead of" if apart > 0 else "behind"
    return Layer(
        "clock",
        f"The site's clock is {abs(apart):.0f} s {side} this one: days of keys and times in records are off. "
        "Set both by NTP.",
        "clocks-differ",
    )


def _round_trip(gate: Gate) -> Layer:
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        list(gate.stream([({"verb": "have", "blobs": []}, b"")]))
        took.append(time.perf_counter() - began)
    return Layer("round trip", f"A question and its answer take {1000 * median(took):.0f} ms.")
