# SPDX-License-Identifier: BSD-3-Clause
"""What can be launched, and where."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from slidegate.api import shapes
from slidegate.api.guard import Allowed, Who, parts_of
from slidegate.api.parts import ApiParts
from slidegate.api.replies import kept
from slidegate.api.summaries import site_of
from slidegate.domain.errors import UnknownSite, UnknownWorkflow
from slidegate.domain.states import State
from slidegate.domain.text import plain
from slidegate.store.offers import Offer
from slidegate.store.people import LinkNotValid

router = APIRouter(tags=["workflows"])
SEE = Allowed("workflows.see")


def offers_for(parts: ApiParts, who: Who) -> list[Offer]:
    """Return what sites offer this person: at a site that their link opens, what that key may start."""
    links = parts.store.people.links()
    linked = {(link.site, link.key) for link in links}
    found = []
    for offer in parts.store.offers.all():
        site, _, key = offer.site.partition("/")
        try:
            mine = parts.store.people.link(who.person, site, parts.clock())
        except LinkNotValid:
            continue
        if not key or (mine.key == key if mine else (site, key) not in linked):
            found.append(offer)
    return found


def choose(offers: Sequence[Offer], workflow: str, version: str | None, site: str) -> Offer:
    """Return what is meant by a workflow's name at a site: the newest version when none is given.

    Raises
    ------
    UnknownSite, UnknownWorkflow
    """
    there = [offer for offer in offers if site_of(offer.site) == site]
    if not there:
        raise UnknownSite(f"There is no site {site!r} that you can launch at.")
    found = [o for o in there if o.release.name == workflow and version in (None, "", o.release.version)]
    if not found:
        known = ", ".join(sorted({offer.release.name for offer in there}))
        raise UnknownWorkflow(f"The site {site} has no workflow {workflow!r}. It has: {known}.")
    return max(found, key=lambda offer: (_version(offer.release.version), offer.release.digest))


def _version(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in text.split("."))


@router.get("/v1/workflows", response_model=shapes.WorkflowsSaid)
def list_workflows(request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """List what can be launched, as sites last said."""
    parts = parts_of(request)
    troubles: dict[str, Any] = {}
    items = []
    for offer in offers_for(parts, who):
        if offer.site not in troubles:
            troubles[offer.site] = parts.store.sites.row(offer.site)["trouble"]
        items.append(_workflow(offer, troubles[offer.site]))
    return kept(request, {"items": items})


def _workflow(offer: Offer, trouble: str | None) -> dict[str, Any]:
    release, manifest = offer.release, offer.release.manifest
    return {
        "site": site_of(offer.site),
        "name": release.name,
        "version": release.version,
        "title": plain(str(manifest.get("title") or release.name)),
        "description": plain(str(manifest.get("description", ""))),
        "release": release.digest,
        "schema": dict(release.schema),
        "each": [str(one) for one in manifest.get("each", [])],
        "outputs": dict(manifest.get("outputs", {})),
        "heard_at": offer.heard_at,
        "trouble": None if trouble is None else plain(trouble),
    }


def queue_at(load: Mapping[State, int]) -> dict[str, int]:
    """Return how many images are before one that is launched now, and how many are being computed."""
    before = (State.WAITING, State.STAGING, State.SUBMITTING, State.QUEUED)
    return {"queued": sum(load.get(state, 0) for state in before), "running": load.get(State.RUNNING, 0)}


@router.get("/v1/sites", response_model=shapes.SitesSaid)
def list_sites(request: Request, who: Annotated[Who, Depends(SEE)]) -> Response:
    """List the sites that this person can launch at, and how busy they are."""
    parts = parts_of(request)
    gates = sorted({offer.site for offer in offers_for(parts, who)})
    load = parts.store.pages.load()
    items = []
    for gate in gates:
        row = parts.store.sites.row(gate)
        trouble = row["trouble"]
        queue = queue_at(load.get(gate, {}))
        items.append({
            "site": site_of(gate),
            "title": "This computer" if gate == "local" else site_of(gate),
            "heard_at": row["heard_at"],
            "trouble": None if trouble is None else plain(trouble),
            **queue,
        })  # fmt: skip
    return kept(request, {"items": items})
