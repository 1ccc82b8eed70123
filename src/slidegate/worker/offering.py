# SPDX-License-Identifier: BSD-3-Clause
"""What sites offer: asked now and then, and kept, so that pages can show it without asking a site."""

import logging

from slidegate.sites.errors import SiteError
from slidegate.worker.tools import Tools

log = logging.getLogger(__name__)


class Offering:
    """Asks one site what it offers.

    Parameters
    ----------
    site
        What Runs call its gate.
    """

    def __init__(self, tools: Tools, site: str) -> None:
        self._tools = tools
        self._site = site
        self._due_at = float("-inf")

    def step(self) -> bool:
        """Ask, if it is time; returns whether something was heard.

        Raises
        ------
        SlidegateError
            The site does not answer; it is asked again in as much time.
        """
        now = self._tools.clock()
        wait = self._tools.pace_at(self._site).offers_seconds
        if now < self._due_at <= now + wait:
            return False
        self._due_at = now + wait
        try:
            hello = self._tools.gate(self._site).hello()
        except SiteError as error:
            log.info("the site did not say what it offers", extra={"action": "no_offer", "code": error.code})
            return False
        self._tools.store.offers.note(self._site, hello.releases, self._tools.clock())
        return True
