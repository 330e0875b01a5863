"""The log of a whole run: the histories of the run, its sub-graphs and all that continued them.

Each workflow's events are a function of its history (``HistoryFeed``). This puts them into one
order: a sub-graph's events come after its container has started and before it ends; what happened
side by side is ordered by its time, and while it is followed live, by when it could be read. A
cursor tells how far each of them was read, so that whoever goes on with one sees the rest, and
nothing twice, in whatever order it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from temporalio.client import Client

from xworkflow.client import cursor
from xworkflow.client.history import ChildStarted, HistoryFeed
from xworkflow.domain.events import GraphEngineEvent

Batch = tuple[HistoryFeed, list[GraphEngineEvent]]

_BACKLOG = 256
"""Batches that may wait for a slow reader before the histories are read no further."""


@dataclass(slots=True)
class _Workflow:
    """One workflow of the run, being read."""

    workflow_id: str
    key: str
    skip: int
    """Events that the reader has seen already."""
    taken: int = 0
    children: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    """The readers of its sub-graphs, by workflow id."""
    sealed: list[str] = field(default_factory=list[str])
    """Sub-graphs that have ended since its last event: the next one makes their counts needless."""
    unread: list[ChildStarted] = field(default_factory=list[ChildStarted])
    """Sub-graphs met among events that the reader has seen: read only if they have not ended."""


class RunLog:
    """Reads one run. Not shared; ``read`` is called once."""

    def __init__(self, client: Client, execution_id: str, *, follow: bool, after: str = "") -> None:
        self._client = client
        self._id = execution_id
        self._follow = follow
        self._seen = cursor.decode(after) if after else {}
        self._counts: dict[str, int] = dict(self._seen)
        self._out: asyncio.Queue[Batch | BaseException | None] = asyncio.Queue(_BACKLOG)

    async def read(self, run_id: str) -> AsyncGenerator[Batch]:
        """Batches of events with the feed that they come from, each event with its cursor.

        Also batches without events: after each event of a history, with its feed.
        """
        root = _Workflow(self._id, cursor.ROOT, self._seen.get(cursor.ROOT, 0))
        task = asyncio.create_task(self._read_root(root, run_id))
        try:
            while True:
                found = await self._out.get()
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _read_root(self, root: _Workflow, run_id: str) -> None:
        try:
            await self._read_workflow(root, run_id)
        except Exception as error:  # noqa: BLE001 - raised where the reader waits
            await self._out.put(error)
        else:
            await self._out.put(None)

    async def _read_workflow(self, workflow: _Workflow, run_id: str) -> None:
        """Read all histories of one workflow, and start readers of its sub-graphs."""
        following: str | None = run_id
        try:
            while following is not None:
                feed = HistoryFeed(self._client.data_converter, workflow.workflow_id)
                handle = self._client.get_workflow_handle(workflow.workflow_id, run_id=following)
                async for event in handle.fetch_history_events(wait_new_event=self._follow):
                    new = await feed.take(event)
                    await self._tell(workflow, feed, new)
                following = None if feed.closed is None else feed.closed.next_run_id
            await asyncio.gather(*workflow.children.values())
        finally:
            for task in workflow.children.values():
                task.cancel()

    async def _tell(
        self, workflow: _Workflow, feed: HistoryFeed, new: list[GraphEngineEvent]
    ) -> None:
        told = [self._stamped(workflow, event) for event in new if self._is_new(workflow)]
        if feed.child_ended is not None:
            await self._wait_for_child(workflow, feed.child_ended)
        await self._out.put((feed, told))
        if feed.child_started is not None:
            self._meet(workflow, feed.child_started)
        if workflow.taken >= workflow.skip:
            for child in workflow.unread:
                self._follow_child(workflow, child)
            workflow.unread.clear()

    def _is_new(self, workflow: _Workflow) -> bool:
        workflow.taken += 1
        return workflow.taken > workflow.skip

    def _stamped(self, workflow: _Workflow, event: GraphEngineEvent) -> GraphEngineEvent:
        for key in workflow.sealed:
            self._drop_counts(key)
        workflow.sealed.clear()
        self._counts[workflow.key] = workflow.taken
        return replace(event, cursor=cursor.encode(self._counts))

    def _drop_counts(self, key: str) -> None:
        for known in [k for k in self._counts if k == key or k.startswith(f"{key}/")]:
            del self._counts[known]

    def _meet(self, workflow: _Workflow, child: ChildStarted) -> None:
        if workflow.taken < workflow.skip:
            workflow.unread.append(child)
        else:
            self._follow_child(workflow, child)

    def _follow_child(self, workflow: _Workflow, child: ChildStarted) -> None:
        key = child.workflow_id.removeprefix(f"{self._id}/")
        reading = _Workflow(child.workflow_id, key, self._seen.get(key, 0))
        task = asyncio.create_task(self._read_workflow(reading, child.run_id))
        workflow.children[child.workflow_id] = task

    async def _wait_for_child(self, workflow: _Workflow, child_id: str) -> None:
        """All that a sub-graph told comes before what its end has led to."""
        task = workflow.children.pop(child_id, None)
        if task is not None:
            await task
        elif workflow.taken < workflow.skip:
            workflow.unread = [c for c in workflow.unread if c.workflow_id != child_id]
        workflow.sealed.append(child_id.removeprefix(f"{self._id}/"))
