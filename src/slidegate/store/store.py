# SPDX-License-Identifier: BSD-3-Clause
"""The rooms of the store, opened together on one database."""

from slidegate.store.accounts import Accounts
from slidegate.store.asking import Asking
from slidegate.store.audit import Audit
from slidegate.store.database import Database
from slidegate.store.history import History
from slidegate.store.images import KnownImages
from slidegate.store.offers import Offers
from slidegate.store.omero import OmeroGrants, OmeroPeople, OmeroWebs
from slidegate.store.pages import Pages
from slidegate.store.people import People
from slidegate.store.queue import Queue
from slidegate.store.releases import KnownReleases
from slidegate.store.runs import RunRows
from slidegate.store.sessions import LoginLinks, Sessions, Tokens
from slidegate.store.sites import KnownSites
from slidegate.store.webhooks import Webhooks
from slidegate.store.wishes import Wishes


class Store:
    """Everything that is remembered.

    Attributes
    ----------
    history
        Facts and moves.
    queue
        Who works on what.
    runs
        Looking things up, and deleting.
    asking
        What people ask of Runs: cancel, retry.
    images
        What is known of images that were staged or read before.
    sites
        What was last heard of each site.
    releases
        Workflows as they were when Runs were asked for.
    people
        What people are at sites.
    accounts, sessions, tokens, login_links
        Who may sign in, and what proves that somebody has.
    omero_people, omero_webs, omero_grants
        Who of OMERO is who here, which OMERO.webs are believed when they say so, and who has granted a
        session there.
    wishes
        What people want of sources and sites.
    offers
        What each site offers, as last heard.
    pages
        What pages show.
    audit
        What was asked for.
    webhooks
        Who is told when a Run ends.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.history = History(database)
        self.queue = Queue(database)
        self.runs = RunRows(database)
        self.asking = Asking(database)
        self.images = KnownImages(database)
        self.sites = KnownSites(database)
        self.releases = KnownReleases(database)
        self.people = People(database)
        self.accounts = Accounts(database)
        self.sessions = Sessions(database)
        self.tokens = Tokens(database)
        self.login_links = LoginLinks(database)
        self.omero_people = OmeroPeople(database)
        self.omero_webs = OmeroWebs(database)
        self.omero_grants = OmeroGrants(database)
        self.wishes = Wishes(database)
        self.offers = Offers(database)
        self.pages = Pages(database)
        self.audit = Audit(database)
        self.webhooks = Webhooks(database)

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open the store at a database URL, bringing its tables up to date first.

        Raises
        ------
        StoreTooNew
            A later version of slidegate has changed the tables.
        """
        database = Database(url)
        try:
            database.migrate()
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Let go of all connections."""
        self.database.close()
