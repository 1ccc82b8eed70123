# SPDX-License-Identifier: BSD-3-Clause
"""The record of who changed what."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.replies import said

router = APIRouter(tags=["people"])


@router.get("/v1/audit", response_model=shapes.AuditsSaid)
def list_audit(
    request: Request,
    who: Annotated[Who, Depends(Allowed("audit.see"))],
    person: shapes.Text | None = None,
    before: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """List what people changed and what they were refused, newest first."""
    found = parts_of(request).store.audit.page(before, limit, person)
    following = found[-1].id if len(found) == limit else None
    return said({"items": [asdict(one) for one in found], "next": following})
