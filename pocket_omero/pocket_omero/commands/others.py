# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that are about no graph: saving, sessions, files behind an image, mail."""

from __future__ import annotations

from typing import Any

from omero.api import Save, SaveRsp
from omero.cmd import (
    OK,
    CurrentSessionsRequest,
    CurrentSessionsResponse,
    ManageImageBinaries,
    ManageImageBinariesResponse,
    OriginalMetadataRequest,
    OriginalMetadataResponse,
    ResetPasswordRequest,
    SendEmailRequest,
    UpdateSessionTimeoutRequest,
    UsedFilesRequest,
    UsedFilesResponse,
)
from omero.rtypes import rlong, rstring

from pocket_omero.commands.plan import targets
from pocket_omero.commands.work import Work, command
from pocket_omero.errors import Forbidden, NotReady
from pocket_omero.people.contexts import event_context, public_context
from pocket_omero.state import Reply
from pocket_omero.state.saving import save

__all__: list[str] = []

_LONGEST_IDLE_MS = 6_000_000  # omero.sessions.max_user_time_to_idle, as OMERO has it by default


@command(Save)
def save_one(work: Work, request: Any) -> Any:
    """Save one object, as IUpdate does."""
    row = save(work.state, request.obj, work.caller, work.rights)
    return SaveRsp(Reply(work.state, lambda r: work.rights.permissions(work.caller, r)).load(row))


@command(UpdateSessionTimeoutRequest, steady=False)
def update_session_timeout(work: Work, request: Any) -> Any:
    """Change how long a session lives; for others, and without end, only administrators may."""
    session = work.house.sessions.find(request.session)
    mine = session.person.id == work.caller.person.id
    if not mine and not work.caller.admin:
        raise Forbidden("only administrators change the timeouts of other people's sessions")
    live, idle = (None if value is None else value.val for value in (request.timeToLive, request.timeToIdle))
    if not work.caller.admin:
        if any(
            wanted is not None and wanted <= 0 < now
            for wanted, now in ((live, session.live), (idle, session.idle))
        ):
            raise Forbidden("only administrators switch timeouts off")
        idle = None if idle is None else min(idle, _LONGEST_IDLE_MS)
    work.house.sessions.extend(session, idle=idle, live=live)
    return OK()


@command(CurrentSessionsRequest, steady=False)
def current_sessions(work: Work, request: Any) -> Any:
    """All open sessions; of those of others, only administrators are told more than whose they are."""
    rights = work.rights
    reply = Reply(work.state, lambda r: rights.permissions(work.caller, r))
    response = CurrentSessionsResponse([], [], [])
    for session in work.house.sessions.all():
        seen = rights.can_read(work.caller, session.row)
        response.sessions.append(reply.load(session.row) if seen else None)
        response.contexts.append((event_context if seen else public_context)(rights, session))
        response.data.append({"userAgent": rstring(session.agent)} if seen else {})
    return response


@command(OriginalMetadataRequest)
def original_metadata(work: Work, request: Any) -> Any:
    """What an image's file says beyond the model: pocket OMERO keeps none of it."""
    (image,) = targets(work.state, work.visible, {"Image": [request.imageId]})
    fileset = image["fileset"]
    return OriginalMetadataResponse(rlong(fileset.id) if fileset is not None else None, None, {}, {})


@command(UsedFilesRequest)
def used_files(work: Work, request: Any) -> Any:
    """The files of an image: all of its fileset."""
    (image,) = targets(work.state, work.visible, {"Image": [request.imageId]})
    entries = work.state.many(image["fileset"], "usedFiles") if image["fileset"] is not None else []
    files = [entry["originalFile"].id for entry in entries if entry["originalFile"] is not None]
    return UsedFilesResponse(files, [], [], [])


@command(ManageImageBinaries)
def manage_image_binaries(work: Work, request: Any) -> Any:
    """What is kept of an image's pixels; nothing of it is ever thrown away here."""
    (image,) = targets(work.state, work.visible, {"Image": [request.imageId]})
    if request.togglePixels or request.deletePyramid or request.deleteThumbnails:
        raise Forbidden("pocket OMERO keeps the pixels and thumbnails of images as they are")
    fileset = image["fileset"]
    return ManageImageBinariesResponse(
        rlong(fileset.id) if fileset is not None else None, [], True, False, 0, 0, 0, 0
    )


@command(SendEmailRequest)
@command(ResetPasswordRequest)
def send_mail(work: Work, request: Any) -> Any:
    """Refuse: there is no mail server, as in an OMERO that was told of none."""
    raise NotReady("this server sends no mail")
