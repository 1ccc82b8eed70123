# SPDX-License-Identifier: GPL-2.0-or-later
"""How people want images shown, as rows: RenderingDef and what belongs to it, one per person and Pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pocket_omero.errors import Invalid
from pocket_omero.images.base import Channel, ImageInfo, Reader
from pocket_omero.images.rendering import FAMILIES, MODELS, ChannelSettings, Settings, defaults, measure
from pocket_omero.images.rows import type_range, word

if TYPE_CHECKING:
    from pocket_omero.state import Row, State

_REVERSE = "ReverseIntensityContext"
_WHOLE = {"cdStart": 0, "cdEnd": 255, "bitResolution": 255}


def find(state: State, pixels: Row, *people: int) -> Row | None:
    """The settings of the first of these people (by id) who has any."""
    settings = state.many(pixels, "settings")
    return next((row for person in people for row in settings if row.owner == person), None)


def fallback(state: State, pixels: Row, person: int) -> Row | None:
    """The settings with which a person sees an image: their own, else those of its owner."""
    return find(state, pixels, person, pixels.owner)


def read(state: State, row: Row) -> Settings:
    """What a RenderingDef says.

    Raises
    ------
    Invalid
        when it says less than is needed (clients can save what they like).
    """
    channels = []
    for binding in state.many(row, "waveRendering"):
        family = binding["family"]["value"] if binding["family"] else "linear"
        low, high = binding["inputStart"] or 0.0, binding["inputEnd"] or 0.0
        contexts = state.many(binding, "spatialDomainEnhancement")
        channels.append(
            ChannelSettings(
                low=low,
                high=high if high > low else low + 1,
                color=(
                    binding["red"] or 0,
                    binding["green"] or 0,
                    binding["blue"] or 0,
                    255 if binding["alpha"] is None else binding["alpha"],
                ),
                active=bool(binding["active"]),
                family=family if family in FAMILIES else "linear",
                coefficient=binding["coefficient"] or 1.0,
                reverse=any(
                    c.kind == "ReverseIntensityContext" and c["reverse"] is not False for c in contexts
                ),
                noise_reduction=bool(binding["noiseReduction"]),
            )
        )
    if row["pixels"] is None or len(channels) != row["pixels"]["sizeC"]:
        raise Invalid(f"the rendering settings {row.id} do not have one part per channel")
    model = row["model"]["value"] if row["model"] else "rgb"
    return Settings(
        model if model in MODELS else "rgb", row["defaultZ"] or 0, row["defaultT"] or 0, tuple(channels)
    )


def write(state: State, pixels: Row, person: Row, settings: Settings, event: Row) -> Row:
    """Keep settings as those of a person, in place of what they had. A repeat is safe."""
    mine: dict[str, Any] = {"owner": person, "group": pixels["details.group"], "event": event}
    with state.change():
        row = find(state, pixels, person.id)
        values = {
            "model": word(state, "RenderingModel", settings.model),
            "defaultZ": settings.z,
            "defaultT": settings.t,
        }
        if row is None:
            quantum = state.new("QuantumDef", **_WHOLE, **mine)
            row = state.new("RenderingDef", pixels=pixels, quantization=quantum, **values, **mine)
        else:
            state.set(row, **values, **{"details.updateEvent": event})
        bindings = state.many(row, "waveRendering")
        while len(bindings) < len(settings.channels):
            bindings.append(state.new("ChannelBinding", renderingDef=row, **mine))
        state.order(row, "waveRendering", bindings)
        for binding, channel in zip(bindings, settings.channels, strict=False):
            _write_channel(state, binding, channel, mine)
    return row


def _write_channel(state: State, binding: Row, channel: ChannelSettings, mine: dict[str, Any]) -> None:
    red, green, blue, alpha = channel.color
    state.set(
        binding,
        family=word(state, "Family", channel.family),
        coefficient=channel.coefficient,
        inputStart=channel.low,
        inputEnd=channel.high,
        active=channel.active,
        noiseReduction=channel.noise_reduction,
        red=red,
        green=green,
        blue=blue,
        alpha=alpha,
    )
    contexts = state.many(binding, "spatialDomainEnhancement")
    reversing = [row for row in contexts if row.kind == _REVERSE]
    if channel.reverse and not reversing:
        state.new(_REVERSE, channelBinding=binding, reverse=True, **mine)
    for row in reversing:
        if not channel.reverse:
            state.delete(row)


def made_here(state: State, pixels: Row, reader: Reader) -> Settings:
    """Default settings; the smallest and largest values found on the way are noted with the channels."""
    measured = measure(reader)
    said: list[Channel] = []
    unknown = type_range(reader.info.dtype)
    with state.change():
        for row, ends in zip(state.many(pixels, "channels"), measured, strict=False):
            stats = row["statsInfo"]
            if stats is not None and (stats["globalMin"], stats["globalMax"]) == unknown:
                state.set(stats, globalMin=ends[0], globalMax=ends[1])
            color = None
            if None not in (row["red"], row["green"], row["blue"]):
                color = (row["red"], row["green"], row["blue"], 255 if row["alpha"] is None else row["alpha"])
            logical = row["logicalChannel"]
            emission = logical["emissionWave"] if logical is not None else None
            said.append(Channel(color=color, emission=emission))
    return defaults(_with(reader.info, said), measured)


def _with(info: ImageInfo, said: list[Channel]) -> ImageInfo:
    """What rows say of channels (people can change them) goes before what the file says."""
    old = info.channels if len(info.channels) == len(said) else (Channel(),) * len(said)
    joined = [
        replace(b, color=a.color or b.color, emission=a.emission or b.emission)
        for a, b in zip(said, old, strict=True)
    ]
    return replace(info, channels=tuple(joined))
