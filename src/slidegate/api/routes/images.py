# SPDX-License-Identifier: BSD-3-Clause
"""Choosing images: folders, what images are, and small pictures of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from slidegate.api import omero_shapes, shapes
from slidegate.api.asking import accepted, answer_of, ask_and_wait, refusal
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.problems import PictureGone
from slidegate.api.replies import ACCEPTED, kept, problems
from slidegate.api.routes.runs import whose_runs
from slidegate.api.summaries import image_task
from slidegate.cache import Cache
from slidegate.domain.shelf_names import BadImageName, in_omero, parse_shelf_name

router = APIRouter(tags=["images"])
SEE = Allowed("images.see", changes=False)
_BROWSE_FRESH = 2.0
_DESCRIBE_FRESH = 30.0
_PICTURE_FRESH = 600.0
_ANSWERS = {**ACCEPTED, **problems("wish-refused", "bad-image-name", "not-allowed")}


@router.get("/v1/browse", responses=_ANSWERS)
async def browse(
    request: Request,
    who: Annotated[Who, Depends(SEE)],
    at: Annotated[shapes.Place, Query(description="A folder; nothing for all shelves.")] = "",
) -> Response:
    """List a folder: its folders and its images. 202 while a worker looks."""
    if at:
        parse_shelf_name(at)
    seconds = parts_of(request).settings.wait_seconds
    return answer_of(await ask_and_wait(request, who, "browse", {"at": at}, seconds, _BROWSE_FRESH))


@router.post("/v1/images/describe", responses=_ANSWERS)
async def describe_images(
    asked: shapes.DescribeAsked, request: Request, who: Annotated[Who, Depends(SEE)]
) -> Response:
    """Say what images are: size, channels, pixel size. 202 while a worker looks."""
    for image in asked.images:
        parse_shelf_name(image)
    seconds = parts_of(request).settings.wait_seconds
    body = {"images": asked.images}
    return answer_of(await ask_and_wait(request, who, "describe", body, seconds, _DESCRIBE_FRESH))


@router.get(
    "/v1/images/tasks",
    response_model=omero_shapes.ImageTasksSaid,
    responses=problems("bad-image-name", "not-allowed"),
)
def image_tasks(
    request: Request,
    who: Annotated[Who, Depends(Allowed("runs.see"))],
    image: Annotated[
        list[shapes.Image], Query(min_length=1, max_length=100, description="omero:12; several, if needed.")
    ],
) -> Response:
    """List what was and is done with images in OMERO, as far as one may see it, newest first."""
    parts = parts_of(request)
    numbers = [in_omero(one) for one in image]
    if None in numbers:
        raise BadImageName("Only images in OMERO are found so: they are written omero:12.")
    whose = whose_runs(parts, who, None, None)
    asked = [number for number in dict.fromkeys(numbers) if number is not None]
    rows = [] if whose is None else parts.store.pages.image_tasks(asked, *whose)
    return kept(request, {"items": [image_task(parts, row) for row in rows]})


@router.get(
    "/v1/images/thumbnail",
    response_class=Response,
    responses={
        200: {
            "content": {"image/jpeg": {}},
            "description": "The picture; X-Image-Scale: how many pixels of the image one of it is.",
        },
        **_ANSWERS,
        **problems("picture-not-kept"),
    },
)
async def thumbnail(
    request: Request,
    who: Annotated[Who, Depends(SEE)],
    image: Annotated[shapes.Image, Query()],
    side: Annotated[Literal["256", "1024"], Query()] = "256",
) -> Response:
    """Return a small picture of an image. 202 while a worker makes it."""
    parse_shelf_name(image)
    parts = parts_of(request)
    body = {"image": image, "side": int(side)}
    for fresh in (_PICTURE_FRESH, 0.0):  # what was made may have been swept since
        wish = await ask_and_wait(request, who, "thumbnail", body, parts.settings.wait_seconds, fresh)
        if wish.state == "open":
            return accepted(wish)
        if wish.state == "refused":
            raise refusal(wish)
        answer = wish.answer or {}
        content = await run_in_threadpool(read_picture, parts.cache, str(answer.get("file", "")))
        if content is not None:
            headers = {"Cache-Control": "private, max-age=600"} | {
                f"X-Image-{name.title()}": str(answer[name])
                for name in ("width", "height", "scale")
                if name in answer
            }
            return Response(content, headers=headers, media_type="image/jpeg")
    raise PictureGone


def read_picture(cache: Cache | None, name: str) -> bytes | None:
    """Return a picture from the cache; None when it is not there."""
    file = None if cache is None else cache.open(name)
    if file is None:
        return None
    with file:
        return file.read()
