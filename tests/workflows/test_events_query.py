"""Foreign clients page through a workflow's events by query."""

from __future__ import annotations

import pytest

from tests.workflows.bench import Bench, read
from tests.workflows.drawing import chained, end, start, text
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import EVENTS_QUERY, EventsPage

pytestmark = pytest.mark.temporal


async def test_pages_joined_are_the_log_that_a_reader_sees(idle_bench: Bench) -> None:
    nodes = (start("n"), *(text(f"t{i}", "x") for i in range(5)), end(o="t4.output"))
    schema = WorkflowSchema(nodes=nodes, edges=tuple(chained(nodes)))
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"n": 1})
        await handle.wait()
        temporal = idle_bench.client.get_workflow_handle(handle.execution_id)
        paged: list[object] = []
        after = -1
        while True:
            page = await temporal.query(EVENTS_QUERY, args=[after, 4], result_type=EventsPage)
            assert len(page.events) <= 4
            paged += page.events
            if page.next is None:
                break
            after = page.next - 1
        assert page.over
        whole = await read(handle)
    plain = [{key: e.to_json()[key] for key in ("seq", "at", "type", "data")} for e in whole]
    assert paged == plain
