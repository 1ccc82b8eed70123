# SPDX-License-Identifier: GPL-2.0-or-later
"""How people want images shown, as rows: RenderingDef and what belongs to it, one per person and Pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pocket_omero.errors import Invalid
from pocket_omero.images.base import Channel, ImageInfo, Reader
from pocket_omero.images.rendering import FAMILIES, MODELS, ChannelSettings, Settings, defaults, measure
from pocket_omero.images.rows import info_of, type_range, word

if TYPE_CHECKING:
    from pocket_omero.images.store import Images
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


def _made_here(state: State, pixels: Row, reader: Reader, *, note: bool) -> Settings:
    """Default settings.

    Windows are what the file says, else what the channels' rows say, else what is in the image.

    Parameters
    ----------
    state, pixels, reader
    note : bool
        Whether to note smallest and largest values with the channels, so that they are measured once only
        (not for images that change).
    """
    channels = state.many(pixels, "channels")
    known = [_noted(row, reader.info) for row in channels]
    measured = [ends for ends in known if ends is not None]
    if len(measured) != reader.info.shape[1]:
        measured = measure(reader)
        if note:
            with state.change():
                for row, ends in zip(channels, measured, strict=False):
                    if row["statsInfo"] is not None:
                        state.set(row["statsInfo"], globalMin=ends[0], globalMax=ends[1])
    return defaults(_joined(reader.info, [_said(row) for row in channels]), measured)


def _noted(channel: Row, info: ImageInfo) -> tuple[float, float] | None:
    """Smallest and largest value as noted with a channel; all that the type can hold says nothing."""
    stats = channel["statsInfo"]
    if stats is None or stats["globalMin"] is None or stats["globalMax"] is None:
        return None
    ends = (stats["globalMin"], stats["globalMax"])
    return None if ends == type_range(info.dtype) else ends


def _said(channel: Row) -> Channel:
    """Colour and wavelength of a channel: people can change them."""
    color = None
    if None not in (channel["red"], channel["green"], channel["blue"]):
        alpha = 255 if channel["alpha"] is None else channel["alpha"]
        color = (channel["red"], channel["green"], channel["blue"], alpha)
    logical = channel["logicalChannel"]
    return Channel(color=color, emission=logical["emissionWave"] if logical is not None else None)


def _joined(info: ImageInfo, said: list[Channel]) -> ImageInfo:
    """What rows say of channels goes before what the file says."""
    if len(said) != info.shape[1]:
        return info
    old = info.channels if len(info.channels) == len(said) else (Channel(),) * len(said)
    joined = [
        replace(b, color=a.color or b.color, emission=a.emission or b.emission)
        for a, b in zip(said, old, strict=True)
    ]
    return replace(info, channels=tuple(joined))


def usual(state: State, images: Images, pixels: Row) -> Settings:
    """Default settings of an image.

    Raises
    ------
    ImageError
        when it cannot be read.
    """
    reader = images.open(pixels.id, info_of(pixels))
    return _made_here(state, pixels, reader, note=images.place(pixels.id) is not None)
