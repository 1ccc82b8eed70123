# SPDX-License-Identifier: BSD-3-Clause
"""What is said in requests and answers about people of OMERO, and about images there."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from slidegate.api.shapes import AT, RUN, Said, Shape, TaskSaid, Text, readable


class OmeroStatement(Shape):
    """What an OMERO.web says of who has logged in there: a JWT by EdDSA, which is believed once."""

    statement: Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(readable)]


class OmeroSession(Shape):
    """The key of a session in OMERO."""

    session: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(readable)]


class GrantAsked(Shape):
    """One's password in OMERO."""

    password: Text = Field(min_length=1)


class GrantSaid(Said):
    """Whether slidegate may act for a person in OMERO; null for what there is not."""

    omero: str | None = Field(description="The OMERO that this server knows.")
    name: str | None = Field(description="The login name that the person has there.")
    needed: bool = Field(description="Whether the person's images are not analysed without it.")
    granted: bool
    granted_at: float | None = AT
    ends_at: float | None = AT


class ImageTaskSaid(TaskSaid):
    """One image of a run, found by the image."""

    run: str = Field(examples=[RUN])
    person: str
    workflow: str
    version: str
    title: str
    at: float = AT


class ImageTasksSaid(Said):
    """What was done with images, newest first, at most 50 for each."""

    items: list[ImageTaskSaid]
