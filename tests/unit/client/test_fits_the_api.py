# SPDX-License-Identifier: BSD-3-Clause
"""What the client knows of is what the api says."""

from dataclasses import fields

import pytest

from slidegate import client
from slidegate.api import shapes


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (client.Session, shapes.SessionSaid),
        (client.Workflow, shapes.WorkflowSaid),
        (client.Run, shapes.RunWholeSaid),
        (client.Task, shapes.TaskSaid),
        (client.Event, shapes.EventSaid),
        (client.Wish, shapes.WishSaid),
        (client.Estimate, shapes.EstimateSaid),
    ],
)
def test_every_field_that_the_client_knows_is_said_by_the_api(known: type, said: type) -> None:
    assert {field.name for field in fields(known)} <= set(said.model_json_schema(by_alias=True)["properties"])
