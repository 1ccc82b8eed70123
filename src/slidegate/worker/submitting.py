# SPDX-License-Identifier: BSD-3-Clause
"""Handing staged Tasks to a site, many at a time.

A Submission is *sealed* (its Tasks and the digest of its plan are written down) before the site hears of it.
Killed after that, the same plan is made again and handed in again; the site knows it by its digest and each
Attempt by its key, so nothing starts twice. When another set of Tasks is left, another Submission is sealed,
and the site says ``known`` of those Attempts that it has.
"""

import logging

from slidegate.domain.events import Cancelled, Sealed, Submitted
from slidegate.domain.states import State, Wanted
from slidegate.sites import Gate
from slidegate.sites.errors import MissingBlobs, Refused
from slidegate.store.history import Held
from slidegate.store.queue import Claim
from slidegate.worker.holding import Holding
from slidegate.worker.plans import Plan, make_plan
from slidegate.worker.tools import Tools

log = logging.getLogger(__name__)

_MOST = 1000


def submit(tools: Tools, claim: Claim, hold: Holding, mates: list[Claim]) -> None:
    """Seal a Submission of this Task and of all that are ready with it, and hand it in.

    Parameters
    ----------
    mates
        Gets the other Tasks that are claimed for it; they are to be given back too.
    """
    pace = tools.pace
    limit = min(pace.seal_tasks, _MOST) - 1
    mates += tools.store.queue.claim_mates(claim, tools.clock(), pace.lease_seconds, limit)
    hold.add(mates)
    claims = [claim, *(mate for mate in mates if mate.row["wanted"] == Wanted.RUN)]
    run = tools.store.runs.run(claim.run)
    plan = make_plan(run, [each.row for each in claims])
    if any(each.row["submission"] != plan.submission for each in claims):
        tasks = tuple(each.task for each in claims)
        sealed = Sealed(plan.submission, plan.digest, tasks)
        tools.store.history.append(claim.run, sealed, tools.clock(), Held(claim.owner))
    _hand_in(tools, claims, plan, tools.gate(run["site"]))


def _hand_in(tools: Tools, claims: list[Claim], plan: Plan, gate: Gate) -> None:
    try:
        gate.put_contents([plan.text, plan.tree])
        answers = gate.submit(plan.digest)["attempts"]
    except MissingBlobs as error:
        _restage(tools, claims, str(error))
        return
    except Refused as error:
        if error.code != "attempt-conflict":
            raise
        conflict = error.detail.get("attempt")
        _restage(tools, [each for each in claims if each.row["attempt_key"] == conflict], str(error))
        return
    extra = {"action": "handed_in", "submission": plan.submission, "tasks": len(claims)}
    log.info("handed in", extra=extra)
    for each in claims:
        match answers.get(each.row["attempt_key"]):
            case "cancelled":
                tools.append(each, Cancelled(each.task, State.SUBMITTING))
            case "released":  # asked for by a store that was lost since, or by a Run that was deleted
                _restage(tools, [each], "The site had let go of its result.")
            case _:
                tools.append(each, Submitted(each.task, State.SUBMITTING))


def _restage(tools: Tools, claims: list[Claim], reason: str) -> None:
    for each in claims:
        tools.append(each, tools.lost_data(each.row, reason))
