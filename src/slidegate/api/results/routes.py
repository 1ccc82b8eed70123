# SPDX-License-Identifier: BSD-3-Clause
"""The routes below ``/v1/runs/{run}`` that read results."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from slidegate_analysis.images import Image, Labels

from slidegate.api.asking import accepted
from slidegate.api.problems import UnknownTask
from slidegate.api.replies import ACCEPTED, problems
from slidegate.api.results import models, packing
from slidegate.api.results.archive import zipped
from slidegate.api.results.errors import (
    NoLabels,
    NoResultYet,
    NoTable,
    PictureDamaged,
    PictureNotAtHand,
    ResultsProblem,
)
from slidegate.api.results.folder import Result, Results, blocks
from slidegate.api.results.pictures import TILE, Pictures, image_tile, label_tile
from slidegate.api.results.tables import columns_of, read_column
from slidegate.cache import Cache
from slidegate.domain.errors import UnknownRun
from slidegate.domain.run import task_id
from slidegate.domain.values import RunId
from slidegate.store import Store

ACTION = "results.see"
Guard = Callable[[str], Callable[..., Any]]

_RUN = Path(description="The run.", pattern="^[0-9a-f]{1,64}$", examples=["3d789203a1b2"])
_NUMBER = Path(description="The image's number in the run, from 1.", ge=1, le=10**9, examples=[1])
_PLACE = Path(ge=0, le=10**6)
Run = Annotated[str, _RUN]
Number = Annotated[int, _NUMBER]
Place = Annotated[int, _PLACE]
Version = Annotated[str, Query(max_length=64, description="The version that `picture` or `table` named.")]

Answers = dict[int | str, dict[str, Any]]
_OCTETS: Answers = {
    200: {"content": {"application/octet-stream": {}}, "description": "Numbers, little-endian."}
}
_ZIP: Answers = {200: {"content": {"application/zip": {}}, "description": "The zip file."}}
_FILE: Answers = {200: {"content": {"application/octet-stream": {}}, "description": "The file."}}
_RESULT = ("unknown-task", "no-result-yet", "result-gone", "result-changed")
_PICTURE = ("unknown-task", "no-result-yet", "picture-not-at-hand", "picture-damaged")
_LABELS = (*_RESULT, "no-labels", "picture-damaged")
_TABLE = (*_RESULT, "no-table", "table-unusable")
_SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"


class At:
    """Which tile: its level, 0 the finest, and its row and column there; and which version was named."""

    def __init__(self, level: Place, tile_row: Place, column: Place, v: Version = "") -> None:
        self.index = (level, tile_row, column)
        self._version = v

    def kept(self, digest: str) -> packing.Kept:
        """Return what names this tile of something that has a digest."""
        return packing.Kept("-".join([digest, *map(str, self.index)]), self._version == _short(digest))


class Reading:
    """What the routes share: the store, the cache, and what is open."""

    def __init__(self, store: Store, cache: Cache | None, clock: Callable[[], float]) -> None:
        self.store = store
        self.cache = cache
        self.clock = clock
        self.results = Results(cache)
        self.pictures = Pictures()

    def row(self, run: str, number: int) -> Mapping[str, Any]:
        """Return a Task's row."""
        try:
            return self.store.runs.task(task_id(RunId(run), number))
        except UnknownRun as error:
            raise UnknownTask from error

    def result(self, run: str, number: int) -> Result:
        """Return the published result of a Task."""
        return self.results.of(self.row(run, number))

    def image(self, row: Mapping[str, Any]) -> Image:
        """Return the image of a Task, which must be at hand."""
        digest = str(row["input"] or "")
        folder = self.cache.tree(digest) if self.cache else None
        if folder is None:
            self.pictures.forget(digest)
            raise PictureNotAtHand
        return self.pictures.image(folder, digest)

    def labels(self, result: Result) -> Labels:
        """Return the label image of a result."""
        path = result.path_of("labels")
        if path is None or f"{path}/zarr.json" not in result.entries:
            raise NoLabels
        check = functools.partial(self.results.check, result, path)
        return self.pictures.labels(result.where / path, result.tree, check)

    def table(self, result: Result) -> str:
        """Return the name of the table of a result."""
        name = result.path_of("table/objects")
        if name is None or name not in result.entries:
            raise NoTable
        return name


def make_router(guard: Guard, store: Store, cache: Cache | None, clock: Callable[[], float]) -> APIRouter:
    """Make the routes that read results.

    Parameters
    ----------
    guard
        Gives, for the name of an action, a dependency that answers with who asks (``person``), or raises
        when they may not do that with the Run in the path.
    store, cache
        Where results and pictures are found; the api reads no other place.
    clock
        Seconds since 1970.
    """
    reading = Reading(store, cache, clock)
    router = APIRouter(prefix="/v1/runs/{run}", tags=["results"])
    may = guard(ACTION)
    _add_files(router, reading, may)
    _add_archives(router, reading, may)
    _add_pictures(router, reading, may)
    _add_tables(router, reading, may)
    return router


def _add_files(router: APIRouter, reading: Reading, may: Callable[..., Any]) -> None:
    only = [Depends(may)]

    @router.get("/tasks/{number}/files", response_model=models.Files, dependencies=only,
                responses=problems(*_RESULT))  # fmt: skip
    def list_files(run: Run, number: Number) -> models.Files:
        """List the files of one image's results, as they were published."""
        result = reading.result(run, number)
        items = [
            models.File(name=one.name, bytes=one.size, type=packing.media_type(one.name),
                        role=result.kind_of(one.name), sha256=one.digest)
            for one in result.entries.values()
        ]  # fmt: skip
        return models.Files(items=items)

    @router.get(
        "/tasks/{number}/files/{name:path}", response_class=Response, dependencies=only,
        responses={**_FILE, **problems(*_RESULT, "no-such-file")},
    )  # fmt: skip
    def download_file(
        request: Request,
        run: Run,
        number: Number,
        name: Annotated[
            str, Path(max_length=1000, description="As `files` lists it.", examples=["summary.json"])
        ],
        view: Annotated[bool, Query(description="Show it in the browser; only reports can be.")] = False,
    ) -> Response:
        """Download one file, which is checked first to be what was published."""
        result = reading.result(run, number)
        file = reading.results.open(result, name)
        entry = result.entries[name]
        kept = packing.Kept(entry.digest, fresh=False)
        if kept.is_known(request):
            file.close()
            return kept.not_modified()
        shown = view and result.kind_of(name) == "report" and packing.media_type(name) == "text/html"
        base = name.rpartition("/")[2]
        way = "inline" if shown else "attachment"
        headers = kept.headers() | {
            "Content-Disposition": f"{way}; filename*=UTF-8''{quote(base, safe='')}",
            "Content-Length": str(entry.size),
            "Content-Security-Policy": _SANDBOX,
            "X-Content-Type-Options": "nosniff",
        }
        kind = "text/html; charset=utf-8" if shown else packing.media_type(name)
        return StreamingResponse(blocks(file), media_type=kind, headers=headers)


def _add_archives(router: APIRouter, reading: Reading, may: Callable[..., Any]) -> None:
    only = [Depends(may)]

    @router.get(
        "/archive", response_class=Response, dependencies=only,
        responses={**_ZIP, **problems("no-result-yet")},
    )  # fmt: skip
    def download_all(run: Run) -> Response:
        """Download the results of all images of a run in one zip file."""
        rows = [row for row in reading.store.runs.tasks(RunId(run)) if row["published"]]
        if not rows:
            raise NoResultYet("No image of this run has results yet.")
        return _archive(reading, rows, f"slidegate-{run}.zip")

    @router.get(
        "/tasks/{number}/archive", response_class=Response, dependencies=only,
        responses={**_ZIP, **problems(*_RESULT)},
    )  # fmt: skip
    def download_result(run: Run, number: Number) -> Response:
        """Download the results of one image in one zip file."""
        row = reading.row(run, number)
        reading.results.of(row)
        return _archive(reading, [row], f"slidegate-{run}-{number}.zip")


def _archive(reading: Reading, rows: Sequence[Mapping[str, Any]], name: str) -> Response:
    def results() -> Iterator[Result | str]:
        for row in rows:
            try:
                yield reading.results.of(row)
            except ResultsProblem as problem:
                yield f"image {row['number']}: {problem.message}"

    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(
        zipped(reading.results, results()), media_type="application/zip", headers=headers
    )


def _add_pictures(router: APIRouter, reading: Reading, may: Callable[..., Any]) -> None:
    only = [Depends(may)]

    @router.get("/tasks/{number}/picture", response_model=models.Picture,
                responses={**ACCEPTED, **problems(*_PICTURE)})  # fmt: skip
    def see_picture(run: Run, number: Number, who: Annotated[Any, Depends(may)]) -> Any:
        """Say what the image is, once its pixels are at hand; until then, which wish to wait for."""
        row = reading.row(run, number)
        if not row["input"]:
            raise NoResultYet
        try:
            image = reading.image(row)
        except PictureNotAtHand:
            wish = reading.store.wishes.ask("picture", who.person, {"task": row["id"]}, reading.clock())
            return accepted(wish)
        return _picture(reading, row, image)

    @router.get("/tasks/{number}/tiles/{level}/{tile_row}/{column}", response_class=Response,
                dependencies=only,
                responses={**_OCTETS, **problems(*_PICTURE, "no-such-tile")})  # fmt: skip
    def see_tile(request: Request, run: Run, number: Number, at: Annotated[At, Depends()]) -> Response:
        """Read one tile of all channels: (channel, y, x), 512 pixels a side or less at the edges."""
        row = reading.row(run, number)
        image = reading.image(row)
        kept = at.kept(str(row["input"]))
        return packing.octets(request, kept, lambda: image_tile(image, *at.index), noisy=True)

    @router.get("/tasks/{number}/labels/{level}/{tile_row}/{column}", response_class=Response,
                dependencies=only,
                responses={**_OCTETS, **problems(*_LABELS, "no-such-tile")})  # fmt: skip
    def see_labels(request: Request, run: Run, number: Number, at: Annotated[At, Depends()]) -> Response:
        """Read one tile of labels: uint32 (y, x); 0 is background, others are rows of the table by `id`."""
        result = reading.result(run, number)
        labels = reading.labels(result)
        return packing.octets(request, at.kept(result.tree), lambda: label_tile(labels, *at.index))


def _picture(reading: Reading, row: Mapping[str, Any], image: Image) -> models.Picture:
    digest = str(row["input"])
    folder = reading.cache.tree(digest) if reading.cache else None
    if folder is None:
        raise PictureNotAtHand
    labels, trouble = None, None
    try:
        result = reading.results.of(row)
        shapes = reading.labels(result).level_shapes
        if shapes != image.level_shapes[: len(shapes)]:
            raise PictureDamaged("The outlines are of another size than the image.")
        labels = models.LabelLevels(levels=_sizes(shapes), version=_short(result.tree))
    except ResultsProblem as problem:
        trouble = problem.message
    channels = [models.Channel(**asdict(one)) for one in reading.pictures.facts(folder, digest)]
    return models.Picture(
        shape=list(image.shape), dtype=image.dtype.name, channels=channels, pixel_size_um=image.pixel_size_um,
        levels=_sizes(image.level_shapes), tile=TILE, version=_short(digest), name=str(row["name"]),
        labels=labels, labels_problem=trouble,
    )  # fmt: skip


def _add_tables(router: APIRouter, reading: Reading, may: Callable[..., Any]) -> None:
    only = [Depends(may)]

    @router.get("/tasks/{number}/table", response_model=models.Table, dependencies=only,
                responses=problems(*_TABLE))  # fmt: skip
    def see_table(run: Run, number: Number) -> models.Table:
        """Say which columns of numbers the table has, with their units."""
        result = reading.result(run, number)
        name = reading.table(result)
        with reading.results.open(result, name) as file:
            rows, columns = columns_of(file)
        found = [models.Column(**asdict(column)) for column in columns]
        return models.Table(rows=rows, columns=found, version=result.entries[name].digest[:16], file=name)

    @router.get(
        "/tasks/{number}/table/{column}", response_class=Response, dependencies=only,
        responses={**_OCTETS, **problems(*_TABLE, "no-such-column")},
    )  # fmt: skip
    def see_column(
        request: Request,
        run: Run,
        number: Number,
        column: Annotated[str, Path(max_length=200, examples=["area_um2"])],
        v: Version = "",
    ) -> Response:
        """Read all values of one column, in the order of the table."""
        result = reading.result(run, number)
        name = reading.table(result)
        kept = packing.Kept(
            f"{result.entries[name].digest}-{quote(column, safe='')}",
            v == _short(result.entries[name].digest),
        )

        def read() -> bytes:
            with reading.results.open(result, name) as file:
                return read_column(file, column)

        return packing.octets(request, kept, read)


def _short(digest: object) -> str:
    return str(digest)[:16]


def _sizes(shapes: tuple[tuple[int, int], ...]) -> list[models.Size]:
    return [models.Size(height=height, width=width) for height, width in shapes]
