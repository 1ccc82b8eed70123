# SPDX-License-Identifier: BSD-3-Clause
"""What the routes that read results answer with."""

from pydantic import BaseModel, Field


class File(BaseModel):
    """One file of a result."""

    name: str = Field(examples=["nuclei.parquet"])
    bytes: int
    type: str = Field(description="Its media type.", examples=["application/vnd.apache.parquet"])
    role: str | None = Field(description="The type of the output that it belongs to, such as `report`.")
    sha256: str


class Files(BaseModel):
    """The files of a result."""

    items: list[File]


class Size(BaseModel):
    """The size of a level, in its pixels."""

    height: int
    width: int


class Channel(BaseModel):
    """How bright a channel is: counts between which it is well seen, and a histogram of a coarse level."""

    name: str
    low: int
    high: int
    smallest: int
    largest: int
    histogram: list[int] = Field(description="Pixels in equal bins from `smallest` to `largest`.")


class LabelLevels(BaseModel):
    """The levels of the label image."""

    levels: list[Size]
    version: str


class Picture(BaseModel):
    """What an image is."""

    name: str
    shape: list[int] = Field(description="Channels, height, width.", examples=[[3, 10240, 10240]])
    dtype: str = Field(examples=["uint16"])
    channels: list[Channel]
    pixel_size_um: float | None = Field(description="Micrometres per pixel.")
    levels: list[Size] = Field(description="Full resolution first; each level halves the one before.")
    tile: int = Field(description="The side of a tile in pixels.")
    version: str = Field(description="Give it as `v` with tiles, so that they are kept by the browser.")
    labels: LabelLevels | None
    labels_problem: str | None = Field(description="Why there are no outlines, in words.")


class Column(BaseModel):
    """One column of numbers."""

    name: str = Field(examples=["area_um2"])
    unit: str = Field(examples=["um2"])
    about: str
    dtype: str = Field(description="float32, int32 or uint32, little-endian.")


class Table(BaseModel):
    """The table of objects."""

    rows: int
    columns: list[Column]
    version: str
    file: str
