"""Records the events that ``GraphWorkflow`` emits itself, to hold a reader's against them.

Works with unsandboxed workers of this process alone. A replay emits again: one that emits something
else under the same number is caught here. (A workflow task that did not complete is carried out
again, at another time and perhaps with a stop that came meanwhile, and then its first events never
were: what was emitted last counts.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError

from tests.workflows.bench import Bench
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.commands import Emit
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.engine.carrier import LaneEffect
from xworkflow.workflows.shell import Shell


@dataclass
class Recording:
    """Events by workflow id, in the order of their numbers."""

    emitted: dict[str, dict[int, GraphEngineEvent]] = field(
        default_factory=lambda: defaultdict[str, dict[int, GraphEngineEvent]](dict)
    )
    replayed: int = 0
    last: dict[str, int] = field(default_factory=dict[str, int])
    """The number of the event that was emitted last, by workflow id, and not by a replay."""

    def note(self, workflow_id: str, event: GraphEngineEvent, *, replays: bool) -> None:
        if replays:
            self.replayed += 1
            known = self.emitted[workflow_id][event.seq]
            assert known == event, "a replay emits other events than the run did"
            return  # for a query it may be of a history that ends earlier
        self.emitted[workflow_id][event.seq] = event
        self.last[workflow_id] = event.seq

    def names_of(self, execution_id: str) -> list[str]:
        """The run's workflows: itself, and its sub-graphs."""
        return [name for name in self.emitted if name.split("/")[0] == execution_id]

    def of(self, execution_id: str) -> list[GraphEngineEvent]:
        found = self.emitted[execution_id]
        return [found[seq] for seq in sorted(found) if seq <= self.last[execution_id]]


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Listens at the one place through which a shell's effects go."""
    recording = Recording()
    perform: Any = Shell._perform

    def listening(self: Shell, effects: list[LaneEffect]) -> None:
        for _, effect in effects:
            if isinstance(effect, Emit):
                replays = workflow.unsafe.is_replaying()
                recording.note(workflow.info().workflow_id, effect.event, replays=replays)
        perform(self, effects)

    monkeypatch.setattr(Shell, "_perform", listening)
    return recording


Seen = list[tuple[str, GraphEngineEvent]]


async def read_all(handle: WorkflowHandle, *, after: str = "", follow: bool = False) -> Seen:
    """A run's events, each with the id of the workflow that it belongs to."""
    seen: Seen = []
    async with aclosing(handle.read(follow=follow, after=after)) as batches:
        async for feed, new in batches:
            seen += [(feed.workflow_id, event) for event in new]
    return seen


def by_workflow(seen: Seen) -> dict[str, list[GraphEngineEvent]]:
    found: dict[str, list[GraphEngineEvent]] = defaultdict(list)
    for workflow_id, event in seen:
        found[workflow_id].append(event)
    return dict(found)


async def carried_out_again(bench: Bench, workflow_ids: Iterable[str]) -> set[str]:
    """Those with a workflow task that was refused, as something came meanwhile: what it emitted
    first never was, and the recording cannot tell it from what was."""
    found: set[str] = set()
    for workflow_id in workflow_ids:
        told = await bench.client.get_workflow_handle(workflow_id).fetch_history()
        if any(
            event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in told.events
        ):
            found.add(workflow_id)
    return found


async def all_ended(bench: Bench, workflow_id: str) -> None:
    """Waits for a workflow and the children it began: a run that fails asks these to cancel, and
    ends without waiting until they have."""
    handle = bench.client.get_workflow_handle(workflow_id)
    with suppress(WorkflowFailureError):
        await handle.result()
    told = await handle.fetch_history()
    for event in told.events:
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            begun = event.child_workflow_execution_started_event_attributes
            await all_ended(bench, begun.workflow_execution.workflow_id)


def check_reading(
    recording: Recording,
    execution_id: str,
    seen: Seen,
    *,
    but: Collection[str] = (),
    left_with: str | None = None,
) -> None:
    """What a reader saw of a run is what its workflows emitted, ``but`` for some. One that left
    with the end of a workflow saw how its sub-graphs began, which may have outlived it."""
    found = by_workflow(seen)
    # an error handler tells nothing of its inside
    ran = {name for name in recording.names_of(execution_id) if "/error-handler" not in name}
    for workflow_id in {*ran, *found} - {*but}:
        told, emitted = found.get(workflow_id, []), recording.of(workflow_id)
        if left_with not in (None, workflow_id):
            emitted = emitted[: len(told)]
        assert told == emitted, workflow_id


@pytest_asyncio.fixture
async def watched_bench(idle_bench: Bench, recording: Recording) -> AsyncIterator[Bench]:
    """A bench each of whose runs is read when the test is over, and held against what it emitted.

    Without the workflow sandbox: what is recorded must be this process's own.
    """
    async with idle_bench.worker():
        yield idle_bench
        for execution_id in {name.split("/")[0] for name in recording.emitted}:
            handle = WorkflowHandle(idle_bench.client, execution_id)
            await handle.cancel()  # of a test that failed
            await handle.wait()
            await all_ended(idle_bench, execution_id)
            again = await carried_out_again(idle_bench, recording.names_of(execution_id))
            check_reading(recording, execution_id, await read_all(handle), but=again)
