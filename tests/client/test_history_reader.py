"""A reader of the history sees exactly the events that the workflow emitted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    FAIL_BRANCH,
    SPIN,
    chain,
    choice,
    code,
    end,
    first_of,
    graph,
    handler,
    http,
    node,
    retries,
    start,
    text,
)
from tests.workflows.recording import Recording
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """``/ok`` answers, ``/broken`` is a 500, ``/third`` succeeds at the third call."""
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/broken", response_status=500),
        MockResponse("GET", "/third", response_status=503, expect=2),
        MockResponse("GET", "/third", response_body="at last", expect=1_000),
    )
    with MockServer(responses) as server:
        yield server.url


