# SPDX-License-Identifier: BSD-3-Clause
"""The OpenAPI document is true: nonsense made from it finds no fault, and no answer that it denies."""

import os
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup

from tests.unit.api.service import Service, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = int(os.environ.get("SLIDEGATE_TEST_EXAMPLES", "6"))
"""How many requests of each kind are made up for each route; a hundred take a minute and a half."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    quick = {"wait_seconds": 0.0, "short_wait_seconds": 0.0, "stream_seconds": 0.02}
    with serving(tmp_path_factory.mktemp("schema"), **quick) as service:
        service.offer()
        yield service


@pytest.mark.slow
def test_nonsense_finds_no_fault_and_no_answer_that_is_not_documented(busy: Service) -> None:
    person = busy.person("ada", "administrator", "g")
    run = busy.run(person)
    client = busy.by_token(person)
    schema = schemathesis.openapi.from_dict(client.get("/v1/openapi.json").json())
    tried = 0
    faults: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        tried += 1
        faults += attack(operation, client, run)
    assert tried > 35
    assert not faults, "\n\n".join(faults[:10])


def attack(operation: Any, client: httpx.Client, run: str) -> list[str]:
    """Ask one operation for many things that its schema allows, and many that it does not."""
    found: list[str] = []

    @schemathesis_examples(operation)
    def one(case: Any) -> None:
        if "run" in case.path_parameters and zlib.crc32(repr(case.path_parameters).encode()) % 2:
            case.path_parameters["run"] = run
        response = case.call(base_url=str(client.base_url), headers=dict(client.headers), timeout=20)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:
            found.append(f"{operation.label}: {error.exceptions}"[:1500])

    one()
    return found[:2]


def schemathesis_examples(operation: Any) -> Any:
    from hypothesis import given
    from schemathesis import GenerationMode

    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )
    quick = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return lambda test: quick(given(case=cases)(test))
