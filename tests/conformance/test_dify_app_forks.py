"""Forks of real exports end as their runs did, and ask no model twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from tests.conformance import event_laws, test_dify_apps, test_dify_apps_mocked
from tests.conformance.dify_apps import App, Place, drawn, model_server, providers
from tests.conformance.test_dify_apps_mocked import fully_mocked
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed
from xworkflow.engine.past import Ended
from xworkflow.testing.mock_server import MockServer
from xworkflow.worker import build_worker

pytestmark = [
    pytest.mark.temporal,
    pytest.mark.conformance,
    pytest.mark.asyncio(loop_scope="module"),
]

APPS: Final = (*test_dify_apps.RUNS, *test_dify_apps_mocked.RUNS)
ASKING: Final = frozenset({"llm", "question-classifier"})


@dataclass(frozen=True)
class Forked:
    """A fork that is over. ``asked`` is how many requests the model got meanwhile."""

    status: Completed
    asked: int
    wanted: int
    faults: list[str]
    streamed: str


async def forked(run: WorkflowHandle, node: str, server: MockServer, mocked: set[str]) -> Forked:
    before = len(server.requests)
    fork = await run.fork(from_node=node)
    status = await fork.wait()
    assert isinstance(status, Completed), (node, status)
    events = [event async for event in fork.events()]
    started = [e.data for e in events if e.type == "node_run_started"]
    wanted = sum(e["node_type"] in ASKING and e["node_id"] not in mocked for e in started)
    asked = [r for r in server.requests[before:] if r.path.endswith("/chat/completions")]
    faults = [str(fault) for fault in event_laws.faults(tuple(events))]
    return Forked(status, len(asked), wanted, faults, event_laws.streamed(events))


@pytest.mark.slow
@pytest.mark.parametrize("app", APPS, ids=[f"{n}-{app.file}" for n, app in enumerate(APPS)])
async def test_a_fork_of_an_export_ends_as_its_run_did_and_asks_no_model_twice(
    app: App, dify_place: Place, task_queue: str
) -> None:
    mocks = fully_mocked(app)
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue, mocks=mocks)
        assert isinstance(ran.status, Completed), ran.status
        registry = providers(drawn(app.file), server.url)
        group = dify_place.group.replaced(llm_provider_registry=registry)
        run = WorkflowHandle(dify_place.client, ran.execution_id)
        ended = [n.node_id for n in (await run.origin()).past.notes if isinstance(n, Ended)]
        async with build_worker(dify_place.client, group, queue=task_queue):
            for node in {ended[len(ended) // 2], ended[-1]}:
                fork = await forked(run, node, server, {*mocks})
                assert fork.status.outputs == ran.status.outputs, node
                if "answer" in fork.status.outputs:
                    assert fork.streamed == fork.status.outputs["answer"], node
                assert fork.status.exceptions == app.exceptions, node
                assert fork.asked == fork.wanted, node
                assert fork.faults == [], node
