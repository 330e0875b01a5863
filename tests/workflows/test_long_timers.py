"""Timers of days: forms that nobody answers, gathers, waits in bodies; the server's clock jumps."""

from __future__ import annotations

import pytest

from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    begin,
    body,
    chain,
    code,
    end,
    finish,
    form,
    gather,
    graph,
    http,
    iteration,
    loop,
    otherwise,
    retries,
    start,
)
from xworkflow.client.status import Completed, ExecutionStatus, Failed
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import NodeSpec, RetryConfig, WorkflowSchema
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="session")]

HOUR = 3_600
DAY = 24 * HOUR
NO_LIMIT = EngineConfig(max_execution_time_secs=None)


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/busy", 503, expect=1),
        MockResponse("GET", "/busy", response_body="at last"),
    )


async def lasted(bench: Bench, schema: WorkflowSchema) -> tuple[ExecutionStatus, int]:
    """How it ended, and after how many hours of the server's clock."""
    handle = await bench.start(schema, {"n": 1, "items": ["a", "b"]}, config=NO_LIMIT)
    status = await handle.wait()
    events = await read(handle)
    return status, round((events[-1].at - events[0].at) / 1000 / HOUR)


def hours(count: int) -> RetryConfig:
    """Another attempt after so many hours."""
    return retries(1, 1000 * count * HOUR, max_retry_interval=1000 * count * HOUR)


def unanswered(secs: float, **parts: object) -> NodeSpec:
    return form("ask", "name", timeout_secs=secs, **parts)


async def test_a_question_whose_time_is_over_fails_where_it_has_no_default(skipping: Bench) -> None:
    schema = chain("days", start("n"), unanswered(30 * DAY), end(name="ask.name"))
    status, hours = await lasted(skipping, schema)
    assert isinstance(status, Failed)
    assert status.message == "Node error: Timeout: node execution exceeded time limit"
    assert hours == 720


async def test_questions_of_items_in_a_row_wait_one_after_another(skipping: Bench) -> None:
    asking = body(
        begin("s"), unanswered(DAY, **otherwise(name="nobody")), finish("e", name="ask.name")
    )
    schema = chain("rows", start("items"), iteration("it", "start.items", asking), end(o="it.out"))
    nobody = {"name": "nobody"}
    assert await lasted(skipping, schema) == (Completed({"o": [nobody, nobody]}), 48)


async def test_a_loop_of_waits_waits_in_every_round(skipping: Bench) -> None:
    asking = unanswered(DAY, **otherwise(name="nobody"))
    round_ = body(begin("s"), asking, code("c", "loop.n"), finish("e", n="c.n"))
    schema = chain("rounds", start("n"), loop("lo", 3, round_), end(out="lo.out"))
    assert await lasted(skipping, schema) == (Completed({"out": {"n": 3}}), 72)


async def test_a_gather_goes_on_with_what_came_an_hour_after_the_first_arrival(
    skipping: Bench, web: MockServer
) -> None:
    late = http("late", f"{web.url}/busy", fail_on_error_status=True, retry=hours(10))
    joined = gather("join", {"type": "all"}, "soon.body", "late.body", timeout_secs=HOUR)
    nodes = [start("n"), http("soon", f"{web.url}/ok"), late, joined, end(out="join.first_result")]
    schema = graph(
        "gathers", nodes,
        "start > soon", "start > late", "soon > join", "late > join", "join > end",
    )  # fmt: skip
    assert await lasted(skipping, schema) == (Completed({"out": "fine"}), 1)


async def test_a_retry_inside_of_an_item_waits_its_hours(skipping: Bench, web: MockServer) -> None:
    again = http("h", f"{web.url}/busy", fail_on_error_status=True, retry=hours(1))
    inner = body(begin("s"), again, finish("e", body="h.body"))
    schema = chain(
        "retried", start("items"), iteration("it", "start.items", inner), end(o="it.out")
    )
    told = {"body": "at last"}
    assert await lasted(skipping, schema) == (Completed({"o": [told, told]}), 1)
