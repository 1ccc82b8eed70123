# SPDX-License-Identifier: BSD-3-Clause
"""Talking to a slidegate server from Python: `Client`, what it returns, and what can go wrong."""

from slidegate.client.client import Client, sign_in
from slidegate.client.errors import (
    ClientError,
    NotAllowed,
    NotAServer,
    NotFound,
    NotSecret,
    NotSignedIn,
    Problem,
    Refused,
    TookTooLong,
    Unreachable,
)
from slidegate.client.hooks import is_signed
from slidegate.client.values import (
    Entry,
    Estimate,
    Event,
    File,
    Folder,
    Launched,
    News,
    Run,
    Session,
    Task,
    Wish,
    Workflow,
)

__all__ = [
    "Client",
    "ClientError",
    "Entry",
    "Estimate",
    "Event",
    "File",
    "Folder",
    "Launched",
    "News",
    "NotAServer",
    "NotAllowed",
    "NotFound",
    "NotSecret",
    "NotSignedIn",
    "Problem",
    "Refused",
    "Run",
    "Session",
    "Task",
    "TookTooLong",
    "Unreachable",
    "Wish",
    "Workflow",
    "is_signed",
    "sign_in",
]
